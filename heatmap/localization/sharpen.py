"""Sharp maps, which show where within its windows a class is, and tight boxes from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from ..classes import ClassGroup
from ..errors import ResultError
from ..geometry import Box, iou, scale_of, shrunk_hw
from ..grid.position_scores import Cells, PositionScores
from ..grid.score_grid import ScoreGrid
from ..grid.upsample import upsample
from ..threads import side_by_side
from .detection import Detection
from .scales import fuse_scales

# A region ends at the level above which this share of the heat near the window lies.
# docs/evaluation.md: near it 0.7 and 0.8 do as well, an eighth or a half of the peak do not.
REGION_HEAT = 0.75
# Heat counts in the window and this many of its sides around it.
_AROUND = 0.5
# Both for boxes that will be refined. Of persons of COCO average precision at IoU 0.3 and 0.5, once
# refined, is 22.0 and 8.7 from these, 20.2 and 7.7 from the boxes of all scales together.
_OWN_SCALE = (0.7, 0.25)
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
        in their order. NaN where no window was scored, at any scale.

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
    nothing = np.where(np.isnan(fused.scores), np.float32(np.nan), np.float32(0))
    shares = np.divide(fused.scores, peaks, out=nothing, where=peaks > 0)
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
    # Not by name: ImageNet has two "crane".
    columns = {group: column for column, group in enumerate(groups)}

    def heats(group: ClassGroup) -> Callable[[Detection], Cells]:
        if group not in columns:
            raise ResultError(f"no sharp map of {group.name!r}: make one with its class in groups")
        heat = _heat(maps, columns[group])
        return lambda _: heat

    return _tight(detections, heats, maps.geometry.photo_hw)


def tighten_at_own_scale(
    detections: Sequence[Detection], scored: Sequence[PositionScores]
) -> tuple[Detection, ...]:
    """As :func:`tighten`, each by the sharp map of its own scale, and tighter.

    For boxes that will be refined by box regression: regions end at the level above which 0.7 of
    the heat lie in the window and a quarter of a window around it.

    Args:
        detections: detections from :func:`heatmap.localize`, most confident first.
        scored: the scores of the photo at each scale.
    """
    if not detections:
        return ()
    by_scale = {scale_of(one.windows.geometry): one for one in scored}

    def heats(group: ClassGroup) -> Callable[[Detection], Cells]:
        at = cache(lambda scale: _heat(by_scale[scale].attributed([group]), 0))
        return lambda detection: at(detection.scale)

    return _tight(detections, heats, scored[0].windows.geometry.photo_hw, _OWN_SCALE)


def _heat(maps: ScoreGrid, column: int) -> Cells:
    """One of the maps over the photo, shrunk to ``_CANVAS_PX``."""
    small = replace(maps.geometry, photo_hw=shrunk_hw(maps.geometry.photo_hw, _CANVAS_PX))
    return upsample(np.nan_to_num(np.ascontiguousarray(maps.scores[:, :, column])), small)


def _tight(
    detections: Sequence[Detection],
    heats: Callable[[ClassGroup], Callable[[Detection], Cells]],
    photo_hw: tuple[int, int],
    ending: tuple[float, float] | None = None,
) -> tuple[Detection, ...]:
    """The detections with the boxes of their regions, one of each object.

    ``heats`` gives for a class what gives for each of its detections the map to look at;
    ``ending`` is as in :func:`_level`.
    """
    ranks: dict[ClassGroup, list[int]] = {}
    for rank, detection in enumerate(detections):
        ranks.setdefault(detection.group, []).append(rank)

    def boxes_of(group: ClassGroup) -> list[Box]:
        heat_of = heats(group)
        found = (detections[rank] for rank in ranks[group])
        return [
            _region_box(heat_of(each), each.window_xyxy, photo_hw, ending) or each.window_xyxy
            for each in found
        ]

    kept: dict[int, Detection] = {}
    # Class by class: the heatmaps of a thousand classes at once would take gigabytes.
    for of_group, boxes in zip(ranks.values(), side_by_side(boxes_of, ranks), strict=True):
        objects: list[Box] = []
        for rank, box in zip(of_group, boxes, strict=True):
            if all(iou(box, other) <= _SAME_OBJECT for other in objects):
                objects.append(box)
                kept[rank] = replace(detections[rank], xyxy=box)
    return tuple(kept[rank] for rank in sorted(kept))


def _region_box(
    heat: Cells,
    window_xyxy: Box,
    photo_hw: tuple[int, int],
    ending: tuple[float, float] | None = None,
) -> Box | None:
    """The box, photo px, of the region around a window's highest value; None if that is 0."""
    down, across = (small / side for small, side in zip(heat.shape, photo_hw, strict=True))
    left, top, right, bottom = _pixels(window_xyxy, across, down)
    part = heat[top:bottom, left:right]
    row, column = np.unravel_index(int(part.argmax()), part.shape)
    peak = float(part[row, column])
    if peak <= 0:
        return None
    # Samples may miss all of a small region, and then the level is 0.
    level = min(_level(heat, window_xyxy, across, down, ending) or peak, peak)
    hot = (heat >= level).view(np.uint8)
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


def _level(
    heat: Cells,
    window_xyxy: Box,
    across: float,
    down: float,
    ending: tuple[float, float] | None = None,
) -> float:
    """The value above which a share of the heat in and around a window lies.

    ``ending`` is that share and how many sides of the window around it count; None is
    ``REGION_HEAT`` and ``_AROUND``.
    """
    share, around = ending or (REGION_HEAT, _AROUND)
    wide = around * (window_xyxy[2] - window_xyxy[0])
    high = around * (window_xyxy[3] - window_xyxy[1])
    near = (
        window_xyxy[0] - wide,
        window_xyxy[1] - high,
        window_xyxy[2] + wide,
        window_xyxy[3] + high,
    )
    left, top, right, bottom = _pixels(near, across, down)
    # Every few pixels tell as much as all.
    step = max(1, max(bottom - top, right - left) // _SAMPLES)
    values = heat[top:bottom:step, left:right:step].ravel()
    total = values.sum(dtype=np.float64)
    for _ in range(2):
        # What lies below even this has less than the rest of the heat, and is not sorted.
        dropped = total - values.sum(dtype=np.float64)
        values = values[values >= ((1 - share) * total - dropped) / len(values)]
    values = np.sort(values)[::-1]
    heat_above = np.cumsum(values, dtype=np.float64)
    return float(values[int(heat_above.searchsorted(share * total))])
