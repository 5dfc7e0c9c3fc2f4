"""Sharp maps: where within its windows a class lies, and boxes drawn tight around that."""

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

# A region ends where the map falls to this share of its highest value in the window.
REGION_SHARE = 0.125
# Boxes of one class that share more than this (intersection over union) are of one object.
_SAME_OBJECT = 0.5
# Regions are found on the photo shrunk to this on its longer side.
_CANVAS_PX = 1024


def sharp_maps(scored: Sequence[PositionScores], groups: Sequence[ClassGroup]) -> ScoreGrid:
    """Position maps of classes: their probability, attributed to single positions.

    A window's probability is divided among the positions of the feature map that it holds
    (:func:`position_scores.attributed_probability`), and the scales are fused by their mean, on
    the cells of the finest. Each class's map is scaled so that its highest value is the
    probability of the window that is most confident of it, at any scale.

    Args:
        scored: one photo at one or several scales, as :meth:`heatmap.Scorer.score_positions`
            gives it.
        groups: the classes, at least one; :meth:`ClassList.find_all` finds them by name.

    Returns:
        A grid of probabilities 0..1, float32 (N, M, len(groups)), whose classes are the groups,
        in their order.

    Raises:
        ResultError: nothing was given, or scores of different photos or models.
    """
    if not scored or not groups:
        raise ResultError("sharp maps are made of at least one scale and one class")
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
    """Draw the boxes of detections tight around the hot regions of their sharp maps.

    A region holds the highest value that the map of its class has in the detection's window,
    and all connected with that place, by sides or corners, that is at least ``REGION_SHARE`` of
    it. Where the boxes of two detections of one class turn out to be the same (intersection over
    union above a half), the most confident one stays. A detection whose map is 0 all over its
    window keeps the window as its box.

    Args:
        detections: objects, most confident first, as :func:`heatmap.localize` gives them.
        maps: what :func:`heatmap.sharp_maps` gave for ``groups``.
        groups: the classes of the maps, those of the detections among them.

    Returns:
        The detections that stay, in their order, with ``xyxy`` in photo px.

    Raises:
        ResultError: the maps lack the class of a detection.
    """
    small = replace(maps.geometry, photo_hw=shrunk_hw(maps.geometry.photo_hw, _CANVAS_PX))
    # By the groups themselves: ImageNet has two "crane".
    columns = {group: column for column, group in enumerate(groups)}
    heats: dict[ClassGroup, Cells] = {}
    kept: list[Detection] = []
    for detection in detections:
        group = detection.group
        if group not in columns:
            raise ResultError(f"no sharp map of {detection.name!r}: it was made for others")
        if group not in heats:
            cells = np.ascontiguousarray(maps.scores[:, :, columns[group]])
            heats[group] = upsample(np.nan_to_num(cells), small)
        box = _region_box(heats[group], detection.window_xyxy, maps.geometry.photo_hw)
        tight = replace(detection, xyxy=box or detection.window_xyxy)
        if not any(_same_object(tight, other) for other in kept):
            kept.append(tight)
    return tuple(kept)


def _region_box(heat: Cells, window_xyxy: Box, photo_hw: tuple[int, int]) -> Box | None:
    """The box of the region that is hottest in a window, photo px; None of a flat window."""
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
    # All that is connected with the peak, by sides or corners, becomes 2.
    seed = (int(left + column), int(top + row))
    _, _, _, (x, y, width, height) = cv2.floodFill(hot, None, seed, 2, flags=8)
    return (
        x / across,
        y / down,
        # Rounding may step over the edge by one bit.
        min((x + width) / across, float(photo_hw[1])),
        min((y + height) / down, float(photo_hw[0])),
    )


def _same_object(detection: Detection, other: Detection) -> bool:
    return detection.group == other.group and _iou(detection.xyxy, other.xyxy) > _SAME_OBJECT


def _iou(box: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (box, other)]
    return shared / (sum(areas) - shared)
