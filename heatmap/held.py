"""A setting of the whole process: the first block that needs it makes it, the last undoes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """Holds a setting while any block wants it, nested or in several threads.

    Args:
        begin: makes the setting, and gives what undoing it needs to know.
        end: undoes it.

    Attributes:
        holders: how many blocks are in progress.
    """

    def __init__(self, begin: Callable[[], T], end: Callable[[T], None]) -> None:
        self._begin, self._end = begin, end
        self._lock = threading.Lock()
        self._before: list[T] = []
        self.holders = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the setting within the block."""
        with self._lock:
            if self.holders == 0:
                self._before = [self._begin()]
            self.holders += 1
        try:
            yield
        finally:
            with self._lock:
                self.holders -= 1
                if self.holders == 0:
                    self._end(self._before.pop())
