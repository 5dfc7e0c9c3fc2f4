"""Confirm detections: would the network say the same of the box alone, cut out of the photo?

Where it was trained with boxes, it also says where the object in the crop ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..classes import ClassGroup
from ..geometry import Box, iou
from .detection import Detection

# Default number of detections of a photo that are confirmed.
CONFIRM = 100
# Boxes are widened by this share of their width and height on each side.
_MARGIN = 0.25

# Refined boxes of one class with a larger IoU are of the same object: after the first refinement,
# when they still move, and after the second. docs/evaluation.md has the figures of both.
_SAME_OBJECT = (0.6, 0.5)


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
    """Confirm detections by cropping: confidence = sqrt(slide x crop).

    Each box, widened by a quarter on each side and cut to the photo, is asked of the network by
    itself. Its class and box stay. Sliding sees the photo around a window where cropping sees the
    network's padding, and what both find is right more often (docs/evaluation.md).

    Where the answers have boxes these take the place of those asked about, and are asked about
    once more: confidence and box are those of the second answer. After each, of boxes of one
    class on the same object only the most confident one stays.

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
    confirmed = _asked(first, crops, photo_hw)
    if crops.refines:
        once, twice = _SAME_OBJECT
        confirmed = _asked(_one_an_object(confirmed, once), crops, photo_hw)
        confirmed = _one_an_object(confirmed, twice)
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
    kept = [detection.xyxy for detection in detections]
    refined = kept if answers.boxes is None else answers.boxes
    return [
        replace(detection, crop=crop, confidence=math.sqrt(detection.slide * crop), xyxy=box)
        for detection, crop, box in zip(detections, answers.probabilities, refined, strict=True)
    ]


def _one_an_object(detections: Sequence[Detection], most_iou: float) -> list[Detection]:
    """Of detections of one class that overlap more only the most confident, in the same order."""
    kept: dict[int, Detection] = {}
    for rank, one in sorted(enumerate(detections), key=lambda each: -each[1].confidence):
        rivals = (other for other in kept.values() if other.group == one.group)
        if all(iou(one.xyxy, other.xyxy) <= most_iou for other in rivals):
            kept[rank] = one
    return [kept[rank] for rank in sorted(kept)]


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
