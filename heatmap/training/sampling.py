"""Squares to learn from: one around each box, others beside all of them.

Whole pixels, left, top, right, bottom; no photo is opened here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..geometry import Box

CONTEXT = 1.2  # side of a square, in long sides of its box


MOST_COVERED = 0.05  # of a square beside the boxes, by all of them together


DRAWS = 50  # tried in each photo, of each kind of side


Square: TypeAlias = tuple[int, int, int, int]


def square_around(xyxy: Box, hw: tuple[int, int]) -> Square:
    """The square of 1.2 times a box's long side around it, moved into the photo.

    Where it is longer than the photo, it reaches beyond both of its edges.

    Args:
        xyxy: a box within the photo, px.
        hw: height and width of the photo, px.
    """
    left, top, right, bottom = xyxy
    side = math.ceil(CONTEXT * max(right - left, bottom - top))
    x = _placed((left + right) / 2, side, hw[1])
    y = _placed((top + bottom) / 2, side, hw[0])
    return x, y, x + side, y + side


def _placed(centre: float, side: int, length: int) -> int:
    room = length - side
    return min(max(math.floor(centre - side / 2 + 0.5), min(0, room)), max(0, room))


def squares_beside(
    boxes: Sequence[Box],
    hw: tuple[int, int],
    sides_px: Sequence[Sequence[int]],
    most: int,
    drawn: np.random.Generator,
) -> list[Square]:
    """Random squares within a photo of which all boxes together cover at most 5 %.

    Args:
        boxes: of the photo, px.
        hw: height and width of the photo, px.
        sides_px: sides to draw from; those of the second list where too few of the first
            found a place, and so on. Longer ones than the photo are cut to it.
        most: how many squares; fewer where there is no room.
        drawn: where chance comes from.
    """
    found: list[Square] = []
    for sides in sides_px:
        if len(sides) and len(found) < most:
            squares = _drawn(sides, hw, drawn)
            free = squares[_covered(squares, boxes) <= MOST_COVERED]
            found += [(int(a), int(b), int(c), int(d)) for a, b, c, d in free[: most - len(found)]]
    return found


def _drawn(
    sides_px: Sequence[int], hw: tuple[int, int], drawn: np.random.Generator
) -> npt.NDArray[np.int64]:
    """``DRAWS`` squares anywhere within the photo, a row each."""
    sides = np.minimum(drawn.choice(np.asarray(sides_px), DRAWS), min(hw))
    top, left = (drawn.integers(length - sides, endpoint=True) for length in hw)
    return np.stack((left, top, left + sides, top + sides), axis=1)


def _covered(squares: npt.NDArray[np.int64], boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Share of each square that lies in boxes; what lies in several counts several times."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    low = np.maximum(squares[:, None, :2], corners[:, :2])
    high = np.minimum(squares[:, None, 2:], corners[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2).sum(axis=1)
    return np.asarray(shared / (squares[:, 2] - squares[:, 0]) ** 2)


WAYS = 16  # to choose that are tried until every class of several photos is on both sides


def seed_digest(*parts: int | str) -> bytes:
    """What chance starts from: the same on every machine, unlike ``hash``."""
    return hashlib.sha256(ascii(parts).encode()).digest()


def validation_photos(labels: Mapping[str, Collection[int]], share: float, seed: int) -> set[str]:
    """Choose photos for validation; the order in which they are given does not matter.

    Of each class the share of its photos is taken, to nearest, or one photo where that is
    none; where photos show several classes it may be more. Every class keeps a photo for
    training; it lacks one for validation where it has no other, or where no way that was
    tried spares one.

    Args:
        labels: by photo the classes it shows, each once.
        share: 0 (no photo) to below 1.
        seed: which ones.
    """
    best: set[str] = set()
    least: float = math.inf
    for way in range(WAYS if share > 0 else 0):
        order = sorted(labels, key=lambda photo: seed_digest(seed, way, photo))
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
