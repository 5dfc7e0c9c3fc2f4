"""Coarse to fine: which windows are scored first, which then, and what stands for the others.

Plain integers and booleans; no network is run here. The grid is divided into blocks of cells about
half a window high and wide, and one window of each block is scored first. All windows near one that
looks promising are scored next. The windows left over get the scores of the first one of their
block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from .skip import any_within

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Blocks:
    """The cells of a grid in blocks of at most ``step`` x ``step`` cells, all about as large.

    >>> blocks = Blocks((4, 7), step=3)
    >>> blocks.rows.tolist(), blocks.columns.tolist()
    ([0, 0, 1, 1], [0, 0, 0, 1, 1, 2, 2])

    Attributes:
        grid_hw: number of rows and columns of cells.
        step: the side of the largest block, cells.
    """

    grid_hw: tuple[int, int]
    step: int

    @classmethod
    def of(cls, geometry: Geometry) -> Blocks:
        """Blocks whose windows are at most half a window apart; single cells where none are."""
        step = max(1, geometry.window_px // (2 * geometry.stride_px))
        return cls(geometry.grid_hw, step)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row of blocks that each row of cells is in: (N,)."""
        return _blocks(self.grid_hw[0], self.step)

    @property
    def columns(self) -> npt.NDArray[np.int64]:
        """The column of blocks that each column of cells is in: (M,)."""
        return _blocks(self.grid_hw[1], self.step)

    def first(self, wanted: Bools) -> Bools:
        """The cells to score first: of each block the one nearest to its middle, if there is any.

        Of equally near ones it is the first in reading order.

        Args:
            wanted: the cells that may be scored: bool (N, M).

        Returns:
            bool (N, M), a subset of them.
        """
        cells = np.nonzero(wanted)
        down, across = _from_middle(self.rows)[cells[0]], _from_middle(self.columns)[cells[1]]
        numbers = self._numbers(cells)
        order = np.lexsort((down**2 + across**2, numbers))
        _, nearest = np.unique(numbers[order], return_index=True)
        first = np.zeros(self.grid_hw, bool)
        chosen = order[nearest]
        first[cells[0][chosen], cells[1][chosen]] = True
        return first

    def near(self, promising: Bools) -> Bools:
        """The cells at most ``step`` rows and columns from one of these: bool (N, M)."""
        near = promising
        for _ in range(2):
            cells = np.arange(near.shape[1])
            # Twice, along the columns each time, so that both axes have their turn.
            spans = np.stack([cells - self.step, cells + self.step + 1], axis=1)
            near = any_within(near, np.clip(spans, 0, len(cells))).T
        return near

    def stand_ins(self, cells: Bools, first: Bools) -> tuple[npt.NDArray[np.int64], ...]:
        """For each of these cells, in reading order, the cell scored first in its block.

        Args:
            cells: bool (N, M), all in blocks in which one was scored first.
            first: as of :meth:`first`.

        Returns:
            Rows and columns, (number of cells,) each.
        """
        rows, columns = np.nonzero(first)
        numbers = self._numbers((rows, columns))
        order = numbers.argsort()
        of_each = order[numbers[order].searchsorted(self._numbers(np.nonzero(cells)))]
        return rows[of_each], columns[of_each]

    def _numbers(self, cells: tuple[npt.NDArray[np.int64], ...]) -> npt.NDArray[np.int64]:
        """The number of the block of each cell, in reading order."""
        across = -(-self.grid_hw[1] // self.step)
        return np.asarray(self.rows[cells[0]] * across + self.columns[cells[1]], np.int64)


def _blocks(cells: int, step: int) -> npt.NDArray[np.int64]:
    """The block that each of ``cells`` is in along an axis: as few as there can be."""
    return np.arange(cells) * -(-cells // step) // cells


def _from_middle(blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Twice the distance of each cell along an axis from the middle of its block."""
    first, end = blocks.searchsorted(blocks), blocks.searchsorted(blocks, "right")
    return np.asarray(2 * np.arange(len(blocks)) - (first + end - 1), np.int64)
