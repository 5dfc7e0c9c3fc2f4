"""Coarse to fine: which windows are cropped, and what stands for the others.

Plain integers and small arrays; no network is run here. Windows about half a window apart are
scored first. Then the distance between windows is halved again and again, each time in two stages
as in the diamond-square algorithm (Fournier, Fussell and Carpenter, "Computer Rendering of
Stochastic Models", 1982): first the middle of every square of windows, then the middles of its
sides. The mean probability of the (up to four) windows around a new one says how likely something
is there: above a share of the confidence threshold it is scored, and otherwise keeps that mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from .outputs import Outputs, Scores, above_chance, chance_of, group_probabilities, probabilities_of

Bools = npt.NDArray[np.bool_]
# Rows and columns from a cell to another.
Offsets = tuple[tuple[int, int], ...]

# Shares of the threshold in the last four stages, the finest one last, where classes are named and
# where none is: chosen on every other one of 100 COCO photos (docs/evaluation.md). Coarser windows
# tell less of what lies between them, so that their shares are lower.
SHARES_NAMED = (0.2, 0.3, 0.4, 0.6)
SHARES_UNNAMED = (0.2, 0.3, 0.3, 0.6)


@dataclass(frozen=True)
class Sought:
    """What windows are scored for.

    Attributes:
        conf: the lowest probability of a detection at this scale, 0 or more.
        groups: the class indices of each class or group that was named; None looks for any class.
        left_out: indices of classes that are not looked for where none was named.
    """

    conf: float
    groups: tuple[tuple[int, ...], ...] | None = None
    left_out: tuple[int, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of ``conf`` in the last stages, the finest one last."""
        return SHARES_UNNAMED if self.groups is None else SHARES_NAMED

    def highest(self, scores: Scores, outputs: Outputs) -> npt.NDArray[np.float32]:
        """The highest probability of what is sought, of windows (n, K): float32 (n,), 0..1."""
        chance = chance_of(outputs, scores.shape[1])
        if self.groups is not None:
            probabilities = group_probabilities(scores, self.groups, outputs, chance)
            return np.asarray(probabilities.max(axis=1))
        probabilities = np.delete(probabilities_of(scores, outputs), self.left_out, axis=1)
        return above_chance(probabilities.max(axis=1, initial=0), chance)


@dataclass(frozen=True)
class Stage:
    """Cells that are looked at together, bool (N, M), and where those around each of them are."""

    cells: Bools
    around: Offsets = ()


def stages(geometry: Geometry) -> Iterator[Stage]:
    """All cells of a grid, in stages from coarse to fine; each cell is in one of them.

    Those of the first stage are a power of two of cells apart: the one that is nearest to half a
    window. They lie in the middle of the grid rather than at its edges.
    """
    apart = max(1, 2 ** round(math.log2(max(1.0, geometry.window_px / (2 * geometry.stride_px)))))
    rows, columns = (np.arange(cells) - (cells - 1) // 2 % apart for cells in geometry.grid_hw)

    def every(step: int, first: int = 0) -> Bools:
        of_rows, of_columns = rows % step == first, columns % step == first
        return np.asarray(of_rows[:, None] & of_columns)

    done = every(apart)
    yield Stage(done)
    while apart > 1:
        half = apart // 2
        middles = every(apart, half)
        yield Stage(middles, ((-half, -half), (-half, half), (half, -half), (half, half)))
        yield Stage(every(half) & ~done & ~middles, ((-half, 0), (half, 0), (0, -half), (0, half)))
        done, apart = every(half), half


class CoarseToFine:
    """Decides which windows of a grid are scored, stage by stage, from the scores so far.

    >>> from heatmap.geometry import plan_grid
    >>> geometry = plan_grid((448, 448), window=224, native_stride=32)
    >>> plan = CoarseToFine(geometry, Sought(0.5), "probabilities")
    >>> for stage, cells in plan.asked():
    ...     for row, column in np.argwhere(cells).tolist():
    ...         plan.saw(row, column, np.float32([1, 0]))
    >>> int(plan.scored.sum()), geometry.grid_hw
    (64, (8, 8))

    Attributes:
        scored: the cells that were asked for so far, bool (N, M).
    """

    def __init__(
        self, geometry: Geometry, sought: Sought, outputs: Outputs, wanted: Bools | None = None
    ) -> None:
        """
        Args:
            geometry: of the grid.
            sought: what windows are scored for.
            outputs: what scores are.
            wanted: cells that may be scored, bool (N, M); None is all. No others are looked at.
        """
        self._stages = list(stages(geometry))
        self._sought, self._outputs = sought, outputs
        self._wanted = np.ones(geometry.grid_hw, bool) if wanted is None else wanted
        # The highest probability of what is sought: as scored, or the mean of those around.
        self._highest = np.full(geometry.grid_hw, np.nan, np.float32)
        self.scored = np.zeros(geometry.grid_hw, bool)

    def asked(self) -> Iterator[tuple[Stage, Bools]]:
        """The stages, without cells that may not be scored, and which of their cells to score.

        Before the next one :meth:`saw` must have been called for all of these. A cell around which
        nothing is known is scored.
        """
        finest = len(self._stages) - 1
        for number, each in enumerate(self._stages):
            cells = each.cells & self._wanted
            asked = cells
            if each.around:
                shares = self._sought.shares
                share = shares[max(0, len(shares) - 1 - (finest - number))]
                means = _means(self._highest, each.around)
                unlikely = cells & (means < share * self._sought.conf)
                self._highest[unlikely] = means[unlikely]
                asked = cells & ~unlikely
            self.scored |= asked
            yield Stage(cells, each.around), asked

    def saw(self, row: int, column: int, scores: Scores) -> None:
        """Take the scores (K,) of a cell that was asked for."""
        (self._highest[row, column],) = self._sought.highest(scores[None], self._outputs)


def _means(values: npt.NDArray[np.float32], offsets: Offsets) -> npt.NDArray[np.float32]:
    """The mean of the values around each cell, float32 (N, M), NaN where there are none."""
    sums, counts = np.zeros(values.shape, np.float32), np.zeros(values.shape, np.float32)
    reach = max(max(map(abs, offset)) for offset in offsets)
    wider = np.pad(values, reach, constant_values=np.nan)
    rows, columns = values.shape
    for down, across in offsets:
        top, left = reach + down, reach + across
        around = wider[top : top + rows, left : left + columns]
        known = ~np.isnan(around)
        sums[known] += around[known]
        counts += known
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
