"""Detections: what is said of each object found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..classes import ClassGroup
from ..geometry import Box
from ..region import Region, moved


@dataclass(frozen=True)
class Alternative:
    """What else a detection may be.

    Attributes:
        name: a class or group.
        confidence: as that of a :class:`Detection`.
    """

    name: str
    confidence: float


@dataclass(frozen=True)
class Detection:
    """One object detected on a photo.

    Attributes:
        group: its class, or the group of classes that was searched for.
        confidence: how sure the network is, 0..1: ``slide``, or where the box was confirmed by
            cropping the square root of ``slide * crop``, times, where box regression put the box,
            how far that agreed with itself (:func:`confirm.confirm`).
        xyxy: its box (left, top, right, bottom) in photo px: its window, a box tight around the
            hot region of the sharp map (:func:`heatmap.tighten`), or where box regression puts
            the object (:func:`confirm.confirm`).
        window_xyxy: the window with the highest probability, in photo px. Both boxes are
            clipped to the photo.
        cell: row and column of that window in the grid of its scale.
        scale: actual resize factor of the photo in that grid, measured on the longer side.
        slide: probability of that window, corrected for chance, where no class was named
            weighted by its scale (:func:`auto_scales.scale_weights`).
        crop: probability of the box, before box regression moved it for the last time, cut out
            of the photo and resized to a window; None where that was not tried.
        alternatives: other classes that lie on the same object, most confident first
            (:func:`merge.merge`).
        together: the group that it and its alternatives belong to, with the sum of their
            confidences; None without.

    >>> cat, box = ClassGroup("cat", (281, 282)), (12.0, 8.0, 190.0, 170.0)
    >>> Detection(cat, 0.82, box, (0, 0, 224, 224), (0, 0), 1.0, 0.82).name
    'cat'
    """

    group: ClassGroup
    confidence: float
    xyxy: Box
    window_xyxy: Box
    cell: tuple[int, int]
    scale: float
    slide: float
    crop: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    together: Alternative | None = None

    @property
    def name(self) -> str:
        """Name of the class or group."""
        return self.group.name

    def moved(self, right: float, down: float) -> Detection:
        """The same with its boxes moved, px: from a region to the whole photo or back."""
        return replace(
            self,
            xyxy=moved(self.xyxy, right, down),
            window_xyxy=moved(self.window_xyxy, right, down),
        )


@dataclass(frozen=True)
class NotFound:
    """A class that was searched for by name and not found.

    Attributes:
        group: the class or group.
        confidence: that of its best candidate, below the confidence threshold; None where there is
            none of at least 1 %.
        at_xy: where that is, the centre of its box in px of the whole photo; or None.

    >>> cat = ClassGroup("cat", (281, 282))
    >>> NotFound(cat, 0.127, (412.3, 230.0)).answer(0.3)
    'cat: not found; best 13 % at 412, 230 (threshold 30 %)'
    """

    group: ClassGroup
    confidence: float | None = None
    at_xy: tuple[float, float] | None = None

    @classmethod
    def of(cls, group: ClassGroup, best: Detection | None) -> NotFound:
        """The answer for a class, by its best candidate."""
        if best is None:
            return cls(group)
        left, top, right, bottom = best.xyxy
        at_xy = round((left + right) / 2, 2), round((top + bottom) / 2, 2)
        return cls(group, best.confidence, at_xy)

    def answer(self, conf: float | None = None) -> str:
        """The answer in words, with the confidence threshold where it is given."""
        if self.confidence is None or self.at_xy is None:
            return f"{self.group.name}: not found; nowhere above 1 %"
        across, down = self.at_xy
        threshold = "" if conf is None else f" (threshold {100 * conf:.3g} %)"
        return (
            f"{self.group.name}: not found; best {100 * self.confidence:.2g} % at "
            f"{across:.0f}, {down:.0f}{threshold}"
        )


def as_stored(detection: Detection) -> Detection:
    """A detection as files have it: boxes to 0.01 px, confidences to six digits."""
    together = detection.together
    return replace(
        detection,
        confidence=round(detection.confidence, 6),
        xyxy=_rounded(detection.xyxy),
        window_xyxy=_rounded(detection.window_xyxy),
        scale=round(detection.scale, 6),
        slide=round(detection.slide, 6),
        crop=None if detection.crop is None else round(detection.crop, 6),
        alternatives=tuple(map(_stored_alternative, detection.alternatives)),
        together=None if together is None else _stored_alternative(together),
    )


def _stored_alternative(alternative: Alternative) -> Alternative:
    return replace(alternative, confidence=round(alternative.confidence, 6))


def _rounded(box: Box) -> Box:
    left, top, right, bottom = (round(side, 2) for side in box)
    return left, top, right, bottom


def on_whole_photo(detections: Sequence[Detection], region: Region | None) -> tuple[Detection, ...]:
    """Detections in px of a region in those of the whole photo."""
    right, down = (region.left, region.top) if region else (0, 0)
    return tuple(detection.moved(right, down) for detection in detections)


def on_region(detections: Sequence[Detection], region: Region | None) -> tuple[Detection, ...]:
    """Detections in px of the whole photo in those of a region."""
    right, down = (region.left, region.top) if region else (0, 0)
    return tuple(detection.moved(-right, -down) for detection in detections)
