"""Views of a training example: its region resized to the window, plain or augmented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import GeometryError
from ..geometry import Box
from ..photo.extended import reflected

SCALE_JITTER = 1.25  # the region's side is divided or multiplied by at most this
SHIFT = 0.1  # of the region's side, each way
LIGHT_JITTER = 0.2  # of brightness and of contrast, each way


@dataclass(frozen=True)
class _Region:
    """A region in whole px of the photo; may extend beyond it."""

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
    """One view of a region: uint8 (window_px, window_px, 3), contiguous.

    View 0 is the plain region. All others are augmented: mirrored with probability 0.5, side
    scaled by 0.8 to 1.25 and then shifted by up to 10 % of it, brightness and contrast changed by
    up to 20 %. For a whole photo, the plain view is the centre square, and the others are squares
    of 0.8 to 1 times its side anywhere within the photo. Pixels outside the photo are reflected
    (REFLECT_101).

    Args:
        pixels: the upright photo, RGB uint8 (H, W, 3); not changed.
        xyxy: the region in px of the photo, rounded to whole px and resized to a square. None is
            the whole photo.
        window_px: side of the view, px.
        number: number of the view, from 0.
        seed: non-negative integers that, with ``number``, seed the random augmentation.

    Raises:
        GeometryError: ``window_px`` is below 1.
    """
    if window_px < 1:
        raise GeometryError(f"window is {window_px} px: it must be at least 1")
    hw = (pixels.shape[0], pixels.shape[1])
    if number == 0:
        return _scaled(_cut(pixels, _plain(xyxy, hw)), window_px)
    noise = np.random.default_rng([*seed, number])
    region = _random_within(hw, noise) if xyxy is None else _random_around(_plain(xyxy, hw), noise)
    scaled = _scaled(_cut(pixels, region), window_px)
    if noise.random() < 0.5:
        scaled = scaled[:, ::-1]
    return _in_other_light(scaled, noise)


def _plain(xyxy: Box | None, hw: tuple[int, int]) -> _Region:
    if xyxy is None:
        side = min(hw)
        return _Region((hw[1] - side) // 2, (hw[0] - side) // 2, side, side)
    left, top, right, bottom = map(round, xyxy)
    return _Region(left, top, max(1, right - left), max(1, bottom - top))


def _random_within(hw: tuple[int, int], noise: np.random.Generator) -> _Region:
    """A random square within the photo."""
    side = max(1, round(min(hw) * min(1.0, _factor(noise))))
    top, left = (int(noise.integers(length - side, endpoint=True)) for length in hw)
    return _Region(left, top, side, side)


def _random_around(region: _Region, noise: np.random.Generator) -> _Region:
    """The region scaled around its centre and then shifted, at random."""
    factor = _factor(noise)
    width, height = (max(1, round(side * factor)) for side in (region.width, region.height))
    right, down = noise.uniform(-SHIFT, SHIFT, 2)
    return _Region(
        round(region.left + (region.width - width) / 2 + right * width),
        round(region.top + (region.height - height) / 2 + down * height),
        width,
        height,
    )


def _factor(noise: np.random.Generator) -> float:
    """A random scale factor, log-uniform around 1."""
    limit = math.log(SCALE_JITTER)
    return math.exp(noise.uniform(-limit, limit))


def _cut(pixels: npt.NDArray[np.uint8], region: _Region) -> npt.NDArray[np.uint8]:
    """The pixels of a region; a view if it lies within the photo."""
    bottom, right = region.top + region.height, region.left + region.width
    if min(region.top, region.left) >= 0 and bottom <= len(pixels) and right <= pixels.shape[1]:
        return pixels[region.top : bottom, region.left : right]
    rows = reflected(region.top, bottom, pixels.shape[0])
    columns = reflected(region.left, right, pixels.shape[1])
    return pixels[rows[:, None], columns]


def _scaled(region: npt.NDArray[np.uint8], window_px: int) -> npt.NDArray[np.uint8]:
    """The region resized to the window, as a new array."""
    if region.shape[:2] == (window_px, window_px):
        return region.copy(order="C")
    shrinks = max(region.shape[:2]) > window_px
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    scaled = cv2.resize(region, (window_px, window_px), interpolation=kind)
    return np.ascontiguousarray(scaled, np.uint8)


def _in_other_light(
    scaled: npt.NDArray[np.uint8], noise: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Multiply values by a brightness, and scale them around the mean by a contrast."""
    brightness, contrast = noise.uniform(1 - LIGHT_JITTER, 1 + LIGHT_JITTER, 2)
    values = brightness * (contrast * np.arange(256) + (1 - contrast) * scaled.mean())
    table: npt.NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return table[scaled]
