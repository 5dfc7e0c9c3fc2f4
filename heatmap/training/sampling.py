"""Sampling for training: squares around and beside boxes, and the validation split.

Squares are (left, top, right, bottom) in whole pixels. No photo is opened here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..geometry import Box

CONTEXT = 1.2  # side of a square / long side of its box
MOST_COVERED = 0.05  # largest share of a background square that boxes may cover
DRAWS = 50  # squares tried per photo and list of sides
# Orders of photos tried until every class with several photos is in both parts.
ORDERS = 16

Square: TypeAlias = tuple[int, int, int, int]


def square_around(xyxy: Box, hw: tuple[int, int]) -> Square:
    """The square around a box with 1.2 times its long side, moved into the photo.

    If it is larger than the photo, it extends beyond both edges.

    Args:
        xyxy: a box within the photo, px.
        hw: height and width of the photo, px.
    """
    left, top, right, bottom = xyxy
    side = math.ceil(CONTEXT * max(right - left, bottom - top))
    x = _start((left + right) / 2, side, hw[1])
    y = _start((top + bottom) / 2, side, hw[0])
    return x, y, x + side, y + side


def _start(centre: float, side: int, length: int) -> int:
    """The start of a side along one axis: centred, or moved into the photo."""
    spare = length - side
    return min(max(math.floor(centre - side / 2 + 0.5), min(0, spare)), max(0, spare))


def squares_beside(
    boxes: Sequence[Box],
    hw: tuple[int, int],
    sides_px: Sequence[Sequence[int]],
    count: int,
    noise: np.random.Generator,
) -> list[Square]:
    """Random squares within a photo that boxes cover by at most 5 %.

    Args:
        boxes: the boxes on the photo, px.
        hw: height and width of the photo, px.
        sides_px: lists of sides to draw from; later lists are used if too few squares of the
            earlier ones fit. Sides are limited to the photo's shorter side.
        count: maximum number of squares; there may be fewer.
        noise: random generator.
    """
    beside: list[Square] = []
    for sides in sides_px:
        if len(sides) and len(beside) < count:
            squares = _random_squares(sides, hw, noise)
            free = squares[_covered(squares, boxes) <= MOST_COVERED]
            beside += [(int(a), int(b), int(c), int(d)) for a, b, c, d in free]
    return beside[:count]


def _random_squares(
    sides_px: Sequence[int], hw: tuple[int, int], noise: np.random.Generator
) -> npt.NDArray[np.int64]:
    """``DRAWS`` random squares within the photo, one per row."""
    sides = np.minimum(noise.choice(np.asarray(sides_px), DRAWS), min(hw))
    top, left = (noise.integers(length - sides, endpoint=True) for length in hw)
    return np.stack((left, top, left + sides, top + sides), axis=1)


def _covered(squares: npt.NDArray[np.int64], boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Share of each square covered by boxes; overlapping boxes count several times."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    low = np.maximum(squares[:, None, :2], corners[:, :2])
    high = np.minimum(squares[:, None, 2:], corners[:, 2:])
    common_px = np.maximum(high - low, 0).prod(axis=2).sum(axis=1)
    return np.asarray(common_px / (squares[:, 2] - squares[:, 0]) ** 2)


def seed_digest(*parts: int | str) -> bytes:
    """A 32-byte seed for a random generator, the same on every machine."""
    return hashlib.sha256(ascii(parts).encode()).digest()


def validation_photos(labels: Mapping[str, Collection[int]], share: float, seed: int) -> set[str]:
    """Choose photos for validation; the order of ``labels`` does not matter.

    The share of each class's photos is rounded, and at least one photo. A class may exceed it by
    photos that are there for rarer ones, but not the other way round: a background that most photos
    show would take the few photos of a rare class. Every class keeps a photo for training; a class
    has none for validation if it has only one photo, or if none of the orders tried spares one.

    Args:
        labels: the classes that each photo shows.
        share: share of photos, from 0 (no photo) to below 1.
        seed: random seed.
    """
    best: set[str] = set()
    fewest: float = math.inf
    for number in range(ORDERS if share > 0 else 0):
        order = sorted(labels, key=lambda photo: seed_digest(seed, number, photo))
        lacking, chosen = _first_of_each(labels, order, share)
        if lacking < fewest:
            fewest, best = lacking, chosen
        if lacking == 0:
            break
    return best


def _first_of_each(
    labels: Mapping[str, Collection[int]], order: Sequence[str], share: float
) -> tuple[int, set[str]]:
    """Choose the first photos of each class; also count classes that got none of several.

    Rare classes choose first; no class takes the last training photo of another.
    """
    photos: dict[int, list[str]] = {}
    for photo in order:
        for label in labels[photo]:
            photos.setdefault(label, []).append(photo)
    for_training = {label: len(own) for label, own in photos.items()}
    chosen: set[str] = set()
    rarest_first = sorted(photos, key=lambda label: (len(photos[label]), label))
    for place, label in enumerate(rarest_first):
        own, rarer = photos[label], set(rarest_first[:place])
        count = max(1, round(share * len(own)))
        # Those that show no rarer class; of the others at most one.
        alone = [photo for photo in own if rarer.isdisjoint(labels[photo])]
        for photos_of_it, most in ((alone, count), (own, 1)):
            for photo in photos_of_it:
                if len(own) - for_training[label] >= most:
                    break
                if photo not in chosen and all(for_training[each] > 1 for each in labels[photo]):
                    chosen.add(photo)
                    for each in labels[photo]:
                        for_training[each] -= 1
    lacking = [label for label, own in photos.items() if for_training[label] == len(own) > 1]
    return len(lacking), chosen
