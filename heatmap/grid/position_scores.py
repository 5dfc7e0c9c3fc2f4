"""Scores of single positions of the feature map, and the probability attributed to each.

Where a network averages over the positions of its feature map and then applies only linear layers
(a global average pool before the last layer), a window's score is exactly the mean of the scores
of its n x n positions (Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR
2016, equation 2; here with the bias, which is added in full at each position). Where what follows
the pool is not linear, or the pool is another one, positions are scored as parts of the window
around them (conversion/position_head.py), and windows are scored beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..geometry import Geometry
from .outputs import made_probable
from .score_grid import ScoreGrid

Cells = npt.NDArray[np.float32]
_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True)
class PositionScores:
    """Scores of single positions of the feature map, and of the windows that they make up.

    Attributes:
        windows: the grid of windows, (N, M, K).
        positions: the grid of single positions, (N', M', K), of the same photo.
        map_hw: rows and columns of positions in a window, at the native stride.
        k: native stride / stride of the positions.
    """

    windows: ScoreGrid
    positions: ScoreGrid
    map_hw: tuple[int, int]
    k: int

    def attributed(self, groups: Sequence[ClassGroup]) -> ScoreGrid:
        """The probability of some classes attributed to each position.

        See :func:`attributed_probability`. The classes of the grid are the groups. A position of
        which no window was scored is NaN.
        """
        windows, positions = (grid.class_maps(groups) for grid in (self.windows, self.positions))
        maps = [
            attributed_probability(
                windows[:, :, column], positions[:, :, column], self.map_hw, self.k
            )
            for column in range(len(groups))
        ]
        scores = np.stack(maps, axis=2)
        if not self.windows.scored.all():
            scores[_outside(self.windows.scored, self.map_hw, self.k)] = np.nan
        return replace(
            self.positions,
            scores=scores,
            classes=self.positions.classes.grouped(groups),
            kind=made_probable(self.positions.kind),
            origin=replace(self.positions.origin, maps="sharp"),
        )


def _outside(
    scored: npt.NDArray[np.bool_], map_hw: tuple[int, int], k: int
) -> npt.NDArray[np.bool_]:
    """Which positions are in no window that was scored: bool (N', M')."""
    return np.asarray(_means_around(scored.astype(np.float64), map_hw, k) == 0)


def positions_of(geometry: Geometry, map_hw: tuple[int, int], native_stride: int) -> Geometry:
    """The geometry of the single positions of a grid of windows, over the same extended photo."""
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
    """The mean over the positions of each window: (N', M', ...) -> (N, M, ...).

    Args:
        positions: values of single positions, float32 or float64.
        map_hw: rows and columns of positions in a window.
        k: native stride / stride of the positions.
    """
    down = _sums(positions, map_hw[0], k, 0)
    sums = _sums(down, map_hw[1], k, 1)
    return np.asarray(sums / (map_hw[0] * map_hw[1]), dtype=positions.dtype)


def _sums(values: npt.NDArray[_Float], count: int, step: int, axis: int) -> npt.NDArray[_Float]:
    """Sliding sums along an axis of ``count`` values, ``step`` apart."""
    length = values.shape[axis] - (count - 1) * step
    shifts = range(0, count * step, step)
    spans: list[tuple[slice, ...]] = [
        (*[slice(None)] * axis, slice(shift, shift + length)) for shift in shifts
    ]
    first, *others = (values[span] for span in spans)
    # Never -0, as a sum that begins with 0.
    sums = np.asarray(first + values.dtype.type(0), dtype=values.dtype)
    for part in others:
        sums += part
    return sums


def attributed_probability(
    windows: Cells, positions: Cells, map_hw: tuple[int, int], k: int = 1
) -> Cells:
    """Attribute the probabilities of windows to the positions in them.

    Each window's probability P is divided among its positions in proportion to their own
    probabilities p: a position gets P p / (sum of p in the window), averaged over the n m windows
    that contain it (windows outside the grid count as 0). So a position beside an object gets
    almost nothing, although windows that contain the object contain it too; and so does a
    position that looks like the class in windows that do not.

    Args:
        windows: probabilities (N, M), 0..1; NaN (not scored) counts as 0.
        positions: probabilities (N', M') of single positions, 0..1; NaN counts as 0.
        map_hw: rows and columns of positions in a window, n and m.
        k: native stride / stride of the positions.

    Returns:
        float32 (N', M'), 0..1.

    >>> windows, positions = np.float32([[0.9]]), np.float32([[0.2, 0.6]])
    >>> print(attributed_probability(windows, positions, (1, 2)).round(4))
    [[0.1125 0.3375]]
    """
    # In float64, since the smallest float32 probabilities have no finite inverse in float32.
    own, whole = (np.nan_to_num(given).astype(np.float64) for given in (positions, windows))
    total = mean_over(own, map_hw, k)
    ratio = np.divide(whole, total, out=np.zeros_like(whole), where=total > 0)
    attributed = own * _means_around(ratio, map_hw, k) / (map_hw[0] * map_hw[1])
    return np.asarray(attributed, dtype=np.float32)


def _means_around(
    windows: npt.NDArray[np.float64], map_hw: tuple[int, int], k: int
) -> npt.NDArray[np.float64]:
    """The mean over the windows that contain each position: (N, M) -> (N', M').

    Windows outside the grid count as 0.
    """
    down, across = ((side - 1) * k for side in map_hw)
    return mean_over(np.pad(windows, ((down, down), (across, across))), map_hw, k)
