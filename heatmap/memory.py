"""How much memory a pass may take, and freed memory kept for the next band.

The C library of Linux maps every tensor past 32 MB anew and unmaps it when it is let go, so
that the kernel clears all of its pages again for the next band, which takes longer than most
layers do (benchmarks/growth.py). While a pass runs, freed memory stays with the process.
"""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psutil

# Of the memory that is free, activations take at most this share unless told otherwise.
MEMORY_SHARE = 0.5

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
# Heaps of other threads are too small for tensors: those begun meanwhile share the main one.
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0, _ARENA_MAX: 1}
# What may stay with the process: the next photo of some megapixels finds its pages there.
KEPT_BYTES = 2**29
# Where glibc itself ends up once it has seen a large block come and go, but for those.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: KEPT_BYTES, _MMAP_MAX: 2**16, _ARENA_MAX: 0}

_lock = threading.Lock()
_holders = 0
# Bytes of the process in memory when the first block began.
_before = 0


def free_memory() -> int:
    """Bytes that activations may take where nobody says how many."""
    return int(psutil.virtual_memory().available * MEMORY_SHARE)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep what is freed in the block, of the whole process; after it, ``KEPT_BYTES`` at most.

    Blocks within others, and in several threads, end with the last of them. Where the C
    library is another one nothing is done.
    """
    global _holders, _before
    with _lock:
        _holders += 1
        if _holders == 1:
            _before = _resident()
            _set(_KEEP)
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _set(_USUAL)
                if _resident() > _before + KEPT_BYTES:
                    _give_back()


def _set(options: dict[int, int]) -> None:
    if (library := _glibc()) is not None:
        for option, value in options.items():
            library.mallopt(option, value)


def _give_back() -> None:
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
