"""Views of an example: the region at the window's size, plain or augmented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import GeometryError
from ..geometry import Box

SCALE_JITTER = 1.25  # the region's side is divided or multiplied by at most this
SHIFT = 0.1  # of the region's side, each way
LIGHT_JITTER = 0.2  # of brightness and of contrast, each way


@dataclass(frozen=True)
class _Square:
    """What is cut out: whole px of the photo, perhaps outside it."""

    left: int
    top: int
    width: int
    height: int


def view(
    pixels: npt.NDArray[np.uint8],
    xyxy: Box | None,
    window_px: int,
    *,
    number: int = 0,
    seed: Sequence[int] = (0,),
) -> npt.NDArray[np.uint8]:
    """A region of a photo as the network sees it: uint8 (window_px, window_px, 3), contiguous.

    Number 0 is the plain region. All others are augmented: mirrored half of the time; its
    side 0.8 to 1.25 times as long, and moved by up to 10 % of that; brightness and contrast
    changed by up to 20 %. Of a whole photo the plain view is the centre square, the others
    are squares of 0.8 to 1 times its side anywhere within the photo. What lies outside the
    photo is its reflection (REFLECT_101).

    Args:
        pixels: the upright photo, RGB uint8 (H, W, 3); not changed.
        xyxy: the region in px of the photo, rounded to whole ones; one that is no square is
            squeezed to one. None is the whole photo.
        window_px: side of the view, px.
        number: which view, from 0 on.
        seed: whole numbers from 0 on. Together with ``number`` they decide all that is drawn.

    Raises:
        GeometryError: the window has no pixel.
    """
    if window_px < 1:
        raise GeometryError(f"window is {window_px} px: it must be at least 1")
    hw = (pixels.shape[0], pixels.shape[1])
    if number == 0:
        return _scaled(_cut(pixels, _plain(xyxy, hw)), window_px)
    drawn = np.random.default_rng([*seed, number])
    square = _drawn_within(hw, drawn) if xyxy is None else _drawn_around(_plain(xyxy, hw), drawn)
    seen = _scaled(_cut(pixels, square), window_px)
    if drawn.random() < 0.5:
        seen = seen[:, ::-1]
    return _in_other_light(seen, drawn)


def _plain(xyxy: Box | None, hw: tuple[int, int]) -> _Square:
    if xyxy is None:
        side = min(hw)
        return _Square((hw[1] - side) // 2, (hw[0] - side) // 2, side, side)
    left, top, right, bottom = map(round, xyxy)
    return _Square(left, top, max(1, right - left), max(1, bottom - top))


def _drawn_within(hw: tuple[int, int], drawn: np.random.Generator) -> _Square:
    side = max(1, round(min(hw) * min(1.0, _factor(drawn))))
    top, left = (int(drawn.integers(length - side, endpoint=True)) for length in hw)
    return _Square(left, top, side, side)


def _drawn_around(square: _Square, drawn: np.random.Generator) -> _Square:
    """Another size around the same centre, then moved."""
    factor = _factor(drawn)
    width, height = (max(1, round(side * factor)) for side in (square.width, square.height))
    right, down = drawn.uniform(-SHIFT, SHIFT, 2)
    return _Square(
        round(square.left + (square.width - width) / 2 + right * width),
        round(square.top + (square.height - height) / 2 + down * height),
        width,
        height,
    )


def _factor(drawn: np.random.Generator) -> float:
    """As often longer as shorter."""
    most = math.log(SCALE_JITTER)
    return math.exp(drawn.uniform(-most, most))


def _cut(pixels: npt.NDArray[np.uint8], square: _Square) -> npt.NDArray[np.uint8]:
    """A view of the photo where all of the square lies in it."""
    bottom, right = square.top + square.height, square.left + square.width
    if min(square.top, square.left) >= 0 and bottom <= len(pixels) and right <= pixels.shape[1]:
        return pixels[square.top : bottom, square.left : right]
    rows = _sources(square.top, bottom, pixels.shape[0])
    columns = _sources(square.left, right, pixels.shape[1])
    return pixels[rows[:, None], columns]


def _sources(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    """Which row (column) of the photo stands at each one from start to stop: REFLECT_101."""
    period = max(1, 2 * (length - 1))
    along = np.arange(start, stop) % period
    return np.minimum(along, period - along)


def _scaled(region: npt.NDArray[np.uint8], window_px: int) -> npt.NDArray[np.uint8]:
    """At the window's size, in memory of its own."""
    if region.shape[:2] == (window_px, window_px):
        return region.copy(order="C")
    shrinks = max(region.shape[:2]) > window_px
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    scaled = cv2.resize(region, (window_px, window_px), interpolation=kind)
    return np.ascontiguousarray(scaled, np.uint8)


def _in_other_light(
    seen: npt.NDArray[np.uint8], drawn: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Brightness multiplies all values, contrast their distance from the view's mean."""
    brightness, contrast = drawn.uniform(1 - LIGHT_JITTER, 1 + LIGHT_JITTER, 2)
    values = brightness * (contrast * np.arange(256) + (1 - contrast) * seen.mean())
    table: npt.NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return table[seen]
