"""How much memory a pass may take, and keeping freed memory for the next band.

glibc maps a new memory region for every tensor above 32 MB and unmaps it when the tensor is
freed, so the kernel clears all of its pages again for the next band, which takes longer than
most layers do (benchmarks/growth.py). While a pass runs, the process keeps freed memory. What is
freed between tensors that stay for many bands is not always used again; so kept memory is given
back whenever the process has grown by what the pass may take.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from .control_group import group_memory
from .held import Held

# Activations take at most this fraction of the free memory unless a limit is given.
MEMORY_SHARE = 0.5

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
# Heaps of other threads are too small for tensors: threads started meanwhile share the main one.
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0, _ARENA_MAX: 1}
# Bytes that the process may keep: enough for the next photo of a few megapixels.
KEPT_BYTES = 2**29
# A pass gives freed memory back where it grew by this share of what it may take: the next band may
# take some more before it is looked at again.
_GROWN_SHARE = 0.9
# What glibc adapts to by itself after a large block was freed, except for KEPT_BYTES.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: KEPT_BYTES, _MMAP_MAX: 2**16, _ARENA_MAX: 0}


def free_memory() -> int:
    """Bytes that activations may take where no limit is given: half of the free memory."""
    return int(available_memory() * MEMORY_SHARE)


def available_memory() -> int:
    """Bytes that this process may still take: what is free, and what its container allows."""
    import psutil

    free, group = int(psutil.virtual_memory().available), group_memory()
    return free if group is None else min(free, group.free)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep all memory that the process frees within the block; afterwards ``KEPT_BYTES`` at most.

    Nested blocks and blocks in several threads count as one, which ends with the last of
    them. Does nothing where the C library is not glibc.
    """
    with _keeping.held():
        yield


def _keep() -> int:
    """Keep all freed memory; gives the bytes of the process in memory."""
    before = _resident()
    _set(_KEEP)
    return before


def _keep_no_more(before: int) -> None:
    _set(_USUAL)
    if _resident() > before + KEPT_BYTES:
        give_back()


_keeping = Held(_keep, _keep_no_more)


def _set(options: dict[int, int]) -> None:
    if (library := _glibc()) is not None:
        for option, value in options.items():
            library.mallopt(option, value)


def give_back() -> None:
    """Return freed memory to the system, where the C library is glibc."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def bounded_growth(memory: int) -> Callable[[], None]:
    """A function to call between bands: gives freed memory back where the process grew too much.

    Args:
        memory: bytes that the process may grow by from now on.
    """
    limit = _private() + _GROWN_SHARE * memory

    def check() -> None:
        if _private() > limit:
            give_back()

    return check


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _private() -> int:
    """Bytes in memory that are no pages of files, such as those of a large grid."""
    import psutil

    taken = psutil.Process().memory_info()
    return int(taken.rss - getattr(taken, "shared", 0))


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
