"""Boxes on a photo, each cut out, resized to one window and scored by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..conversion.network import FullyConvolutional
from ..geometry import Box, whole_px
from ..localization.box_regression import profiles_of
from ..memory import kept_memory
from ..photo.photo import Photo
from ..photo.photo_file import fits_memory
from ..photo.reduced import OpenPhoto, ReducedPhoto, reduced_hw, reduced_photo
from ..prepared.preprocessing import Preprocessing
from .crop import CROP_BATCH
from .device import Compute


@dataclass(frozen=True)
class BoxOutputs:
    """What a network gives for some boxes.

    Attributes:
        scores: float32 (B, K).
        profiles: those of the feature maps, float32 (B, 2, C * n), see
            :func:`box_regression.profiles_of`; None where they were not asked for.
    """

    scores: npt.NDArray[np.float32]
    profiles: npt.NDArray[np.float32] | None = None


def box_outputs(
    module: nn.Module,
    preprocessing: Preprocessing,
    photo: OpenPhoto,
    boxes_xyxy: Sequence[Box],
    compute: Compute,
    *,
    profiles: bool = False,
) -> BoxOutputs:
    """What a network gives for boxes in photo px, at least one, each stretched to one window.

    Args:
        module: the classifier or, which is faster, its converted form; on the device of
            ``compute``.
        preprocessing, photo, boxes_xyxy, compute: of the classifier, the photo, and the device.
        profiles: whether to give those of the feature maps; only of a converted network.
    """
    pixels = _pixels(photo)
    scores, seen = [], []
    with kept_memory(), torch.inference_mode():
        for start in range(0, len(boxes_xyxy), CROP_BATCH):
            crops = [
                _crop(pixels, box, photo.hw, preprocessing.window_px)
                for box in boxes_xyxy[start : start + CROP_BATCH]
            ]
            batch = compute.tensor(preprocessing.tensor(np.stack(crops)))
            if profiles:
                assert isinstance(module, FullyConvolutional)
                features = module.trunk(batch)
                seen.append(profiles_of(features.float().cpu().numpy()))
                outputs = module.head(features)
            else:
                outputs = module(batch)
            # A converted network gives a grid of one cell for each.
            scores.append(outputs.flatten(1).float().cpu().numpy())
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
