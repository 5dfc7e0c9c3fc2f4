"""What was hit, missed and falsely found on each photo, and which photos are best and worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..geometry import Box

# A hit finds an object; an other is of a class that nobody annotated.
Verdict: TypeAlias = Literal["hit", "false", "other"]


@dataclass(frozen=True)
class JudgedObject:
    """A ground-truth box: its label, its sides in photo px, and whether it was found."""

    label: str
    xyxy: Box
    found: bool


@dataclass(frozen=True)
class JudgedDetection:
    """A detection that reaches the confidence threshold.

    Attributes:
        name: its class.
        confidence: 0..1.
        xyxy: its box, photo px.
        verdict: "hit"; "false", if it finds no object of its label; "other", if its class has no
            label, so that nothing can be said of it.
        label: of the object that it hits; None where it hits none.
        iou: with that object, 0..1; None where it hits none.
    """

    name: str
    confidence: float
    xyxy: Box
    verdict: Verdict
    label: str | None = None
    iou: float | None = None


@dataclass(frozen=True)
class PhotoFigures:
    """One photo of an evaluation where no class is named.

    Attributes:
        file: path of the photo, as the file of boxes has it.
        f1: 2 * hits / (hits + false detections + objects), the harmonic mean of the photo's
            precision and recall, 0..1; None without objects and such detections.
        objects: the ground-truth boxes whose label has a class.
        detections: those that reach the confidence threshold, most confident first.
    """

    file: str
    f1: float | None
    objects: tuple[JudgedObject, ...]
    detections: tuple[JudgedDetection, ...]

    @classmethod
    def of(
        cls,
        file: str,
        objects: tuple[JudgedObject, ...],
        detections: tuple[JudgedDetection, ...],
    ) -> PhotoFigures:
        """The figures of a photo whose detections were judged."""
        hits = sum(each.verdict == "hit" for each in detections)
        of_labels = sum(each.verdict != "other" for each in detections)
        whole = of_labels + len(objects)
        return cls(file, 2 * hits / whole if whole else None, objects, detections)

    def count(self, verdict: Verdict) -> int:
        """The number of detections with this verdict."""
        return sum(each.verdict == verdict for each in self.detections)

    @property
    def missed(self) -> int:
        """The number of objects that were not found."""
        return sum(not each.found for each in self.objects)


def best_and_worst(
    photos: Sequence[PhotoFigures], most: int
) -> tuple[list[PhotoFigures], list[PhotoFigures]]:
    """The best photos, best first, and the worst, worst first; at most ``most`` of each.

    They are ranked by F1. Of equal ones the better has more hits, then fewer false detections,
    then fewer missed objects, then the earlier name. The best have a hit, the worst a mistake,
    photos without F1 are neither, and none is both.
    """
    # Without None, so that F1 can be compared.
    rated = [(photo.f1, photo) for photo in photos if photo.f1 is not None]
    ranked = sorted(rated, key=lambda one: (-one[0], *_rank(one[1])))
    half = len(ranked) / 2
    best = [
        photo for place, (f1, photo) in enumerate(ranked) if f1 == 1 or (f1 > 0 and place < half)
    ][:most]
    worst = [photo for f1, photo in reversed(ranked) if f1 < 1 and photo not in best]
    return best, worst[:most]


def _rank(photo: PhotoFigures) -> tuple[int, int, int, str]:
    return -photo.count("hit"), photo.count("false"), photo.missed, photo.file
