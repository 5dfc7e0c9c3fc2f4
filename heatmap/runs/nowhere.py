"""Classes that a batch was asked for and found on no photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .manifest import Record


@dataclass(frozen=True)
class Nowhere:
    """A class that was searched for by name and found on no photo.

    Attributes:
        name: the class or group.
        photos: how many photos it was searched for on.
        threshold: the confidence threshold, 0..1.
        confidence: that of its best candidate, below the threshold; None where there is none of at
            least 1 %.
        photo: the name of the photo that has it, as of :class:`manifest.Record`.

    >>> Nowhere("zebra", 24, 0.3, 0.127, "street.jpg").answer()
    'zebra: on none of 24 photos; best 13 % on street.jpg (threshold 30 %)'
    """

    name: str
    photos: int
    threshold: float
    confidence: float | None
    photo: str | None

    def answer(self) -> str:
        """The answer in words."""
        where = "not on the only photo" if self.photos == 1 else f"on none of {self.photos} photos"
        if self.confidence is None:
            return f"{self.name}: {where}; nowhere above 1 %"
        return (
            f"{self.name}: {where}; best {100 * self.confidence:.2g} % on {self.photo} "
            f"(threshold {100 * self.threshold:.3g} %)"
        )


def nowhere(records: Iterable[Record]) -> list[Nowhere]:
    """The classes that were searched for by name and are on none of the photos, in their order."""
    done = [record for record in records if record.state == "done"]
    found = {each["class"] for record in done for each in record.detections}
    missed: dict[str, list[tuple[float, Record, float]]] = {}
    for record in done:
        for each in record.not_found:
            if each["class"] not in found:
                confidence = each["confidence"] or 0.0
                missed.setdefault(each["class"], []).append((confidence, record, each["threshold"]))
    answers = []
    for name, candidates in missed.items():
        confidence, record, threshold = max(candidates, key=lambda each: each[0])
        best = (confidence, record.name) if confidence else (None, None)
        answers.append(Nowhere(name, len(candidates), threshold, *best))
    return answers
