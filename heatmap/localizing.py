"""Objects from a grid: the windows that say most, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import nms

from .errors import GeometryError
from .grid import ScoreGrid

# Two windows that share more than this (intersection over union) show one thing.
MOST_OVERLAP = 0.2
# Below this probability a window of a photo of which nothing is known is left out.
LEAST_SCORE = 0.3


@dataclass(frozen=True)
class Found:
    """One object: its class, probability in 0..1, and window in photo px.

    ``xyxy`` is the window cut to the photo; ``cell`` is its row and column.
    """

    name: str
    index: int
    score: float
    xyxy: tuple[float, float, float, float]
    cell: tuple[int, int]


def localize(
    grid: ScoreGrid,
    classes: Sequence[str | int] | None = None,
    *,
    least_score: float = LEAST_SCORE,
    most_overlap: float = MOST_OVERLAP,
) -> tuple[Found, ...]:
    """Find objects: windows of high probability, without those that overlap a better one.

    Without ``classes`` every window stands for its most probable class and all
    compete with each other; with ``classes`` each class is searched by itself.
    Greedy non-maximum suppression (torchvision.ops.nms).

    Args:
        grid: what to search.
        classes: names, indices, wnids or prefixes; None is whatever wins.
        least_score: smallest probability, 0..1.
        most_overlap: largest intersection over union of two windows, 0..1.

    Returns:
        Best first.

    Raises:
        ClassError: an unknown class.
        GeometryError: a number outside 0..1.
    """
    for name, number in (("least score", least_score), ("most overlap", most_overlap)):
        if not 0 <= number <= 1:
            raise GeometryError(f"{name} is {number}: it must be in 0..1")
    probabilities = grid.probabilities()
    if classes is None:
        winners = probabilities.argmax(axis=2)
        found = _peaks(grid, probabilities.max(axis=2), winners, least_score, most_overlap)
    else:
        found = []
        for index in dict.fromkeys(grid.classes.find(wanted) for wanted in classes):
            scores = probabilities[:, :, index]
            same = np.full(scores.shape, index)
            found += _peaks(grid, scores, same, least_score, most_overlap)
    return tuple(sorted(found, key=lambda one: (-one.score, one.index, one.cell)))


def _peaks(
    grid: ScoreGrid,
    scores: npt.NDArray[np.float32],
    indices: npt.NDArray[np.int64],
    least_score: float,
    most_overlap: float,
) -> list[Found]:
    """Windows of one (N, M) map of scores that survive suppression."""
    cells = [(int(row), int(column)) for row, column in np.argwhere(scores >= least_score)]
    if not cells:
        return []
    boxes = torch.tensor([grid.geometry.window_xyxy(*cell) for cell in cells], dtype=torch.float32)
    values = torch.tensor([float(scores[cell]) for cell in cells])
    kept = [cells[position] for position in nms(boxes, values, most_overlap).tolist()]
    return [
        Found(
            name=grid.classes.names[int(indices[cell])],
            index=int(indices[cell]),
            score=float(scores[cell]),
            xyxy=_inside(grid, cell),
            cell=cell,
        )
        for cell in kept
    ]


def _inside(grid: ScoreGrid, cell: tuple[int, int]) -> tuple[float, float, float, float]:
    """A window, cut to the photo."""
    height, width = grid.geometry.photo_hw
    left, top, right, bottom = grid.geometry.window_xyxy(*cell)
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
