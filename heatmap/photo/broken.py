"""Photos that cannot be used, so that the others can: which they are, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BrokenPhoto:
    """A photo that cannot be used, or a folder of photos that cannot be read.

    Attributes:
        file: its path, as it was listed or found.
        reason: why, in one line; it may begin with a path.
    """

    file: str
    reason: str

    def __str__(self) -> str:
        # Most reasons name the file already.
        return self.reason if self.file in self.reason else f"{self.file}: {self.reason}"


def told(broken: Sequence[BrokenPhoto], most: int) -> str:
    """Some broken photos in one line: at most so many, and how many more there are."""
    more = f"; and {len(broken) - most:,} more" if len(broken) > most else ""
    return "; ".join(map(str, broken[:most])) + more
