"""How many threads compute one photo, whichever library computes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any, TypeVar

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

# What was set before torch was loaded.
_waiting: int | None = None


def thread_count() -> int:
    """The number of threads that compute one photo in this process.

    What :func:`use_threads` set; otherwise torch's where it is loaded, or what torch would take:
    OMP_NUM_THREADS, or one for each physical core that the process may use.
    """
    # First: while torch is being loaded it has its own number still.
    if (waiting := _waiting) is not None:
        return waiting
    if (torch := _torch()) is not None:
        return int(torch.get_num_threads())
    return _usual()


def use_threads(count: int) -> None:
    """Set the number of threads that compute one photo in this process."""
    global _waiting
    _waiting = count
    apply_to_torch()


@contextmanager
def threads_restored() -> Iterator[None]:
    """Have the number of threads at the end that there was at the beginning."""
    global _waiting
    waiting, before = _waiting, thread_count()
    try:
        yield
    finally:
        if _torch() is not None:
            use_threads(before)
        else:
            # Or none, so that torch takes its own.
            _waiting = waiting


def apply_to_torch() -> None:
    """Give torch, where it is loaded now, the number that was set before."""
    global _waiting
    waiting, torch = _waiting, _torch()
    if waiting is not None and torch is not None:
        torch.set_num_threads(waiting)
        _waiting = None


def side_by_side(work: Callable[[_Given], _Result], given: Iterable[_Given]) -> list[_Result]:
    """What ``list(map(work, given))`` is, worked out in this thread and one more.

    The first is always done here. Where a photo is computed by one thread, so are the others.
    After a failure nothing more is begun.
    """
    numbered = list(enumerate(given))
    if len(numbered) < 2 or thread_count() < 2:
        return [work(each) for _, each in numbered]
    # Both threads take from it: the next of a list is given to one of them.
    waiting = iter(numbered[1:])

    def done(*first: tuple[int, _Given]) -> dict[int, _Result]:
        try:
            return {place: work(each) for place, each in chain(first, waiting)}
        finally:
            list(waiting)

    with ThreadPoolExecutor(1, "heatmap-beside") as other:
        beside = other.submit(done)
        results = done(numbered[0]) | beside.result()
    return [results[place] for place in range(len(numbered))]


def _torch() -> Any:
    """Torch where it is loaded completely; another thread may be in the middle of that."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "set_num_threads") else None


@cache
def _usual() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdecimal() and int(given) > 0:
        return int(given)
    import psutil

    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    # Systems other than Linux do not say which processors a process may use.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(cores, allowed)
