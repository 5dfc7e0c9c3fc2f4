"""The box of positions that a local statistic is taken over, along one axis; integers only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """``count`` positions, ``rate`` apart, around each position of an axis.

    ``count`` is the length of the axis at one window. For a position p of an axis of length L at
    rate 1 the box starts at ::

        start(p) = clamp(p - before, 0, L - count),    before = (count - 1) // 2

    so that the position in a window's middle, at ``before`` from its first (the earlier one of two
    middles), has just that window's box, and on a photo of one window every position has. At a
    finer stride (``rate`` above 1) the positions of one residue of the rate are those of a shifted
    photo, and the same holds among them alone.
    """

    count: int
    rate: int = 1

    @property
    def before(self) -> int:
        """How far before a position its box starts, where no edge is near."""
        return (self.count - 1) // 2 * self.rate

    def count_in(self, total: int) -> int:
        """Positions in a box; fewer than ``count`` on what is smaller than one window."""
        return min(self.count, (total - 1) // self.rate + 1)

    def span_in(self, total: int) -> int:
        """Positions from the first to the last of a box, all residues counted."""
        return (self.count_in(total) - 1) * self.rate + 1

    def start(self, position: int, total: int) -> int:
        """The first position of the box around a position of an axis of length ``total``."""
        residue, last = position % self.rate, total - self.span_in(total)
        # The last start of this residue. Some may have no whole box, where they belong to no
        # whole window: theirs is any.
        own_last = residue + (last - residue) // self.rate * self.rate
        start = min(max(position - self.before, residue), own_last)
        return min(max(start, 0), last)

    def read(self, first: int, end: int, total: int) -> tuple[int, int]:
        """The first and one past the last position in the boxes around first..end - 1."""
        starts = [self.start(p, total) for p in range(first, min(first + self.rate, end))]
        ends = [self.start(p, total) for p in range(max(first, end - self.rate), end)]
        return min(starts), max(ends) + self.span_in(total)

    def determined(self, available: int, total: int) -> int:
        """How many positions, from the first, have boxes within the first ``available``."""
        span = self.span_in(total)
        latest = available - span
        if latest >= total - span:
            return total
        # Near the first edge boxes start at their residue.
        return max(0, latest + 1 + (self.before if latest >= self.rate - 1 else 0))
