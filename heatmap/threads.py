"""How many threads compute one photo, whichever library computes."""

from __future__ import annotations

import os
import sys
from functools import cache

import psutil

_chosen: int | None = None


def thread_count() -> int:
    """The number of threads that compute one photo in this process.

    What :func:`use_threads` set, or torch has where it is loaded; otherwise what torch would take:
    OMP_NUM_THREADS, or one for each physical core that the process may use.
    """
    if _chosen is not None:
        return _chosen
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    return _usual()


def use_threads(count: int) -> None:
    """Set the number of threads that compute one photo in this process."""
    global _chosen
    _chosen = count
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(count)


@cache
def _usual() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdecimal() and int(given) > 0:
        return int(given)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return min(cores, allowed or cores)
