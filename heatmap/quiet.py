"""What libraries log: kept from the user, or read. One rule for the whole program."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
# How many blocks are in progress, of each kind and in any thread.
_blocks: Counter[str] = Counter()
_level_before = logging.NOTSET


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress log messages and warnings of all libraries in the block.

    What a user must know is an error or a note of this package. The command line is quiet as a
    whole, Python calls only while a library works that is known to talk: the log is the caller's.
    """
    with _block("quiet"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def speaking() -> Iterator[None]:
    """Let the log through in the block, for what this package itself has to say."""
    # Where nothing is quiet, there is no lock to wait for.
    if not _blocks["quiet"]:
        yield
        return
    with _block("speaking"):
        yield


@contextmanager
def listening(library: str) -> Iterator[list[str]]:
    """Collect what a library logs in the block, instead of printing it."""
    lines: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return False

    logger = logging.getLogger(library)
    with _block("listening"):
        logger.addFilter(keep)
        try:
            yield lines
        finally:
            logger.removeFilter(keep)


@contextmanager
def _block(kind: str) -> Iterator[None]:
    _count(kind, 1)
    try:
        yield
    finally:
        _count(kind, -1)


def _count(kind: str, change: int) -> None:
    """Disable logging while any block is quiet and none is listening or speaking."""
    global _level_before
    with _lock:
        if not _blocks.total():
            _level_before = logging.root.manager.disable
        _blocks[kind] += change
        heard = _blocks["listening"] or _blocks["speaking"]
        silent = _blocks["quiet"] and not heard
        level = max(logging.CRITICAL, _level_before) if silent else _level_before
        # It makes every logger forget what it knows, of which torch has hundreds.
        if level != logging.root.manager.disable:
            logging.disable(level)
