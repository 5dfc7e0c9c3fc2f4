"""Sharp maps, which show where within its windows a class is, and tight boxes from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..classes import ClassGroup
from ..errors import ResultError
from ..geometry import Box, iou, shrunk_hw
from ..grid.position_scores import Cells, PositionScores
from ..grid.score_grid import ScoreGrid
from ..grid.upsample import upsample
from .detection import Detection
from .scales import fuse_scales

# A region ends at the level above which this share of the heat near the window lies.
# docs/evaluation.md: near it 0.7 and 0.8 do as well, an eighth or a half of the peak do not.
REGION_HEAT = 0.75
# Heat counts in the window and this many of its sides around it.
_AROUND = 0.5
# Tight boxes of one class with a larger IoU belong to the same object.
_SAME_OBJECT = 0.5
# Regions are found on the photo shrunk to this on its longer side.
_CANVAS_PX = 1024
# Rows and columns of a region's neighbourhood that are looked at to find its level.
_SAMPLES = 256


def sharp_maps(
    scored: Sequence[PositionScores],
    groups: Sequence[ClassGroup],
    weights: Sequence[float] | None = None,
) -> ScoreGrid:
    """Position maps of classes: their probability, attributed to single positions.

    Each window's probability is divided among its positions of the feature map
    (:func:`position_scores.attributed_probability`), and the scales are fused by their mean, on
    the cells of the finest. Each class's map is scaled so that its highest value is the highest
    probability of the class in any window of any scale: the ``slide`` of its best detection.

    Args:
        scored: scores of one photo at one or several scales, from
            :meth:`heatmap.Scorer.score_positions`.
        groups: the classes, at least one; ``classes.find_all(names)`` of a grid finds them by
            name.
        weights: what the probabilities of each scale count, 0..1, from
            :func:`auto_scales.scale_weights` where no class was named; None is 1 each.

    Returns:
        A grid of probabilities 0..1, float32 (N, M, len(groups)), whose classes are the groups,
        in their order.

    Raises:
        ResultError: no scores or no groups, or scores of different photos or models.
    """
    if not scored or not groups:
        raise ResultError("sharp maps need scores of at least one scale, and at least one class")
    window_peaks = [
        np.float32(weight) * _highest(positions.windows.class_maps(groups))
        for positions, weight in zip(scored, weights or [1.0] * len(scored), strict=True)
    ]
    fused = fuse_scales([positions.attributed(groups) for positions in scored], "mean")
    peaks = _highest(fused.scores)
    shares = np.divide(fused.scores, peaks, out=np.zeros_like(fused.scores), where=peaks > 0)
    return replace(fused, scores=shares * np.max(window_peaks, axis=0))


def _highest(scores: Cells) -> Cells:
    """The largest value of each class: (K,)."""
    return np.asarray(np.nan_to_num(scores).max(axis=(0, 1)), dtype=np.float32)


def tighten(
    detections: Sequence[Detection], maps: ScoreGrid, groups: Sequence[ClassGroup]
) -> tuple[Detection, ...]:
    """Replace the boxes of detections by tight boxes around the hot regions of their sharp maps.

    A region consists of the highest value of the class's map in the detection's window, and all
    values connected with it, by sides or corners, that reach the level above which three quarters
    of the heat lie in the window and half a window around it. Where the tight boxes of two
    detections of one class overlap by an IoU above 0.5, only the most confident one is kept. A
    detection whose map is 0 in all of its window keeps the window as its box.

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
            if all(iou(box, other) <= _SAME_OBJECT for other in objects):
                objects.append(box)
                kept[rank] = replace(detections[rank], xyxy=box)
    return tuple(kept[rank] for rank in sorted(kept))


def _region_box(heat: Cells, window_xyxy: Box, photo_hw: tuple[int, int]) -> Box | None:
    """The box, photo px, of the region around a window's highest value; None if that is 0."""
    down, across = (small / side for small, side in zip(heat.shape, photo_hw, strict=True))
    left, top, right, bottom = _pixels(window_xyxy, across, down)
    part = heat[top:bottom, left:right]
    row, column = np.unravel_index(int(part.argmax()), part.shape)
    peak = float(part[row, column])
    if peak <= 0:
        return None
    # Samples may miss all of a small region, and then the level is 0.
    level = min(_level(heat, window_xyxy, across, down) or peak, peak)
    hot = (heat >= level).astype(np.uint8)
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


def _pixels(xyxy: Box, across: float, down: float) -> tuple[int, int, int, int]:
    """The pixels of a resized photo that a box on the photo touches, at least one."""
    left, top = max(0, int(xyxy[0] * across)), max(0, int(xyxy[1] * down))
    right, bottom = (
        max(int(np.ceil(end * factor)), start + 1)
        for end, factor, start in ((xyxy[2], across, left), (xyxy[3], down, top))
    )
    return left, top, right, bottom


def _level(heat: Cells, window_xyxy: Box, across: float, down: float) -> float:
    """The value above which ``REGION_HEAT`` of the heat in and around a window lie."""
    wide = _AROUND * (window_xyxy[2] - window_xyxy[0])
    high = _AROUND * (window_xyxy[3] - window_xyxy[1])
    near = (
        window_xyxy[0] - wide,
        window_xyxy[1] - high,
        window_xyxy[2] + wide,
        window_xyxy[3] + high,
    )
    left, top, right, bottom = _pixels(near, across, down)
    # Every few pixels tell as much as all.
    step = max(1, max(bottom - top, right - left) // _SAMPLES)
    values = np.sort(heat[top:bottom:step, left:right:step], axis=None)[::-1]
    heat_above = np.cumsum(values, dtype=np.float64)
    return float(values[int(heat_above.searchsorted(REGION_HEAT * heat_above[-1]))])
