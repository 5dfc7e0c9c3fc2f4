"""Boxes on a photo, each cut out, resized to one window and scored by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ..geometry import Box, whole_px
from ..localization.box_regression import profiles_of
from ..memory import kept_memory
from ..photo.photo import Photo
from ..photo.photo_file import fits_memory
from ..photo.reduced import OpenPhoto, ReducedPhoto, reduced_hw, reduced_photo
from .cells import CROP_BATCH

Floats: TypeAlias = npt.NDArray[np.float32]
# Windows, RGB uint8 (B, window, window, 3), and whether feature maps are asked for -> scores (B, K)
# and feature maps (B, C, n, n), or None.
CropNetwork: TypeAlias = Callable[[npt.NDArray[np.uint8], bool], tuple[Floats, Floats | None]]


@dataclass(frozen=True)
class BoxOutputs:
    """What a network gives for some boxes.

    Attributes:
        scores: float32 (B, K).
        profiles: those of the feature maps, float32 (B, 2, C * n), see
            :func:`box_regression.profiles_of`; None where they were not asked for.
    """

    scores: Floats
    profiles: Floats | None = None


def box_outputs(
    network: CropNetwork,
    photo: OpenPhoto,
    boxes_xyxy: Sequence[Box],
    window_px: int,
    *,
    profiles: bool = False,
) -> BoxOutputs:
    """What a network gives for boxes in photo px, at least one, each stretched to one window.

    Args:
        network: runs the network on windows.
        photo, boxes_xyxy: the photo, and the boxes.
        window_px: side of a window.
        profiles: whether to give those of the feature maps.
    """
    pixels = _pixels(photo)
    scores, seen = [], []
    with kept_memory():
        for start in range(0, len(boxes_xyxy), CROP_BATCH):
            crops = [
                _crop(pixels, box, photo.hw, window_px)
                for box in boxes_xyxy[start : start + CROP_BATCH]
            ]
            given, features = network(np.stack(crops), profiles)
            scores.append(given)
            if features is not None:
                seen.append(profiles_of(features))
    return BoxOutputs(np.concatenate(scores), np.concatenate(seen) if profiles else None)


def _pixels(photo: OpenPhoto) -> npt.NDArray[np.uint8]:
    """The photo in memory; of one that stays on disk what was decoded, or is now, of it."""
    if isinstance(photo, Photo):
        return photo.pixels
    if isinstance(photo, ReducedPhoto):
        return photo.level.pixels
    denominator = 2
    while not fits_memory(reduced_hw(photo.hw, denominator)):
        denominator *= 2
    return reduced_photo(photo.path, denominator, photo.region, photo.reading).level.pixels


def _crop(
    pixels: npt.NDArray[np.uint8], xyxy: Box, photo_hw: tuple[int, int], window: int
) -> npt.NDArray[np.uint8]:
    """The whole pixels that a box touches, at least one, resized to (window, window, 3)."""
    down, across = (held / side for held, side in zip(pixels.shape, photo_hw, strict=False))
    left, right = whole_px(xyxy[0] * across, xyxy[2] * across, pixels.shape[1])
    top, bottom = whole_px(xyxy[1] * down, xyxy[3] * down, pixels.shape[0])
    cut: npt.NDArray[Any] = pixels[top:bottom, left:right]
    # Each axis by itself: a box may be wider and lower than a window.
    for size in ((window, cut.shape[0]), (window, window)):
        shrinks = size[0] < cut.shape[1] or size[1] < cut.shape[0]
        cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.ascontiguousarray(cut, np.uint8)
