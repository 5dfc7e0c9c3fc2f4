"""Detections from score grids: the most confident windows, each object once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ..classes import BACKGROUND, ClassGroup, ClassList, Wanted
from ..errors import GeometryError
from ..geometry import Box, Geometry, scale_of
from ..grid.score_grid import ScoreGrid
from .scales import check_together

# Two windows that share more than this (intersection over union) show one thing.
IOU_THRESHOLD = 0.2
# A window of less probability shows nothing, where nobody says how confident it must be.
CONFIDENCE_THRESHOLD = 0.3


@dataclass(frozen=True)
class Detection:
    """One object found on a photo.

    Attributes:
        group: its class, or the group of classes that was searched for.
        confidence: its probability, 0..1.
        xyxy: its box (left, top, right, bottom) in photo px: the window that shows it, or one
            drawn tight around the hot region of the heatmap (:func:`heatmap.tighten`).
        window_xyxy: the window that is most confident of it, in photo px. Both boxes are cut to
            the photo.
        cell: row and column of that window in the grid of its scale.
        scale: resize factor of the photo in that grid: of its longer side, as rounded to pixels.

    >>> box = (12.0, 8.0, 190.0, 170.0)
    >>> Detection(ClassGroup("cat", (281, 282)), 0.82, box, (0, 0, 224, 224), (0, 0), 1.0).name
    'cat'
    """

    group: ClassGroup
    confidence: float
    xyxy: Box
    window_xyxy: Box
    cell: tuple[int, int]
    scale: float

    @property
    def name(self) -> str:
        """Name of the class or group."""
        return self.group.name


def localize(
    grids: ScoreGrid | Sequence[ScoreGrid],
    classes: Sequence[Wanted] | None = None,
    *,
    conf: float = CONFIDENCE_THRESHOLD,
    iou: float = IOU_THRESHOLD,
    max_det: int | None = None,
) -> tuple[Detection, ...]:
    """Find objects: windows of high probability, of those that overlap the best one only.

    Greedy non-maximum suppression of the windows, as every detector does it to its boxes: the
    most confident one is an object, and takes away those that overlap it by more than ``iou``;
    then the most confident one that is left, and so on. Of equal ones the first grid's goes
    first, in reading order. The windows of several scales compete with each other. Without
    ``classes`` every window stands for its most probable class, and all classes compete; with
    ``classes`` each is searched by itself. Windows that were not scored are never found.

    Args:
        grids: what to search: a grid, or several of one photo at different scales.
        classes: classes and groups to search, each by name, index, WordNet id or as a
            :class:`heatmap.ClassGroup`. None is whatever is there, but for a class called
            "background", which is found by its name only.
        conf: confidence threshold: the smallest probability of an object, 0..1.
        iou: IoU threshold: the largest intersection over union of two windows that are both
            found, 0..1.
        max_det: how many to find at most, of each class where they are named; None is all.

    Returns:
        Most confident first. ``xyxy`` is the window; :func:`heatmap.tighten` draws it tighter.

    Raises:
        ClassError: an unknown class.
        GeometryError: a threshold outside 0..1.
        ResultError: no grid, or grids that are not of one photo by one model.
    """
    for name, number in (("confidence threshold", conf), ("IoU threshold", iou)):
        if not 0 <= number <= 1:
            raise GeometryError(f"{name} is {number}: it must be in 0..1")
    searched = [grids] if isinstance(grids, ScoreGrid) else list(grids)
    check_together(searched)
    lattices = [_Lattice.of(grid.geometry) for grid in searched]
    detections = []
    for search in _searches(searched, classes):
        peaks = _peaks(lattices, search.scores, conf, iou)
        for index, cell in islice(peaks, max_det):
            confidence = float(search.scores[index][cell])
            group = search.group(index, cell)
            detections.append(_detection(searched[index].geometry, cell, group, confidence))
    return tuple(sorted(detections, key=_rank))


def _rank(detection: Detection) -> tuple[Any, ...]:
    """Most confident first; equal ones always in the same order."""
    return -detection.confidence, detection.group.indices, -detection.scale, detection.cell


@dataclass(frozen=True, eq=False)
class _Search:
    """Windows that compete with each other.

    ``scores`` are the probabilities (N, M) of each grid, and ``group`` tells the class that a
    cell stands for, by the index of its grid and by row and column.
    """

    scores: list[npt.NDArray[np.float32]]
    group: Callable[[int, tuple[int, int]], ClassGroup]


def _searches(grids: Sequence[ScoreGrid], classes: Sequence[Wanted] | None) -> list[_Search]:
    names = grids[0].classes
    if classes is None:
        winners = [_in_front(*grid.best(), names) for grid in grids]
        winner = lambda index, cell: names.single(int(winners[index][0][cell]))  # noqa: E731
        return [_Search([scores for _, scores in winners], winner)]
    groups = names.find_all(classes)
    maps = [grid.class_maps(groups) for grid in grids]
    return [
        _Search([scores[:, :, column] for scores in maps], lambda *_, group=group: group)
        for column, group in enumerate(groups)
    ]


def _in_front(
    winners: npt.NDArray[np.intp], scores: npt.NDArray[np.float32], classes: ClassList
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Without the windows of the background: where it wins, nothing was found."""
    background = [index for index, name in enumerate(classes.names) if name == BACKGROUND]
    return winners, np.where(np.isin(winners, background), np.float32(np.nan), scores)


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
    """Windows that survive suppression, best first: index of the grid, and the cell.

    What torchvision.ops.nms keeps of boxes in float64. That compares each box that it keeps
    with all others; the windows of a grid lie in rows and columns, so that those near one are
    known without a search. cv2.dnn.NMSBoxes takes 1.8 s for the 237,000 windows of 64
    megapixels at stride 16, where this takes 0.09 s. It computes overlaps in float32, which
    kept others in 381 of 3,258 random searches (74 of 362 at the default threshold): where an
    overlap is just the threshold, as of neighbours in a grid it often is.
    """
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
        for lattice, mask in zip(lattices, masks, strict=True):
            lattice.suppress(mask, lattices[index], cell, iou)


def _detection(
    geometry: Geometry, cell: tuple[int, int], group: ClassGroup, confidence: float
) -> Detection:
    """The window of a cell, cut to the photo, as an object of a class."""
    height, width = geometry.photo_hw
    left, top, right, bottom = geometry.window_xyxy(*cell)
    window = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    return Detection(group, confidence, window, window, cell, scale_of(geometry))
