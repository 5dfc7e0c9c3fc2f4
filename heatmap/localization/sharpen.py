"""Sharp maps, which show where within its windows a class is, and tight boxes from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..classes import ClassGroup
from ..errors import ResultError
from ..geometry import Box, shrunk_hw
from ..grid.position_scores import Cells, PositionScores
from ..grid.score_grid import ScoreGrid
from ..grid.upsample import upsample
from .localize import Detection
from .scales import fuse_scales

# A region ends where the map falls below this share of its highest value in the window.
REGION_SHARE = 0.125
# Tight boxes of one class with a larger IoU belong to the same object.
_SAME_OBJECT = 0.5
# Regions are found on the photo shrunk to this on its longer side.
_CANVAS_PX = 1024


def sharp_maps(scored: Sequence[PositionScores], groups: Sequence[ClassGroup]) -> ScoreGrid:
    """Position maps of classes: their probability, attributed to single positions.

    Each window's probability is divided among its positions of the feature map
    (:func:`position_scores.attributed_probability`), and the scales are fused by their mean, on
    the cells of the finest. Each class's map is scaled so that its highest value is the highest
    probability of the class in any window of any scale.

    Args:
        scored: scores of one photo at one or several scales, from
            :meth:`heatmap.Scorer.score_positions`.
        groups: the classes, at least one; ``classes.find_all(names)`` of a grid finds them by
            name.

    Returns:
        A grid of probabilities 0..1, float32 (N, M, len(groups)), whose classes are the groups,
        in their order.

    Raises:
        ResultError: no scores or no groups, or scores of different photos or models.
    """
    if not scored or not groups:
        raise ResultError("sharp maps need scores of at least one scale, and at least one class")
    window_peaks = [_highest(positions.windows.class_maps(groups)) for positions in scored]
    fused = fuse_scales([positions.attributed(groups) for positions in scored], "mean")
    peaks = _highest(fused.scores)
    shares = np.divide(fused.scores, peaks, out=np.zeros_like(fused.scores), where=peaks > 0)
    return replace(
        fused,
        scores=shares * np.max(window_peaks, axis=0),
        origin=replace(fused.origin, maps="sharp"),
    )


def _highest(scores: Cells) -> Cells:
    """The largest value of each class: (K,)."""
    return np.asarray(np.nan_to_num(scores).max(axis=(0, 1)), dtype=np.float32)


def tighten(
    detections: Sequence[Detection], maps: ScoreGrid, groups: Sequence[ClassGroup]
) -> tuple[Detection, ...]:
    """Replace the boxes of detections by tight boxes around the hot regions of their sharp maps.

    A region consists of the highest value of the class's map in the detection's window, and all
    values connected with it, by sides or corners, that are at least ``REGION_SHARE`` of it. Where
    the tight boxes of two detections of one class overlap by an IoU above 0.5, only the most
    confident one is kept. A detection whose map is 0 in all of its window keeps the window as its
    box.

    Args:
        detections: detections from :func:`heatmap.localize`, most confident first.
        maps: the result of :func:`heatmap.sharp_maps` for ``groups``.
        groups: the classes of the maps, including those of all detections.

    Returns:
        The detections that are kept, in the same order, with new ``xyxy`` in photo px.

    Raises:
        ResultError: there is no map for the class of a detection.
    """
    small = replace(maps.geometry, photo_hw=shrunk_hw(maps.geometry.photo_hw, _CANVAS_PX))
    # Not by name: ImageNet has two "crane".
    columns = {group: column for column, group in enumerate(groups)}
    ranks: dict[ClassGroup, list[int]] = {}
    for rank, detection in enumerate(detections):
        ranks.setdefault(detection.group, []).append(rank)
    kept: dict[int, Detection] = {}
    # Class by class: the heatmaps of a thousand classes at once would take gigabytes.
    for group, of_group in ranks.items():
        if group not in columns:
            raise ResultError(f"no sharp map of {group.name!r}: make one with its class in groups")
        cells = np.ascontiguousarray(maps.scores[:, :, columns[group]])
        heat = upsample(np.nan_to_num(cells), small)
        objects: list[Box] = []
        for rank in of_group:
            window = detections[rank].window_xyxy
            box = _region_box(heat, window, maps.geometry.photo_hw) or window
            if all(_iou(box, other) <= _SAME_OBJECT for other in objects):
                objects.append(box)
                kept[rank] = replace(detections[rank], xyxy=box)
    return tuple(kept[rank] for rank in sorted(kept))


def _region_box(heat: Cells, window_xyxy: Box, photo_hw: tuple[int, int]) -> Box | None:
    """The box, photo px, of the region around a window's highest value; None if that is 0."""
    down, across = (small / side for small, side in zip(heat.shape, photo_hw, strict=True))
    left, top = int(window_xyxy[0] * across), int(window_xyxy[1] * down)
    right, bottom = (
        max(int(np.ceil(end * factor)), start + 1)
        for end, factor, start in ((window_xyxy[2], across, left), (window_xyxy[3], down, top))
    )
    part = heat[top:bottom, left:right]
    row, column = np.unravel_index(int(part.argmax()), part.shape)
    peak = float(part[row, column])
    if peak <= 0:
        return None
    hot = (heat >= REGION_SHARE * peak).astype(np.uint8)
    # Fill the region connected with the peak, by sides or corners, with 2.
    seed = (int(left + column), int(top + row))
    _, _, _, (x, y, width, height) = cv2.floodFill(hot, None, seed, 2, flags=8)
    return (
        x / across,
        y / down,
        # Rounding may exceed the edge by one bit.
        min((x + width) / across, float(photo_hw[1])),
        min((y + height) / down, float(photo_hw[0])),
    )


def _iou(box: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (box, other)]
    return shared / (sum(areas) - shared)
