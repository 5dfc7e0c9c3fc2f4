"""Collect the scores of positions, and those of windows from them or beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from ..grid.collector import Collector
from ..grid.origin import Origin
from ..grid.outputs import Scores
from ..grid.position_scores import PositionScores, mean_over
from ..prepared.facts import NetworkFacts
from ..strides import middle_windows


class PositionCollector:
    """Takes blocks of scores of positions in any order, as :class:`collector.Collector` does.

    Blocks of 2 K scores have those of the window around each position behind its own K.
    """

    def __init__(
        self,
        positions: Geometry,
        windows: Geometry,
        facts: NetworkFacts,
        map_hw: tuple[int, int],
        k: int,
    ) -> None:
        """
        Args:
            positions, windows: the grids of positions and of windows.
            facts: what is known of the network.
            map_hw: rows and columns of positions in a window.
            k: native stride / stride of the positions.
        """
        self._own = Collector(positions, facts.classes, facts.outputs)
        self._windows, self._map_hw, self._k = windows, map_hw, k
        self._shape = (*positions.grid_hw, len(facts.classes))
        self._around: Scores | None = None

    def write(self, row: int, column: int, scores: Scores) -> None:
        """Write a block (n, m, K) or (n, m, 2 K) whose first cell is (row, column)."""
        rows, columns, classes = self._shape
        self._own.write(row, column, scores[:, :, :classes])
        if scores.shape[2] > classes:
            if self._around is None:
                self._around = np.empty(self._shape, np.float32)
            rows, columns = row + scores.shape[0], column + scores.shape[1]
            self._around[row:rows, column:columns] = scores[:, :, classes:]

    def finish(
        self, origin: Origin, left_out: npt.NDArray[np.bool_] | None = None
    ) -> PositionScores:
        """The scores; those of windows that are ``left_out``, bool (N, M), are NaN.

        The collector cannot be used any more.
        """
        grid = self._own.finish(origin)
        if self._around is None:
            scores = mean_over(grid.scores, self._map_hw, self._k)
        else:
            # A copy, which does not keep what lies around it.
            rows, columns, _ = self._shape
            scores = self._around[middle_windows((rows, columns), self._map_hw, self._k)].copy()
        if left_out is not None:
            scores[left_out] = np.nan
        windows = replace(grid, scores=scores, geometry=self._windows)
        return PositionScores(windows, grid, self._map_hw, self._k)
