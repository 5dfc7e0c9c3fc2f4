"""Objects from grids: the the most confident windows, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from ..classes import BACKGROUND, ClassGroup, ClassList, Wanted
from ..errors import GeometryError
from ..geometry import Box, Geometry, scale_of
from ..grid.score_grid import ScoreGrid
from .scales import check_together

# Two windows that share more than this (intersection over union) show one thing.
IOU_THRESHOLD = 0.2
# Below this probability a window of a photo of which nothing is known is left out.
CONFIDENCE_THRESHOLD = 0.3


@dataclass(frozen=True)
class Detection:
    """One object: what it is, its probability in 0..1, and where it lies, in photo px.

    ``xyxy`` is its box: drawn tight around the hot region of the heatmap, or the window
    itself. ``window_xyxy`` is the window that is surest of it, ``cell`` that window's row
    and column in the grid of ``scale``, the resize factor of the photo (of its longer side,
    as rounded to pixels). Both boxes are cut to the photo.
    """

    group: ClassGroup
    confidence: float
    xyxy: Box
    window_xyxy: Box
    cell: tuple[int, int]
    scale: float

    @property
    def name(self) -> str:
        """Of the class or group."""
        return self.group.name


def localize(
    grids: ScoreGrid | Sequence[ScoreGrid],
    classes: Sequence[Wanted] | None = None,
    *,
    conf: float = CONFIDENCE_THRESHOLD,
    iou: float = IOU_THRESHOLD,
    max_det: int | None = None,
) -> tuple[Detection, ...]:
    """Find objects: windows of high probability, without those that overlap a better one.

    Without ``classes`` every window stands for its most probable class and all
    compete with each other, but for windows of a class called "background", which is found
    only by name; with ``classes`` each class is searched by itself.
    Of a photo scored at several scales, the windows of all scales compete. Greedy
    non-maximum suppression; windows that were not scored are never found.

    Args:
        grids: what to search: a grid, or several of one photo at different scales.
        classes: classes and groups as :meth:`ClassList.find` takes them; None is whatever
            wins.
        conf: smallest probability, 0..1.
        iou: largest intersection over union of two windows, 0..1.
        max_det: how many to find, of each class where they are named; None is all.

    Returns:
        Best first; ``xyxy`` is the window. :func:`sharpen.tighten` draws it tighter.

    Raises:
        ClassError: an unknown class.
        GeometryError: a number outside 0..1.
        ResultError: no grid, or grids that are not of one photo by one model.
    """
    for name, number in (("confidence threshold", conf), ("IoU threshold", iou)):
        if not 0 <= number <= 1:
            raise GeometryError(f"{name} is {number}: it must be in 0..1")
    together = [grids] if isinstance(grids, ScoreGrid) else list(grids)
    check_together(together)
    lattices = [_Lattice.of(grid.geometry) for grid in together]
    found = []
    for search in _searches(together, classes):
        peaks = _peaks(lattices, search.scores, conf, iou)
        for which, cell in islice(peaks, max_det):
            score = float(search.scores[which][cell])
            found.append(_found(together[which], cell, search.group(which, cell), score))
    return tuple(
        sorted(found, key=lambda one: (-one.confidence, one.group.indices, -one.scale, one.cell))
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """What competes at a time: scores (N, M) of each grid, and which group a cell stands for."""

    scores: list[npt.NDArray[np.float32]]
    group: Callable[[int, tuple[int, int]], ClassGroup]


def _searches(grids: Sequence[ScoreGrid], classes: Sequence[Wanted] | None) -> list[_Search]:
    if classes is None:
        known = grids[0].classes
        best = [_in_front(*grid.best(), known) for grid in grids]
        winner = lambda which, cell: known.single(int(best[which][0][cell]))  # noqa: E731
        return [_Search([score for _, score in best], winner)]
    wanted = grids[0].classes.find_all(classes)
    maps = [grid.class_maps(wanted) for grid in grids]
    return [
        _Search([scores[:, :, place] for scores in maps], lambda *_, group=group: group)
        for place, group in enumerate(wanted)
    ]


def _in_front(
    winners: npt.NDArray[np.intp], scores: npt.NDArray[np.float32], known: ClassList
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Without the windows of the background: where it wins, nothing was found."""
    behind = [place for place, name in enumerate(known.names) if name == BACKGROUND]
    return winners, np.where(np.isin(winners, behind), np.float32(np.nan), scores)


@dataclass(frozen=True)
class _Lattice:
    """The windows of one grid, all of one size, by the sides of their rows and columns.

    Edges are float64 photo px, rising: tops and bottoms (N,), lefts and rights (M,).
    """

    tops: npt.NDArray[np.float64]
    bottoms: npt.NDArray[np.float64]
    lefts: npt.NDArray[np.float64]
    rights: npt.NDArray[np.float64]

    @classmethod
    def of(cls, geometry: Geometry) -> _Lattice:
        rows, columns = geometry.grid_hw
        down = np.array([geometry.window_xyxy(row, 0) for row in range(rows)])
        across = np.array([geometry.window_xyxy(0, column) for column in range(columns)])
        return cls(down[:, 1], down[:, 3], across[:, 0], across[:, 2])

    @property
    def area(self) -> float:
        """Of each window, px."""
        return float((self.bottoms[0] - self.tops[0]) * (self.rights[0] - self.lefts[0]))

    def suppress(
        self,
        alive: npt.NDArray[np.bool_],
        other: _Lattice,
        cell: tuple[int, int],
        iou: float,
    ) -> None:
        """Clear in ``alive`` (N, M) the windows that overlap a cell of another lattice more."""
        area, other_area = self.area, other.area
        # Not even a window wholly inside the other overlaps more.
        if min(area, other_area) <= iou * max(area, other_area):
            return
        rows, down = _shared(self.tops, self.bottoms, other.tops[cell[0]], other.bottoms[cell[0]])
        columns, across = _shared(
            self.lefts, self.rights, other.lefts[cell[1]], other.rights[cell[1]]
        )
        shared = np.outer(down, across)
        alive[rows, columns] &= shared <= iou * (area + other_area - shared)


def _shared(
    starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], start: float, end: float
) -> tuple[slice, npt.NDArray[np.float64]]:
    """Which of the rising intervals share some length with another, and how much each."""
    near = slice(int(ends.searchsorted(start, "right")), int(starts.searchsorted(end)))
    return near, np.minimum(ends[near], end) - np.maximum(starts[near], start)


def _peaks(
    lattices: Sequence[_Lattice],
    scores: Sequence[npt.NDArray[np.float32]],
    conf: float,
    iou: float,
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Windows that survive suppression, best first: which grid, and the cell.

    What torchvision.ops.nms would keep. It compares each window that it keeps with all
    others; the windows of a grid lie in rows and columns, so that those near one are known
    without a search.
    """
    flat = np.concatenate([each.ravel() for each in scores])
    candidates = np.flatnonzero(flat >= conf)
    order = candidates[np.argsort(-flat[candidates], kind="stable")]
    starts = np.cumsum([0, *(each.size for each in scores)])
    alive = np.ones(flat.shape, bool)
    views = [
        part.reshape(each.shape)
        for part, each in zip(np.split(alive, starts[1:-1]), scores, strict=True)
    ]
    for position in order.tolist():
        if not alive[position]:
            continue
        which = int(starts.searchsorted(position, "right")) - 1
        cell = divmod(position - int(starts[which]), len(lattices[which].lefts))
        yield which, cell
        for lattice, view in zip(lattices, views, strict=True):
            lattice.suppress(view, lattices[which], cell, iou)


def _found(grid: ScoreGrid, cell: tuple[int, int], group: ClassGroup, score: float) -> Detection:
    """The window of a cell, cut to the photo, as an object of a class."""
    height, width = grid.geometry.photo_hw
    left, top, right, bottom = grid.geometry.window_xyxy(*cell)
    window = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    return Detection(group, score, window, window, cell, scale_of(grid.geometry))
