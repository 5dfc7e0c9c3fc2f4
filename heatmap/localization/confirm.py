"""Confirm detections: would the network say the same of the box alone, cut out of the photo?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..classes import ClassGroup
from ..geometry import Box
from .detection import Detection

# Default number of detections of a photo that are confirmed.
CONFIRM = 100
# Boxes are widened by this share of their width and height on each side.
_MARGIN = 0.25

# Gives the probability, corrected for chance, that each box on a photo shows its class.
CropProbabilities = Callable[[Sequence[Box], Sequence[ClassGroup]], Sequence[float]]


def confirm(
    detections: Sequence[Detection],
    probabilities: CropProbabilities,
    photo_hw: tuple[int, int],
    *,
    most: int = CONFIRM,
) -> tuple[Detection, ...]:
    """Confirm detections by cropping: confidence = sqrt(slide x crop).

    Each box, widened by a quarter on each side and cut to the photo, is asked of the network by
    itself. Its class and box stay. Sliding sees the photo around a window where cropping sees the
    network's padding, and what both find is right more often (docs/evaluation.md).

    Args:
        detections: most confident first.
        probabilities: crops and scores boxes, such as :meth:`heatmap.Scorer.crop_probabilities`
            of a photo.
        photo_hw: height and width of the photo, px.
        most: how many of the detections are confirmed. The others stay as they are, but none
            becomes more confident than the last one confirmed.

    Returns:
        The detections with their new confidences, most confident first.
    """
    first, others = detections[:most], detections[most:]
    if not first:
        return tuple(others)
    boxes = [widened(detection.xyxy, photo_hw) for detection in first]
    crops = probabilities(boxes, [detection.group for detection in first])
    confirmed = [
        replace(detection, crop=crop, confidence=math.sqrt(detection.slide * crop))
        for detection, crop in zip(first, crops, strict=True)
    ]
    highest = confirmed[-1].confidence
    confirmed += [replace(each, confidence=min(each.confidence, highest)) for each in others]
    # Stable: of equally confident ones the order stays.
    return tuple(sorted(confirmed, key=lambda detection: -detection.confidence))


def widened(xyxy: Box, photo_hw: tuple[int, int]) -> Box:
    """A box widened by a quarter of its width and height on each side, cut to the photo.

    >>> widened((100, 100, 300, 200), (220, 640))
    (50.0, 75.0, 350.0, 220.0)
    """
    left, top, right, bottom = xyxy
    wide, high = _MARGIN * (right - left), _MARGIN * (bottom - top)
    return (
        max(0.0, left - wide),
        max(0.0, top - high),
        min(float(photo_hw[1]), right + wide),
        min(float(photo_hw[0]), bottom + high),
    )
