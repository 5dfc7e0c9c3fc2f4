"""Confirm detections: would the network say the same of the box alone, cut out of the photo?

Where it was trained with boxes, it also says where the object in the crop ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..classes import ClassGroup
from ..geometry import Box, iou
from .detection import Detection

# Default number of detections of a photo that are confirmed.
CONFIRM = 100
# Boxes are widened by this share of their width and height on each side.
_MARGIN = 0.25

# How often boxes are refined, and the IoU above which two of one class are of the same object:
# docs/evaluation.md has the figures of other choices.
_ROUNDS = 3
_SAME_OBJECT = 0.5


@dataclass(frozen=True)
class CropAnswers:
    """What the network says of some boxes, each cut out of a photo.

    Attributes:
        probabilities: that each shows its class, 0..1, corrected for chance.
        boxes: the boxes of the objects in them, photo px; None without box regression.
    """

    probabilities: Sequence[float]
    boxes: Sequence[Box] | None = None


@dataclass(frozen=True)
class Crops:
    """Asks the network of boxes on a photo; :meth:`heatmap.Scorer.crops` makes one.

    Attributes:
        ask: gives the answers for boxes, photo px, and the class or group asked of each.
        refines: whether the answers have boxes.
    """

    ask: Callable[[Sequence[Box], Sequence[ClassGroup]], CropAnswers]
    refines: bool = False


def confirm(
    detections: Sequence[Detection],
    crops: Crops,
    photo_hw: tuple[int, int],
    *,
    most: int = CONFIRM,
) -> tuple[Detection, ...]:
    """Confirm detections by cropping: confidence = sqrt(slide x crop), or less.

    Each box, widened by a quarter on each side and cut to the photo, is asked of the network by
    itself. Its class and box stay. Sliding sees the photo around a window where cropping sees the
    network's padding, and what both find is right more often (docs/evaluation.md).

    Where the answers have boxes, these take the place of those asked about, and are asked about
    again: three rounds. An answer that leaves its box where it was says that the box is right, so
    that confidence = sqrt(slide x crop) x IoU(box asked about, box answered). After each round,
    boxes of one class on the same object become one: the most confident one's confidence, and the
    mean of all of their boxes, weighted by confidence (box voting: S. Gidaris and N. Komodakis,
    "Object detection via a multi-region and semantic segmentation-aware CNN model", ICCV 2015).

    Args:
        detections: most confident first.
        crops: asks the network of boxes on their photo.
        photo_hw: height and width of the photo, px.
        most: how many of the detections are confirmed. The others stay as they are, but none
            becomes more confident than the last one confirmed.

    Returns:
        The detections with their new confidences, most confident first.
    """
    first, others = detections[:most], detections[most:]
    if not first:
        return tuple(others)
    confirmed = list(first)
    for _ in range(_ROUNDS if crops.refines else 1):
        confirmed = _asked(confirmed, crops, photo_hw)
        if crops.refines:
            confirmed = _one_an_object(confirmed)
    highest = confirmed[-1].confidence
    confirmed += [replace(each, confidence=min(each.confidence, highest)) for each in others]
    # Stable: of equally confident ones the order stays.
    return tuple(sorted(confirmed, key=lambda detection: -detection.confidence))


def _asked(
    detections: Sequence[Detection], crops: Crops, photo_hw: tuple[int, int]
) -> list[Detection]:
    """The detections, in the same order, with what the network says of their boxes."""
    boxes = [widened(detection.xyxy, photo_hw) for detection in detections]
    answers = crops.ask(boxes, [detection.group for detection in detections])
    confirmed = [
        replace(detection, crop=crop, confidence=math.sqrt(detection.slide * crop))
        for detection, crop in zip(detections, answers.probabilities, strict=True)
    ]
    if answers.boxes is None:
        return confirmed
    return [
        replace(each, confidence=each.confidence * _agreement(each.xyxy, box), xyxy=box)
        for each, box in zip(confirmed, answers.boxes, strict=True)
    ]


def _agreement(asked: Box, answered: Box) -> float:
    """How far an answer leaves a box where it was, 0..1."""
    return iou(asked, answered)


def _one_an_object(detections: Sequence[Detection]) -> list[Detection]:
    """Of detections of one class on the same object the most confident, in the same order.

    Its box is the mean of all of theirs, weighted by confidence.
    """
    kept: dict[int, Detection] = {}
    for rank, one in sorted(enumerate(detections), key=lambda each: -each[1].confidence):
        if not any(_same_object(one, other) for other in kept.values()):
            kept[rank] = one
    return [_voted(kept[rank], detections) for rank in sorted(kept)]


def _same_object(one: Detection, other: Detection) -> bool:
    return one.group == other.group and iou(one.xyxy, other.xyxy) > _SAME_OBJECT


def _voted(one: Detection, detections: Sequence[Detection]) -> Detection:
    """A detection with the mean box of all of its object, weighted by confidence."""
    voters = [each for each in detections if _same_object(one, each)]
    weights = [each.confidence for each in voters]
    if not sum(weights):
        return one
    boxes = np.array([each.xyxy for each in voters])
    # Not past what any of them says by a rounding error.
    mean = np.average(boxes, 0, weights).clip(boxes.min(0), boxes.max(0))
    left, top, right, bottom = mean.tolist()
    return replace(one, xyxy=(left, top, right, bottom))


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
