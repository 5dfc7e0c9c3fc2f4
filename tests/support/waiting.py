"""Waiting for what happens elsewhere, for as long as a busy machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable

# What hangs ends here; nothing that works comes near it.
LONGEST_S = 300


def wait_until(condition: Callable[[], bool], every_s: float = 0.002) -> None:
    """Until a condition holds; after five minutes in any case."""
    deadline = time.monotonic() + LONGEST_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(every_s)
