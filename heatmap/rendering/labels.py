"""Labels of boxes: where they go, so that all of them can be read, and what they look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .legend import BOLD, SMALLEST_PX, cut, line_px, text_width, write
from .marks import Paste, Spot
from .paint import Image, blend
from .palette import Colour, ink_on

# Letters are made smaller by this factor, down to a half, where labels leave no room for others.
_SMALLER = 0.8
# The share of a box that a label may hide.
_MOST_HIDDEN = 0.25


def labels(
    texts: Sequence[tuple[str, str]],
    grounds: Sequence[Colour],
    boxes: Sequence[Spot],
    hw: tuple[int, int],
    size: int,
    *,
    taken: Sequence[Spot] = (),
) -> list[Paste]:
    """The labels of boxes, each on a ground of its own, inside the picture and over no other.

    A label lies at its box: above it, inside, or below. Where not all have room, their letters
    become smaller; those for which there is still none are left out, the last ones first.

    Args:
        texts: for each box a name, which is shortened where it is wider than the picture, and
            what follows it, or "".
        grounds: the colour behind each text.
        boxes: the boxes, most important first.
        hw: height and width of the picture, px.
        size: height of letters, px, where there is room.
        taken: where no label may lie.

    Returns:
        The labels that have a place.
    """
    best: list[Paste] = []
    for smaller in _sizes(size):
        images = [_drawn(*text, hw[1], smaller) for text in texts]
        sizes_hw = [(image.shape[0], image.shape[1]) for image in images]
        places = placed(sizes_hw, boxes, hw, taken)
        found = [
            Paste(place, _coloured(image, ground))
            for place, image, ground in zip(places, images, grounds, strict=True)
            if place is not None
        ]
        best = max(best, found, key=len)
        if len(best) == len(texts):
            break
    return best


def placed(
    sizes_hw: Sequence[tuple[int, int]],
    boxes: Sequence[Spot],
    hw: tuple[int, int],
    taken: Sequence[Spot] = (),
) -> list[Spot | None]:
    """Where labels go that have these heights and widths, px; None where one has no room.

    Every place lies inside the picture, touches its box, and overlaps no other place and none that
    is ``taken``. One that hides much of a box is only used where there is no other.
    """
    every = np.array(boxes, int).reshape(-1, 4)
    areas = (every[:, 2] - every[:, 0]) * (every[:, 3] - every[:, 1])
    full = np.array(taken, int).reshape(-1, 4)
    places: list[Spot | None] = []
    for (height, width), box in zip(sizes_hw, boxes, strict=True):
        spots = list(_candidates(height, width, box, hw))
        candidates = np.array(spots, int).reshape(-1, 4)
        free = ~_shared_px(candidates, full).any(axis=1)
        hides = (_shared_px(candidates, every) > _MOST_HIDDEN * areas).any(axis=1)
        # Of those that hide little, or of all, the first.
        place = min(np.flatnonzero(free), key=hides.__getitem__, default=None)
        places.append(None if place is None else spots[place])
        if place is not None:
            full = np.vstack([full, candidates[place]])
    return places


def _shared_px(spots: npt.NDArray[np.int_], others: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """Pixels that each of some spots (n, 4) shares with each of others (m, 4): (n, m)."""
    starts = np.maximum(spots[:, None, :2], others[:, :2])
    ends = np.minimum(spots[:, None, 2:], others[:, 2:])
    return np.asarray(np.maximum(ends - starts, 0).prod(axis=2))


def _candidates(height: int, width: int, box: Spot, hw: tuple[int, int]) -> Iterator[Spot]:
    """Places for a label at its box, best first, moved into the picture."""
    if height > hw[0] or width > hw[1]:
        return
    left, top, right, bottom = box
    inside = range(top, bottom - height + 1, height)
    downs = [top - height, *inside[:1], bottom, bottom - height, *inside[1:]]
    for down in downs:
        for across in (left, right - width, (left + right - width) // 2):
            x = min(max(0, across), hw[1] - width)
            y = min(max(0, down), hw[0] - height)
            yield x, y, x + width, y + height


def _sizes(size: int) -> Iterator[int]:
    least = max(SMALLEST_PX, size // 2)
    while size > least:
        yield size
        size = round(size * _SMALLER)
    yield least


def _drawn(name: str, rest: str, width: int, size: int) -> npt.NDArray[np.uint8]:
    """How much of each pixel is letter, 0..255: uint8 (height, width)."""
    pad = max(3, round(0.35 * size))
    room, end = width - 2 * pad, f" {rest}" if rest else ""
    text = cut(name, room - text_width(end, size, BOLD), size, BOLD) + end
    inner = text_width(text, size, BOLD)
    line = np.zeros((line_px(size), inner + 2 * pad, 3), np.uint8)
    write(line, text, pad, size, BOLD, (255, 255, 255))
    return np.ascontiguousarray(line[..., 0])


def _coloured(letters: npt.NDArray[np.uint8], ground: Colour) -> Image:
    hwc = (*letters.shape, 3)
    ink = np.full(hwc, ink_on(ground), np.uint8)
    return blend(np.full(hwc, ground, np.uint8), np.dstack([ink, letters]))
