"""Squares to learn from: one around each box, others beside all of them.

Whole pixels, left, top, right, bottom; no photo is opened here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
