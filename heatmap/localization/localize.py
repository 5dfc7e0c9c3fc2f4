"""Detections from score grids, by non-maximum suppression of windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ..classes import BACKGROUND, ClassGroup, ClassList, Wanted
from ..errors import GeometryError
from ..geometry import Geometry, scale_of
from ..grid.outputs import probabilities_of
from ..grid.score_grid import ScoreGrid
from .auto_scales import scale_weights
from .detection import Detection
from .scales import check_together

# Default IoU threshold: windows that overlap more show the same object.
IOU_THRESHOLD = 0.2
# Default confidence threshold of confirmed detections: at 0.3, 0.35 and 0.4 the precision on COCO
# photos is 0.69, 0.73 and 0.76, with 36, 32 and 26 hits (docs/evaluation.md).
CONFIDENCE_THRESHOLD = 0.35
# Bytes of probabilities of independent classes that are searched at once.
_MAPS_BYTES = 2**26


def localize(
    grids: ScoreGrid | Sequence[ScoreGrid],
    classes: Sequence[Wanted] | None = None,
    *,
    conf: float = CONFIDENCE_THRESHOLD,
    iou: float = IOU_THRESHOLD,
    max_det: int | None = None,
    exclude: Sequence[Wanted] = (),
) -> tuple[Detection, ...]:
    """Detect objects: windows of high probability, after non-maximum suppression.

    Greedy non-maximum suppression as in any detector: the most confident window is a detection
    and suppresses those that overlap it by more than ``iou``; then the most confident one left,
    and so on. Ties are resolved by the order of the grids, then in reading order. The windows
    of several scales compete with each other; windows of different classes do not. Without
    ``classes`` each window stands for its most probable class, except where classes are
    independent, of which a window may show several. Windows that were not scored are never
    detected.

    Probabilities are corrected for chance (:func:`outputs.above_chance`). Without ``classes``
    those of finer scales count less (:func:`auto_scales.scale_weights`).

    Args:
        grids: one grid, or several of one photo at different scales.
        classes: classes and groups to search, each by name, index, WordNet id or as a
            :class:`heatmap.ClassGroup`. None searches all classes except one called
            "background", which is only detected if named.
        conf: confidence threshold, 0..1: the lowest probability of a detection.
        iou: IoU threshold, 0..1: the largest intersection over union of two windows that are
            both detections.
        max_det: maximum number of detections, per class where ``classes`` are given; None is
            unlimited.
        exclude: classes and groups that are left out where ``classes`` are not given, as is one
            called "background".

    Returns:
        The detections, most confident first. Their ``xyxy`` is the window;
        :func:`heatmap.tighten` makes it tighter.

    Raises:
        ClassError: an unknown class.
        GeometryError: a threshold is outside 0..1.
        ResultError: no grid, or grids of different photos or models.
    """
    for name, number in (("confidence threshold", conf), ("IoU threshold", iou)):
        if not 0 <= number <= 1:
            raise GeometryError(f"{name} is {number}: it must be in 0..1")
    searched = [grids] if isinstance(grids, ScoreGrid) else list(grids)
    check_together(searched)
    lattices = [_Lattice.of(grid.geometry) for grid in searched]
    detections = []
    for search in _searches(searched, classes, conf, exclude):
        peaks = _peaks(lattices, search, conf, iou)
        for index, cell in islice(peaks, max_det):
            confidence = float(search.scores[index][cell])
            group = search.group(index, cell)
            detections.append(_detection(searched[index].geometry, cell, group, confidence))
    detections.sort(key=_rank)
    return tuple(detections if classes is not None else detections[:max_det])


def _rank(detection: Detection) -> tuple[Any, ...]:
    """The sort key: most confident first, with ties in a fixed order."""
    return -detection.confidence, detection.group.indices, -detection.scale, detection.cell


@dataclass(frozen=True, eq=False)
class _Search:
    """Windows that are searched together.

    ``scores`` are the probabilities (N, M) of each grid; ``group`` gives the class of a cell from
    the index of its grid and its (row, column). ``winners`` are the classes (N, M) of each grid
    where these differ from window to window: only windows of one class compete.
    """

    scores: list[npt.NDArray[np.float32]]
    group: Callable[[int, tuple[int, int]], ClassGroup]
    winners: list[npt.NDArray[np.intp]] | None = None


def _searches(
    grids: Sequence[ScoreGrid],
    classes: Sequence[Wanted] | None,
    conf: float,
    exclude: Sequence[Wanted],
) -> Iterator[_Search]:
    """The searches of named classes, of independent ones, or of those that win a window."""
    if classes is not None:
        yield from _searches_of(grids, grids[0].classes.find_all(classes), [1.0] * len(grids))
        return
    weights = scale_weights(grid.geometry for grid in grids)
    left_out = [*background_of(grids[0].classes), *grids[0].classes.indices(exclude)]
    if grids[0].is_exclusive:
        yield _search_of_winners(grids, weights, left_out)
    else:
        # Of classes, most of which are nowhere, no map is made before it is known to be of use.
        likely = _likely(grids, conf, left_out)
        cells = sum(math.prod(grid.geometry.grid_hw) for grid in grids)
        at_once = max(1, _MAPS_BYTES // (4 * cells))
        for start in range(0, len(likely), at_once):
            yield from _searches_of(grids, likely[start : start + at_once], weights)


def _searches_of(
    grids: Sequence[ScoreGrid], groups: Sequence[ClassGroup], weights: Sequence[float]
) -> Iterator[_Search]:
    """Each class or group by itself."""
    maps = [
        np.float32(weight) * grid.class_maps(groups)
        for grid, weight in zip(grids, weights, strict=True)
    ]
    for column, group in enumerate(groups):
        yield _Search([scores[:, :, column] for scores in maps], lambda *_, group=group: group)


def _search_of_winners(
    grids: Sequence[ScoreGrid], weights: Sequence[float], left_out: Sequence[int]
) -> _Search:
    """Every window as its most probable class, but those of classes left out."""
    names = grids[0].classes
    found = [_in_front(*grid.best(), left_out) for grid in grids]
    winners = [indices for indices, _ in found]
    scores = [
        np.float32(weight) * probabilities
        for (_, probabilities), weight in zip(found, weights, strict=True)
    ]
    return _Search(scores, lambda index, cell: names.single(int(winners[index][cell])), winners)


def _in_front(
    winners: npt.NDArray[np.intp], scores: npt.NDArray[np.float32], left_out: Sequence[int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Exclude the windows in which a class left out is the most probable one."""
    return winners, np.where(np.isin(winners, left_out), np.float32(np.nan), scores)


def background_of(classes: ClassList) -> list[int]:
    """The indices of classes called "background"."""
    return [index for index, name in enumerate(classes.names) if name == BACKGROUND]


def _likely(grids: Sequence[ScoreGrid], conf: float, left_out: Sequence[int]) -> list[ClassGroup]:
    """The independent classes, without those left out, that reach ``conf`` in some window."""
    highest = np.full(len(grids[0].classes), np.nan, dtype=np.float32)
    for grid in grids:
        for rows in grid.row_blocks():
            # fmax, since windows that were not scored are NaN.
            np.fmax(highest, np.fmax.reduce(grid.scores[rows], axis=(0, 1)), out=highest)
    probable = np.flatnonzero(probabilities_of(highest, grids[0].kind) >= conf)
    classes = grids[0].classes
    return [classes.single(int(index)) for index in np.setdiff1d(probable, left_out)]


@dataclass(frozen=True)
class _Lattice:
    """The edges of the windows of one grid, which are all of one size.

    Increasing float64 photo px: tops and bottoms (N,), lefts and rights (M,).
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
        """Area of a window, square px."""
        return float((self.bottoms[0] - self.tops[0]) * (self.rights[0] - self.lefts[0]))

    def overlapping(
        self, other: _Lattice, cell: tuple[int, int], iou: float
    ) -> tuple[slice, slice, npt.NDArray[np.bool_]] | None:
        """Which windows overlap a cell of ``other`` above ``iou``: rows, columns, and which there.

        None where windows of these sizes never do.
        """
        area, other_area = self.area, other.area
        # Not even a window wholly inside the other overlaps by more than that.
        if min(area, other_area) <= iou * max(area, other_area):
            return None
        rows, down = _shared(self.tops, self.bottoms, other.tops[cell[0]], other.bottoms[cell[0]])
        columns, across = _shared(
            self.lefts, self.rights, other.lefts[cell[1]], other.rights[cell[1]]
        )
        shared = np.outer(down, across)
        return rows, columns, shared > iou * (area + other_area - shared)


def _shared(
    starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], start: float, end: float
) -> tuple[slice, npt.NDArray[np.float64]]:
    """Which of the intervals, in increasing order, overlap [start, end], and by how much."""
    near = slice(int(ends.searchsorted(start, "right")), int(starts.searchsorted(end)))
    return near, np.minimum(ends[near], end) - np.maximum(starts[near], start)


def _peaks(
    lattices: Sequence[_Lattice],
    search: _Search,
    conf: float,
    iou: float,
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Windows that survive suppression, best first: index of the grid, and the cell.

    The same as torchvision.ops.nms on float64 boxes. That compares each box it keeps with all
    others; windows of a grid lie in rows and columns, so the neighbours of one are known without
    a search. cv2.dnn.NMSBoxes takes 1.8 s for the 237,000 windows of 64 megapixels at stride 16,
    this 0.09 s; and it computes overlaps in float32, which changed the result of 381 of 3,258
    random searches (74 of 362 at the default threshold), because overlaps of neighbours in a grid
    are often exactly the threshold.
    """
    scores = search.scores
    flat = np.concatenate([confidences.ravel() for confidences in scores])
    candidates = np.flatnonzero(flat >= conf)
    order = candidates[np.argsort(-flat[candidates], kind="stable")]
    starts = np.cumsum([0, *(confidences.size for confidences in scores)])
    alive = np.ones(flat.shape, bool)
    masks = [
        part.reshape(confidences.shape)
        for part, confidences in zip(np.split(alive, starts[1:-1]), scores, strict=True)
    ]
    for candidate in order.tolist():
        if not alive[candidate]:
            continue
        index = int(starts.searchsorted(candidate, "right")) - 1
        cell = divmod(candidate - int(starts[index]), len(lattices[index].lefts))
        yield index, cell
        for number, lattice in enumerate(lattices):
            if (near := lattice.overlapping(lattices[index], cell, iou)) is None:
                continue
            rows, columns, rivals = near
            if search.winners is not None:
                winner = search.winners[index][cell]
                rivals = rivals & (search.winners[number][rows, columns] == winner)
            masks[number][rows, columns] &= ~rivals


def _detection(
    geometry: Geometry, cell: tuple[int, int], group: ClassGroup, confidence: float
) -> Detection:
    """The window of a cell, clipped to the photo, as a detection."""
    height, width = geometry.photo_hw
    left, top, right, bottom = geometry.window_xyxy(*cell)
    window = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    return Detection(group, confidence, window, window, cell, scale_of(geometry), confidence)
