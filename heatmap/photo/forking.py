"""The lock around libvips: it keeps collection out, and serves, or refuses, in forked processes.

libvips logs in its own threads, and pyvips hands that to Python. If that began a garbage
collection, images would be freed in a thread of libvips, which ends the process.

A process that is forked has none of the threads of its parent. libvips goes on counting on its
own and would wait for them for ever: here they are replaced by new ones before the first read. A
lock that another thread held stays locked for ever: so forking waits until no photo is being read.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

import pyvips

from ..errors import PhotoError

# How long forking waits for a read in another thread, and the first read in a forked process
# for libvips.
_PATIENCE_S = 0.5
# More threads than libvips starts, and how long a new one may take to begin.
_MOST_THREADS, _BEGINNING_S = 1000, 0.001

# What libvips' threads are told to run.
_Job: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class ReadingLock:
    """A re-entrant lock, within which nothing is collected.

    Entering it in a forked process makes libvips fit for use first.

    Raises:
        PhotoError: on entering: this process was forked while another thread was reading, or
            libvips does not answer.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._collects = False
        self._held_to_fork = False
        self._libvips: _Libvips | None = None

    def __enter__(self) -> None:
        if self._libvips is not None and not self._libvips.answers():
            raise PhotoError(
                "photos cannot be read in this process: it was forked while its parent was "
                "reading one: start processes by spawn (multiprocessing_context='spawn')"
            )
        self._lock.acquire()
        if not self._depth:
            self._collects = gc.isenabled()
            gc.disable()
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if not self._depth and self._collects:
            gc.enable()
        self._lock.release()

    def before_fork(self) -> None:
        """Wait until no other thread is reading, but not for ever."""
        self._held_to_fork = self._lock.acquire(timeout=_PATIENCE_S)

    def after_fork(self) -> None:
        """In the process that forked: go on."""
        if self._held_to_fork:
            self._lock.release()

    def in_child(self) -> None:
        """In the forked process: note that libvips has to be made fit for use."""
        self._libvips = _Libvips(usable=self._held_to_fork)
        self.after_fork()


class _Libvips:
    """libvips in a forked process."""

    def __init__(self, *, usable: bool) -> None:
        self._usable = usable
        self._started = False
        self._answered = threading.Event()

    def answers(self) -> bool:
        """Whether it computes images; the first call makes it do so."""
        if self._usable and not self._started:
            self._started = True
            # In a thread of its own, since it may never return.
            threading.Thread(target=_renew_threads, args=(self._answered,), daemon=True).start()
        return self._usable and self._answered.wait(_PATIENCE_S)


def guarded() -> ReadingLock:
    """A lock that takes part in every fork of this process, and of those forked from it."""
    lock = ReadingLock()
    os.register_at_fork(
        before=lock.before_fork, after_in_parent=lock.after_fork, after_in_child=lock.in_child
    )
    return lock


_BEGUN = threading.Event()


def _note_begun(_: object, __: object) -> None:
    _BEGUN.set()


# Kept as long as any thread may run it.
_begin = _Job(_note_begun)


def _renew_threads(answered: threading.Event) -> None:
    """Give jobs to the threads that are no more, until a new one is started; then try libvips."""
    _BEGUN.clear()
    execute: Any = None
    # Other builds of libvips do not give it.
    with suppress(KeyError, OSError, AttributeError):
        execute = ctypes.CDLL(sys.modules["_libvips"].__file__).vips_thread_execute
    for _ in range(_MOST_THREADS if execute else 0):
        if execute(b"heatmap", _begin, None) or _BEGUN.wait(_BEGINNING_S):
            break
    pyvips.Image.black(1, 1).copy_memory()
    answered.set()
