"""Areas: for each pixel the class that wins there, for textures, land cover or defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..geometry import Geometry
from ..grid.outputs import probabilities_of
from ..grid.score_grid import ScoreGrid
from ..grid.upsample import Part, nearest, touched_cells, upsample_part

# At most so many classes are told apart; the others are "other" together.
MOST_AREAS = 8
# Labels of pixels whose class is none of these, and of those that were not scored.
OTHER, UNSCORED = 254, 255
# The photo is looked at in tiles, since in each of them only a few of many classes can win.
_TILE_PX = 128
# The cells of a row of tiles take at most so many bytes, or the tiles are lower,
_CELL_BYTES = 2**26
# but not lower than this, since neighbouring tiles share cells.
_LEAST_TILE_PX = 16

Labels = npt.NDArray[np.uint8]
Winners = npt.NDArray[np.int32]
Probabilities = npt.NDArray[np.float32]
_NOT_SCORED = -1


@dataclass(frozen=True, eq=False)
class Areas:
    """The classes that win somewhere on a photo, and the share of its pixels that each wins.

    Attributes:
        grid: the scores that they are of.
        groups: the classes with the largest areas, largest first, at most ``MOST_AREAS``.
        fractions: the share of the photo's pixels that each of them wins, 0..1.
        others: how many further classes win somewhere.
        other: the share of pixels that those win together, 0..1.
        unscored: the share of pixels whose window was not scored, 0..1. With it, ``other`` and
            ``fractions`` add to 1.
    """

    grid: ScoreGrid
    groups: tuple[ClassGroup, ...]
    fractions: tuple[float, ...]
    others: int
    other: float
    unscored: float

    @property
    def others_name(self) -> str:
        """The further classes in words."""
        return "1 other class" if self.others == 1 else f"{self.others} other classes"

    def rows(self) -> list[tuple[str, float]]:
        """Name and share of pixels of each class, then of the others, and of what was not scored.

        They add to 1.
        """
        rest = ((self.others_name, self.other), ("not scored", self.unscored))
        names = (group.name for group in self.groups)
        named = zip(names, self.fractions, strict=True)
        return [*named, *((name, share) for name, share in rest if share)]

    def labels(self, picture_hw: tuple[int, int] | None = None) -> Labels:
        """What is at each pixel: uint8 (H, W), an index of ``groups``, ``OTHER`` or ``UNSCORED``.

        Args:
            picture_hw: height and width of a picture of the photo, px; None is the photo's own,
                which for a large photo takes a third of the memory of its pixels.
        """
        strips = _winners_of_strips(self.grid, _at(self.grid, picture_hw))
        # The index of no class, -1, is that of the last label.
        return np.concatenate([self._label_of[winners] for winners in strips])

    @cached_property
    def _label_of(self) -> Labels:
        """The label of each class, and at the end that of no class: uint8 (K + 1,)."""
        labels = np.full(len(self.grid.classes) + 1, OTHER, np.uint8)
        labels[_NOT_SCORED] = UNSCORED
        for label, group in enumerate(self.groups):
            labels[list(group.indices)] = label
        return labels


def areas_of(grid: ScoreGrid) -> Areas:
    """The areas of the classes of a grid, "background" among them.

    At each pixel the class wins whose heatmap is the highest there, by probabilities as they are,
    not corrected for chance; of equal ones the first. So it is with independent classes, too. A
    grid of which only some classes were stored knows of no others.

    Cells that were not scored have no say beside those that were, and a pixel whose nearest cell
    was not scored belongs to no class.
    """
    pixels = np.zeros(len(grid.classes) + 1, np.int64)
    for winners in _winners_of_strips(grid, grid.geometry):
        pixels += np.bincount(winners.ravel() + 1, minlength=len(pixels))
    won, total = pixels[1:], int(pixels.sum())
    ranked = np.argsort(-won, kind="stable")[: np.count_nonzero(won)]
    shown, rest = ranked[:MOST_AREAS], ranked[MOST_AREAS:]
    return Areas(
        grid,
        tuple(grid.classes.single(int(index)) for index in shown),
        tuple(int(won[index]) / total for index in shown),
        len(rest),
        int(won[rest].sum()) / total,
        int(pixels[0]) / total,
    )


def _at(grid: ScoreGrid, picture_hw: tuple[int, int] | None) -> Geometry:
    """Where the same cells lie on a picture of the photo."""
    return replace(grid.geometry, photo_hw=picture_hw) if picture_hw else grid.geometry


def _winners_of_strips(grid: ScoreGrid, geometry: Geometry) -> Iterator[Winners]:
    """The index of the class that wins at each pixel, int32 (n, W), strip by strip.

    It is ``_NOT_SCORED`` where the nearest cell was not scored.
    """
    height, width = geometry.photo_hw
    at_once = _strip_px(grid, geometry)
    for top in range(0, height, at_once):
        rows = (top, min(top + at_once, height))
        winners = _winners_of_strip(grid, geometry, (rows, (0, width)))
        if not grid.scored.all():
            winners[~nearest(grid.scored, geometry, rows)] = _NOT_SCORED
        yield winners


def _strip_px(grid: ScoreGrid, geometry: Geometry) -> int:
    """The height of tiles, px."""
    _, columns, classes = grid.scores.shape
    rows = _TILE_PX
    while rows > _LEAST_TILE_PX:
        cells = touched_cells(geometry, ((0, rows), (0, 1)))[0]
        if (cells.stop - cells.start) * columns * classes * 4 <= _CELL_BYTES:
            break
        rows //= 2
    return rows


def _winners_of_strip(grid: ScoreGrid, geometry: Geometry, strip: Part) -> Winners:
    rows, (_, width) = strip
    below = touched_cells(geometry, strip)[0]
    probabilities = np.nan_to_num(probabilities_of(grid.scores[below], grid.kind), nan=0.0)
    winners = np.empty((rows[1] - rows[0], width), np.int32)
    for left in range(0, width, _TILE_PX):
        columns = (left, min(left + _TILE_PX, width))
        across = touched_cells(geometry, (rows, columns))[1]
        winners[:, slice(*columns)] = _winners(probabilities[:, across], geometry, (rows, columns))
    return winners


def _winners(touched: Probabilities, geometry: Geometry, part: Part) -> Winners:
    """The index of the class that wins at each pixel of a part of the photo."""
    candidates = np.flatnonzero(may_win(touched))
    (top, bottom), (left, right) = part
    winners = np.full((bottom - top, right - left), candidates[0], np.int32)
    if len(candidates) == 1:
        return winners
    highest = np.full(winners.shape, -1, np.float32)
    for index in candidates:
        heat = upsample_part(np.ascontiguousarray(touched[:, :, index]), geometry, part)
        # Of equal ones the first stays.
        winners[heat > highest] = index
        np.maximum(highest, heat, out=highest)
    return winners


def may_win(probabilities: Probabilities) -> npt.NDArray[np.bool_]:
    """Which classes may be the highest somewhere between or on the cells: bool (K,).

    None that wins is missing, though some may be there that win nowhere. Between four
    neighbouring cells every class is a mean of its four corners, each class with the same weights.
    So a class wins nowhere between them if at all four corners it lies below another class, or
    below a fixed mean of several: of these one is always at least as high as their mean.

    Args:
        probabilities: finite, float32 (n, M, K), of neighbouring rows of cells.
    """
    possible = np.zeros(probabilities.shape[2], np.bool_)
    last_row, last_column = (count - 1 for count in probabilities.shape[:2])
    for row in range(max(1, last_row)):
        pair = probabilities[[row, min(row + 1, last_row)]]
        right = pair[:, 1:] if last_column else pair
        left = pair[:, :-1] if last_column else pair
        possible |= _may_win_between(np.stack([left[0], right[0], left[1], right[1]]))
    return possible


def _may_win_between(corners: Probabilities) -> npt.NDArray[np.bool_]:
    """The same for squares of cells, given their corners: float32 (4, squares, K)."""
    # A class that is nowhere above another's lowest corner lies below that one.
    floor = corners.min(axis=0).max(axis=1, keepdims=True)
    squares, classes = np.nonzero(corners.max(axis=0) >= floor)
    own = corners[:, squares, classes]
    # The classes that win at the corners, at the four corners: (4 corners, squares, 4 classes).
    best = corners.argmax(axis=2).T
    rivals = np.take_along_axis(corners, best[None], axis=2)
    possible = ~(own < rivals.mean(axis=2)[:, squares]).all(axis=0)
    for column in range(4):
        rival = rivals[:, squares, column]
        # Of equal ones the first wins.
        beaten = np.where(best[squares, column] < classes, own <= rival, own < rival)
        possible &= ~beaten.all(axis=0)
    found = np.zeros(corners.shape[2], np.bool_)
    found[classes[possible]] = True
    return found
