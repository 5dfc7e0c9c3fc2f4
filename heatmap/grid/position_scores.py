"""Single positions of the feature map: what each adds to the windows that hold it.

Where a network averages the positions of a window and ends in something linear (a global
average pool before the last layer), a window's score is the mean of the scores of its n x n
positions, exactly (Zhou et al., "Learning Deep Features for Discriminative Localization",
CVPR 2016, equation 2; here with the bias, which each position gets in full).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup, ClassList
from ..geometry import Geometry
from .score_grid import ScoreGrid

Cells = npt.NDArray[np.float32]


_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True)
class PositionScores:
    """Scores of single positions, and of the windows of ``map_hw`` of them.

    ``k`` is how many times closer positions lie than at the native stride.
    """

    windows: ScoreGrid
    positions: ScoreGrid
    map_hw: tuple[int, int]
    k: int

    def owed(self, groups: Sequence[ClassGroup]) -> ScoreGrid:
        """What is owed to each position of the probabilities of some classes: see :func:`owed`.

        The classes of the grid are the groups.
        """
        windows, positions = (grid.class_maps(groups) for grid in (self.windows, self.positions))
        scores = [
            owed(windows[:, :, place], positions[:, :, place], self.map_hw, self.k)
            for place in range(len(groups))
        ]
        names = ClassList(tuple(group.name for group in groups))
        return replace(
            self.positions, scores=np.stack(scores, axis=2), classes=names, kind="probabilities"
        )


def positions_of(geometry: Geometry, map_hw: tuple[int, int], native_stride: int) -> Geometry:
    """The grid of single positions under a grid of windows, over the same extended photo."""
    k = native_stride // geometry.stride_px
    rows, columns = geometry.grid_hw
    return replace(
        geometry,
        window_px=geometry.window_px - (map_hw[0] - 1) * native_stride,
        grid_hw=(rows + (map_hw[0] - 1) * k, columns + (map_hw[1] - 1) * k),
    )


def mean_over(
    positions: npt.NDArray[_Float], map_hw: tuple[int, int], k: int = 1
) -> npt.NDArray[_Float]:
    """Means over the positions of every window: (N', M', ...) -> (N, M, ...).

    ``k`` is how many times closer positions lie than at the native stride.
    """
    down = _sums(positions, map_hw[0], k, 0)
    sums = _sums(down, map_hw[1], k, 1)
    return np.asarray(sums / (map_hw[0] * map_hw[1]), dtype=positions.dtype)


def _sums(values: npt.NDArray[_Float], count: int, step: int, axis: int) -> npt.NDArray[_Float]:
    """Sums of so many values each a step apart, along an axis, for every place they fit."""
    places = values.shape[axis] - (count - 1) * step
    parts = (
        values.take(range(shift, shift + places), axis) for shift in range(0, count * step, step)
    )
    return np.asarray(sum(parts), dtype=values.dtype)


def owed(windows: Cells, positions: Cells, map_hw: tuple[int, int], k: int = 1) -> Cells:
    """How much of the probabilities of the windows around it is owed to each position.

    Each window's probability P is shared out among its positions by their own probabilities
    p; a position gets, as the mean over the n m windows that hold it (those outside the grid
    count as 0), P p / sum of p in the window. What lies beside an object, in windows that
    hold it, gets next to nothing; a position that looks like the class by itself, in windows
    that do not, neither.

    Args:
        windows: probabilities (N, M), 0..1; NaN is not scored and counts as 0.
        positions: probabilities (N', M') of single positions; NaN counts as 0.
        map_hw, k: how many positions a window has, and how close they lie.

    Returns:
        float32 (N', M'), 0..1.
    """
    # In float64, since the least probabilities of float32 have no inverse in it.
    own, whole = (np.nan_to_num(each).astype(np.float64) for each in (positions, windows))
    total = mean_over(own, map_hw, k)
    ratio = np.divide(whole, total, out=np.zeros_like(whole), where=total > 0)
    down, across = ((side - 1) * k for side in map_hw)
    around = np.pad(ratio, ((down, down), (across, across)))
    shares = own * mean_over(around, map_hw, k) / (map_hw[0] * map_hw[1])
    return np.asarray(shares, dtype=np.float32)
