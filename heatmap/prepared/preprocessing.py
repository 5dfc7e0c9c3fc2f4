"""How photos become the input of a network: window, mean, standard deviation, order of channels."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, SupportsFloat, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

from ..choices import CHANNELS
from ..errors import ModelError, PhotoError
from ..geometry import window_side

Pixels: TypeAlias = npt.NDArray[np.uint8]
ChannelOrder = Literal["rgb", "bgr"]
# One number for each channel of the network's input: three, or one in grey.
PerChannel: TypeAlias = tuple[float, ...]

# What most networks were trained with, and the default where nothing is known.
IMAGENET_MEAN: PerChannel = (0.485, 0.456, 0.406)
IMAGENET_STD: PerChannel = (0.229, 0.224, 0.225)
# Shares of red, green and blue in grey (ITU-R Rec. 601, as in PIL's mode "L" and in OpenCV).
LUMA = (0.299, 0.587, 0.114)
# The same in fractions of 2^16.
LUMA_SHARES = (19595, 38470, 7471)


@dataclass(frozen=True)
class Preprocessing:
    """How photos are prepared for a network.

    Attributes:
        window_px: side of the square that it was trained on, px.
        mean, std: mean and standard deviation of each channel, in units of pixel/255 and in the
            order of the network's channels (blue first for "bgr"); one number each for a network
            of one channel, which gets photos in grey.
        channel_order: "rgb" or "bgr".

    Raises:
        ModelError: the window is below 1 px or not square, a mean is outside -1..1, a std is not
            above 0, they differ in length, or the channel order is unknown.
    """

    window_px: int
    mean: PerChannel = IMAGENET_MEAN
    std: PerChannel = IMAGENET_STD
    channel_order: ChannelOrder = "rgb"

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_px", window_side(self.window_px))
        object.__setattr__(self, "mean", _numbers("mean", self.mean))
        object.__setattr__(self, "std", _numbers("std", self.std))
        if len(self.mean) != len(self.std):
            raise ModelError(f"mean is {self.mean}, std is {self.std}: give as many of each")
        if any(abs(value) > 1 for value in self.mean):
            raise ModelError(f"mean is {self.mean}: give it in units of pixel/255, such as 0.485")
        if any(value <= 0 for value in self.std):
            raise ModelError(f"std is {self.std}: each must be above 0, in units of pixel/255")
        if self.channel_order not in get_args(ChannelOrder):
            raise ModelError(
                f"channel order is {self.channel_order!r}: "
                f"choose one of {', '.join(get_args(ChannelOrder))}"
            )

    @property
    def channels(self) -> int:
        """Channels of the network's input: 3, or 1 in grey."""
        return len(self.mean)

    def in_grey(self) -> Preprocessing:
        """The same for a network of one channel: mean and std weighted as the pixels are."""
        if self.channels == 1:
            return self
        weights = LUMA if self.channel_order == "rgb" else LUMA[::-1]
        mean, std = (sum(map(operator.mul, weights, each)) for each in (self.mean, self.std))
        return replace(self, mean=(mean,), std=(std,))

    def array(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """The network's input for RGB photos: (pixel/255 - mean) / std.

        A network of one channel gets their luma, rounded to 8 bits, as PIL's mode "L".

        Args:
            pixels: RGB uint8, (H, W, 3) or (B, H, W, 3), for any channel order of the network;
                not changed.

        Returns:
            float32 (B, C, H, W), whose memory is in the order (B, H, W, C); with the same bits as
            torchvision's preprocessing.

        Raises:
            PhotoError: the array has another dtype or shape.
        """
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
            raise PhotoError(
                f"pixels are {pixels.dtype} {pixels.shape}, "
                "expected uint8 (H, W, 3) or (B, H, W, 3), red first"
            )
        ordered = pixels if self.channel_order == "rgb" else pixels[..., ::-1]
        ordered = ordered if self.channels == 3 else _luma(pixels)
        height, width = pixels.shape[-3:-1]
        # Looked up: 256 values a channel are divided once, not every pixel.
        rows = np.ascontiguousarray(ordered).reshape(-1, width, self.channels)
        values = cv2.LUT(rows, self._values())
        photos = np.asarray(values, np.float32).reshape(-1, height, width, self.channels)
        return photos.transpose(0, 3, 1, 2)

    def _values(self) -> npt.NDArray[np.float32]:
        """What each of 256 values becomes, by channel: float32 (256, C)."""
        levels = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
        mean, std = (np.asarray(each, np.float32) for each in (self.mean, self.std))
        return np.asarray(((levels - mean) / std)[None], np.float32)


def _numbers(name: str, values: Iterable[SupportsFloat]) -> PerChannel:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in CHANNELS:
        raise ModelError(
            f"{name} is {values!r}: give three numbers, one per channel, or one in grey"
        )
    if not all(map(math.isfinite, numbers)):
        raise ModelError(f"{name} is {numbers}: give finite numbers")
    return numbers


def _luma(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Grey values (..., 1) of RGB pixels (..., 3), with the same bits as PIL's mode "L"."""
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    grey = (red * LUMA_SHARES[0] + green * LUMA_SHARES[1] + blue * LUMA_SHARES[2] + 2**15) >> 16
    return grey.astype(np.uint8)[..., None]
