"""Cover the cells to score with rectangles, each computed in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
# First row, end row, first column, end column.
Rectangle = tuple[int, int, int, int]

# Rectangles whose longer side is below this many halos are not halved tentatively.
LEAST_HALVED_HALOS = 8


def rectangles(wanted: Bools, halo_hw: tuple[float, float]) -> list[Rectangle]:
    """Disjoint rectangles that cover all wanted cells, at a low total cost.

    A rectangle costs (rows + halo rows) * (columns + halo columns). Each is shrunk to its wanted
    cells and cut in two where that lowers the cost most, until no cut does; then it is halved, and
    the halves are treated likewise, if that lowers the cost in the end. The total is never above
    that of one rectangle around all wanted cells, but not necessarily minimal. Cutting out gaps
    smaller than the halo never pays, which keeps the search short.

    Args:
        wanted: the cells to score, bool (N, M).
        halo_hw: rows and columns that a rectangle reads in addition to its own, in cells.

    Returns:
        Rectangles (row0, row1, column0, column1), ends exclusive, in reading order of their top
        left corners; empty if no cell is wanted.
    """
    by_rows = np.ascontiguousarray(wanted)
    cells = _Wanted(by_rows, np.ascontiguousarray(by_rows.T), halo_hw)
    cover = _cover(cells, cells.tight(0, wanted.shape[0], 0, wanted.shape[1]))
    return sorted(cover, key=lambda rectangle: (rectangle[0], rectangle[2]))


@dataclass(frozen=True)
class _Wanted:
    """The wanted cells in both memory orders, for fast access by rows and by columns."""

    by_rows: Bools
    by_columns: Bools
    halo_hw: tuple[float, float]

    def cost(self, parts: Iterable[Rectangle]) -> float:
        high, wide = self.halo_hw
        return sum(
            (row1 - row0 + high) * (column1 - column0 + wide)
            for row0, row1, column0, column1 in parts
        )

    def tight(self, row0: int, row1: int, column0: int, column1: int) -> list[Rectangle]:
        """The smallest rectangle around the wanted cells of a rectangle, or an empty list."""
        rows = np.flatnonzero(self.by_rows[row0:row1, column0:column1].any(axis=1))
        columns = np.flatnonzero(self.by_columns[column0:column1, row0:row1].any(axis=1))
        if not rows.size:
            return []
        top, left = row0 + int(rows[0]), column0 + int(columns[0])
        return [(top, row0 + int(rows[-1]) + 1, left, column0 + int(columns[-1]) + 1)]

    def cut(self, whole: Rectangle, axis: int, at: int) -> list[Rectangle]:
        """Cut a rectangle after ``at`` rows (axis 0) or columns (axis 1), and shrink both parts."""
        first, second = list(whole), list(whole)
        first[2 * axis + 1] = second[2 * axis] = whole[2 * axis] + at
        return self.tight(*first) + self.tight(*second)

    def best_cut(self, tight: Rectangle) -> list[Rectangle]:
        """The parts of the cheapest cut of a tight rectangle; empty if no cut lowers the cost."""
        row0, row1, column0, column1 = tight
        cuts = (
            _cheapest_cut(self.by_rows[row0:row1, column0:column1], self.halo_hw),
            _cheapest_cut(self.by_columns[column0:column1, row0:row1], self.halo_hw[::-1]),
        )
        axis = int(cuts[1][0] < cuts[0][0])
        cost, at = cuts[axis]
        return self.cut(tight, axis, at) if cost < self.cost([tight]) else []

    def halves(self, tight: Rectangle) -> list[Rectangle]:
        """The parts of a cut through the middle; empty if it is too small or too full to pay."""
        row0, row1, column0, column1 = tight
        sides = (row1 - row0, column1 - column0)
        axis = int(sides[1] > sides[0])
        halo = self.halo_hw[axis]
        full = np.count_nonzero(self.by_rows[row0:row1, column0:column1])
        empty = sides[0] * sides[1] - full
        if sides[axis] < max(2, LEAST_HALVED_HALOS * halo) or empty <= halo * sides[1 - axis]:
            return []
        return self.cut(tight, axis, sides[axis] // 2)


def _cover(cells: _Wanted, starts: Iterable[Rectangle]) -> list[Rectangle]:
    """Cover the same cells as ``starts``, by cuts that lower the cost at once or in the end."""
    open_, cover = list(starts), []
    while open_:
        rectangle = open_.pop()
        parts = cells.best_cut(rectangle)
        if parts:
            open_ += parts
            continue
        finer = _cover(cells, cells.halves(rectangle))
        pays = finer and cells.cost(finer) < cells.cost([rectangle])
        cover += finer if pays else [rectangle]
    return cover


def _cheapest_cut(cells: Bools, halo_hw: tuple[float, float]) -> tuple[float, int]:
    """Cost and first row of the second part of the cheapest cut between rows.

    ``cells`` are tight: the first and last row and column contain wanted cells. The cost is that
    of the tight rectangles around both parts; infinite if there is only one row.
    """
    if len(cells) < 2:
        return np.inf, 0
    above = _costs_down_to(cells, halo_hw)
    below = _costs_down_to(cells[::-1], halo_hw)[::-1]
    costs = above[:-1] + below[1:]
    cut = int(costs.argmin())
    return float(costs[cut]), cut + 1


def _costs_down_to(cells: Bools, halo_hw: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Cost of the tight rectangle around rows 0..i, for each i; row 0 contains wanted cells."""
    rows, columns = cells.shape
    used = cells.any(axis=1)
    first = np.where(used, cells.argmax(axis=1), columns)
    end = np.where(used, columns - cells[:, ::-1].argmax(axis=1), 0)
    width = np.maximum.accumulate(end) - np.minimum.accumulate(first)
    height = np.maximum.accumulate(np.where(used, np.arange(rows), 0)) + 1
    return np.asarray((height + halo_hw[0]) * (width + halo_hw[1]), dtype=np.float64)
