"""Which photos are held out for validation, so that classes stand on both sides."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence

WAYS = 16  # to choose that are tried until every class of several photos is on both sides


def digest(*parts: int | str) -> bytes:
    """What chance starts from: the same on every machine, unlike ``hash``."""
    return hashlib.sha256(ascii(parts).encode()).digest()


def held_out(labels: Mapping[str, Collection[int]], share: float, seed: int) -> set[str]:
    """Choose photos for validation; the order in which they are given does not matter.

    Of each class to nearest its share of photos is held out, or one where that is none; where
    photos show several classes it may be more. Every class keeps a photo for training; it
    lacks one for validation where it has no other, or where no way that was tried spares one.

    Args:
        labels: by photo the classes it shows, each once.
        share: 0 (none are held out) to below 1.
        seed: which ones.
    """
    best: set[str] = set()
    least: float = math.inf
    for way in range(WAYS if share > 0 else 0):
        order = sorted(labels, key=lambda photo: digest(seed, way, photo))
        lacking, held = _chosen(labels, order, share)
        if lacking < least:
            least, best = lacking, held
        if lacking == 0:
            break
    return best


def _chosen(
    labels: Mapping[str, Collection[int]], order: Sequence[str], share: float
) -> tuple[int, set[str]]:
    """The first photos of each class, and how many classes have none though they have several.

    Rare classes choose first; none takes the last photo that another has for training.
    """
    photos: dict[int, list[str]] = {}
    for photo in order:
        for label in labels[photo]:
            photos.setdefault(label, []).append(photo)
    left = {label: len(having) for label, having in photos.items()}
    held: set[str] = set()
    for label, having in sorted(photos.items(), key=lambda item: (len(item[1]), item[0])):
        wanted = max(1, round(share * len(having)))
        for photo in having:
            if len(having) - left[label] >= wanted:
                break
            if photo not in held and all(left[other] > 1 for other in labels[photo]):
                held.add(photo)
                left.update({other: left[other] - 1 for other in labels[photo]})
    lacking = [label for label, having in photos.items() if left[label] == len(having) > 1]
    return len(lacking), held
