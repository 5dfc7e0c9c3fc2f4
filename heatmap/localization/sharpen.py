"""Sharper maps: where in its windows a class lies, and boxes drawn tight around that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..errors import ResultError
from ..geometry import Box, shrunk_hw
from ..grid.position_scores import PositionScores
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

Cells = npt.NDArray[np.float32]


def sharp_maps(scored: Sequence[PositionScores], groups: Sequence[ClassGroup]) -> ScoreGrid:
    """What single positions are owed of the probabilities of classes, over all scales.

    The mean of the scales, on the cells of the finest (:func:`position_scores.owed` says what is
    owed). Each class's map is scaled so that its highest value is the probability of the
    surest window: it says where, and that how sure.

    Args:
        scored: one photo at one or several scales.
        groups: the classes, at least one.

    Returns:
        A grid of probabilities whose classes are the groups, in their order.

    Raises:
        ResultError: nothing was given, or scores of different photos or models.
    """
    if not scored or not groups:
        raise ResultError("sharp maps are made of at least one scale and one class")
    surest = np.max([_highest(one.windows.class_maps(groups)) for one in scored], axis=0)
    fused = fuse_scales([one.owed(groups) for one in scored], "mean")
    highest = _highest(fused.scores)
    shares = np.divide(fused.scores, highest, out=np.zeros_like(fused.scores), where=highest > 0)
    origin = replace(fused.origin, maps="sharp")
    return replace(fused, scores=shares * surest, origin=origin)


def _highest(scores: Cells) -> Cells:
    """The largest value of each class: (K,)."""
    return np.asarray(np.nan_to_num(scores).max(axis=(0, 1)), dtype=np.float32)


def tighten(
    found: Sequence[Detection], maps: ScoreGrid, groups: Sequence[ClassGroup]
) -> tuple[Detection, ...]:
    """Draw the boxes of found objects around the regions of their sharp maps.

    The region of an object holds the highest value that the map of its class has in the
    object's window, and all around it that is at least ``REGION_SHARE`` of that. Objects
    whose boxes turn out to be one (intersection over union above a half) are one: the
    surest stays.

    Args:
        found: objects, best first.
        maps: what :func:`sharp_maps` gave for ``groups``, theirs among them.

    Raises:
        ResultError: the maps lack the class of an object.
    """
    small = replace(maps.geometry, photo_hw=shrunk_hw(maps.geometry.photo_hw, _CANVAS_PX))
    # By the groups themselves: ImageNet has two "crane".
    places = {group: place for place, group in enumerate(groups)}
    heats: dict[ClassGroup, Cells] = {}
    kept: list[Detection] = []
    for one in found:
        if one.group not in places:
            raise ResultError(f"no sharp map of {one.name!r}: it was made for others")
        if one.group not in heats:
            cells = np.ascontiguousarray(maps.scores[:, :, places[one.group]])
            heats[one.group] = upsample(np.nan_to_num(cells), small)
        box = _region_box(heats[one.group], one.window_xyxy, maps.geometry.photo_hw)
        tight = replace(one, xyxy=box or one.window_xyxy)
        if not any(_same(tight, other) for other in kept):
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
    # All that hangs together with the peak, by sides or corners, becomes 2.
    seed = (int(left + column), int(top + row))
    _, _, _, (x, y, wide, high) = cv2.floodFill(hot, None, seed, 2, flags=8)
    return (
        x / across,
        y / down,
        # Rounding may step over the edge by one bit.
        min((x + wide) / across, float(photo_hw[1])),
        min((y + high) / down, float(photo_hw[0])),
    )


def _same(one: Detection, other: Detection) -> bool:
    return one.group == other.group and _iou(one.xyxy, other.xyxy) > _SAME_OBJECT


def _iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (one, other)]
    return shared / (sum(areas) - shared)
