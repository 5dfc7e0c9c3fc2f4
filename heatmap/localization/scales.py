"""Several scales of one photo, fused into one grid.

A window at scale s covers window/s photo px, so small scales find large objects and large scales
small ones. All grids are interpolated to the cells of the finest one, as probabilities: logits of
different windows are not comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from textwrap import shorten
from typing import get_args

import numpy as np
import numpy.typing as npt

from ..errors import ResultError
from ..geometry import Geometry, scale_of
from ..grid.collector import Collector
from ..grid.origin import Fusion, Origin
from ..grid.outputs import made_probable, probabilities_of
from ..grid.score_grid import ScoreGrid

# Rows are fused a few at a time, with this many bytes of the result in memory.
BLOCK_BYTES = 32 * 2**20
# Positions are rounded to this many decimals of a cell, so that rounding errors do not mix a
# neighbour's value into a cell that was not scored.
POSITION_DECIMALS = 6


def check_together(grids: Sequence[ScoreGrid]) -> None:
    """Refuse grids of different photos or models.

    Raises:
        ResultError: no grid, or grids that differ in photo, classes, kind or weights.
    """
    if not grids:
        raise ResultError("no grid was given: give one for each scale")
    first = _identity(grids[0])
    for grid in grids[1:]:
        for name, value in _identity(grid).items():
            if value != first[name]:
                texts = (
                    shorten(str(either), 40, placeholder="...") for either in (first[name], value)
                )
                raise ResultError(
                    f"grids to combine differ in {name} ({' and '.join(texts)}): "
                    "score one photo with one model"
                )


def _identity(grid: ScoreGrid) -> dict[str, object]:
    """What all grids of one photo and model have in common."""
    return {
        "height and width of the photo": grid.geometry.photo_hw,
        "photo": grid.origin.photo_digest,
        "weights": grid.origin.weights.digest,
        "number of classes": len(grid.classes),
        "names of classes": grid.classes.names,
        "kind": grid.kind,
    }


def finest(grids: Sequence[ScoreGrid]) -> ScoreGrid:
    """The grid with the smallest distance between cell centres; the first of several."""
    return min(grids, key=lambda grid: grid.geometry.stride_px / scale_of(grid.geometry))


def fuse_scales(
    grids: Sequence[ScoreGrid], fuse: Fusion = "mean", folder: Path | None = None
) -> ScoreGrid:
    """Fuse the grids of one photo at several scales into one, on the cells of the finest.

    The other grids are interpolated linearly at the cell centres of the finest one, with the
    nearest value beyond their outermost centres. Each cell of the result is the mean or the
    maximum over the scales, class by class; after "max" the probabilities of a cell may add up
    to more than 1. Cells that a scale did not score (NaN) are left out, and the weights of the
    others renormalised; a cell is NaN only where no scale has a score for it.

    The mean is the default because its maximum lies on an object more often (pointing game, 170
    (photo, class) pairs): 0.606 with scales 0.5, 1 and 2, and 0.671 with 1, 2 and 3; for the
    maximum over scales 0.553 and 0.624; for the single scales 0.5, 1, 2 and 3 0.171, 0.500, 0.612
    and 0.612 (`benchmarks/scales.py`, 100 COCO photos, EfficientNet-Lite0).

    Args:
        grids: at least one.
        fuse: "mean" or "max".
        folder: where the result will be saved: one too large for memory is collected on that
            disk.

    Returns:
        A grid of probabilities, float32 (N, M, K), with the cells of the finest grid.

    Raises:
        ResultError: no grid, grids of different photos or models, an unknown ``fuse``, or
            no room on the disk.
    """
    check_together(grids)
    target = finest(grids)
    kind = made_probable(target.kind)
    collector = Collector(target.geometry, target.classes, kind, folder=folder)
    for row, fused in fused_rows(grids, fuse):
        collector.write(row, 0, fused)
    return collector.finish(fused_origin(grids, fuse))


@dataclass(eq=False)
class Windows:
    """The windows of a photo: a grid of each scale, and one of all, made when it is asked for.

    Attributes:
        scales: the grid of each scale by its name, at least one.
        fuse, folder: as for :func:`fuse_scales`.
    """

    scales: Mapping[str, ScoreGrid]
    fuse: Fusion = "mean"
    folder: Path | None = None

    @cached_property
    def grid(self) -> ScoreGrid:
        """All in one: fused where there are several scales."""
        grids = list(self.scales.values())
        return grids[0] if len(grids) == 1 else fuse_scales(grids, self.fuse, self.folder)

    @property
    def several(self) -> Mapping[str, ScoreGrid]:
        """The grid of each scale by its name, where there are several."""
        return self.scales if len(self.scales) > 1 else {}

    @property
    def finest(self) -> ScoreGrid:
        """The grid that has the cells of the one grid."""
        return finest(list(self.scales.values()))

    @property
    def not_scored(self) -> int:
        """How many cells of the one grid were not scored at any scale."""
        if all(grid.scored.all() for grid in self.scales.values()):
            return 0
        return int((~self.grid.scored).sum())


def fused_origin(grids: Sequence[ScoreGrid], fuse: Fusion) -> Origin:
    """The origin of the finest grid, with the scales and how they were fused."""
    scales = tuple(scale_of(grid.geometry) for grid in grids)
    counts = [grid.origin.cropped for grid in grids if grid.origin.cropped is not None]
    cropped = (sum(done for done, _ in counts), sum(of for _, of in counts)) if counts else None
    return replace(finest(grids).origin, scales=scales, fuse=fuse, cropped=cropped)


def fused_rows(
    grids: Sequence[ScoreGrid], fuse: Fusion
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """The result of :func:`fuse_scales` a few rows at a time: the first row, and (n, M, K).

    For grids larger than memory: about ``BLOCK_BYTES`` of the result (at least one row) and a few
    times as much of the grids are in memory.

    Raises:
        ResultError: as :func:`fuse_scales`.
    """
    check_together(grids)
    if fuse not in get_args(Fusion):
        raise ResultError(f"scales fused by {fuse!r}: choose one of {', '.join(get_args(Fusion))}")
    target = finest(grids)
    rows, columns, count = target.scores.shape
    axes = [_neighbours(grid.geometry, target.geometry) for grid in grids]
    height = max(1, BLOCK_BYTES // (columns * count * 4))
    for row in range(0, rows, height):
        parts = [
            _interpolated(grid, down.some(row, row + height), across)
            for grid, (down, across) in zip(grids, axes, strict=True)
        ]
        yield row, (_mean(parts) if fuse == "mean" else _largest(parts))


@dataclass(frozen=True)
class _Neighbours:
    """The two neighbours, along an axis of a grid, of each cell of another grid.

    An interpolated value is ``below`` times the value at ``low`` plus ``above`` times the value at
    ``high``. The weights add up to 1, each rounded once to float32. All are (n,).
    """

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    below: npt.NDArray[np.float32]
    above: npt.NDArray[np.float32]

    @classmethod
    def at(cls, positions: Sequence[float], cells: int) -> _Neighbours:
        """The neighbours of fractional positions, clipped to the range of the cells."""
        held = np.clip(np.round(positions, POSITION_DECIMALS), 0, cells - 1)
        low = held.astype(np.int64)
        above = held - low
        # Not 1 minus the rounded ``above``: where only the lower cell was scored, the result is
        # divided by its weight, which near 0 would then be mostly rounding error.
        below, above = (1 - above).astype(np.float32), above.astype(np.float32)
        return cls(low, np.minimum(low + 1, cells - 1), below, above)

    def some(self, start: int, stop: int) -> _Neighbours:
        return _Neighbours(
            self.low[start:stop],
            self.high[start:stop],
            self.below[start:stop],
            self.above[start:stop],
        )

    def shifted(self, cells: int) -> _Neighbours:
        """The same neighbours in a grid without its first ``cells`` cells."""
        return replace(self, low=self.low - cells, high=self.high - cells)

    def between(self, values: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
        """Values interpolated linearly along an axis."""
        # The finest grid has its cells where the result has them.
        if not self.above.any():
            return values.take(self.low, axis)
        shape = (-1, *[1] * (values.ndim - axis - 1))
        low, high = values.take(self.low, axis), values.take(self.high, axis)
        low *= self.below.reshape(shape)
        high *= self.above.reshape(shape)
        low += high
        return low


# Photos of one size have the same geometries.
@lru_cache(64)
def _neighbours(source: Geometry, target: Geometry) -> tuple[_Neighbours, _Neighbours]:
    """The neighbours in the source of the rows and of the columns of the target."""
    rows, columns = target.grid_hw
    down = [source.cell_at(*target.centre_xy(row, 0))[0] for row in range(rows)]
    across = [source.cell_at(*target.centre_xy(0, column))[1] for column in range(columns)]
    return _Neighbours.at(down, source.grid_hw[0]), _Neighbours.at(across, source.grid_hw[1])


# Weighted sums (n, M, K) of the cells that were scored, and their weights (n, M, 1).
_Weighted = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def _interpolated(grid: ScoreGrid, down: _Neighbours, across: _Neighbours) -> _Weighted:
    first, end = int(down.low[0]), int(down.high[-1]) + 1
    near = probabilities_of(np.asarray(grid.scores[first:end]), grid.kind)
    scored = ~np.isnan(near[:, :, :1])
    rows = down.shifted(first)
    values = near if scored.all() else np.where(scored, near, np.float32(0))
    sums = across.between(rows.between(values, 0), 1)
    return sums, across.between(rows.between(scored.astype(np.float32), 0), 1)


def _mean(parts: Sequence[_Weighted]) -> npt.NDArray[np.float32]:
    """Mean of the scales, weighted by the scored fraction of the interpolated cells."""
    sums = sum(part[0] for part in parts[1:]) + parts[0][0]
    return _ratio(sums, sum(part[1] for part in parts[1:]) + parts[0][1])


def _largest(parts: Sequence[_Weighted]) -> npt.NDArray[np.float32]:
    largest = _ratio(*parts[0])
    for part in parts[1:]:
        np.fmax(largest, _ratio(*part), out=largest)
    return largest


def _ratio(
    sums: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Sums divided by weights; NaN where the weight is 0."""
    scored = weights > 0
    if scored.all():
        return np.divide(sums, weights)
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=scored)
