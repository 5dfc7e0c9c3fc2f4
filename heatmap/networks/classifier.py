"""A classifier ready for use: the network, its preprocessing and its classes."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, SupportsFloat, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..classes import ClassList
from ..conversion.usable import CHANNELS
from ..errors import ModelError, PhotoError
from ..geometry import window_side
from ..grid.origin import WeightsKind
from ..grid.outputs import Outputs
from ..localization.auto_scales import PHOTO, ScaleRule
from ..localization.box_regression import BoxRegression
from .adapted import Adaptation

ChannelOrder = Literal["rgb", "bgr"]
# One number for each channel of the network's input: three, or one in grey.
PerChannel: TypeAlias = tuple[float, ...]

# What most networks were trained with, and the default where nothing is known.
IMAGENET_MEAN: PerChannel = (0.485, 0.456, 0.406)
IMAGENET_STD: PerChannel = (0.229, 0.224, 0.225)
# Shares of red, green and blue in grey (ITU-R Rec. 601, as in PIL's mode "L" and in OpenCV).
LUMA = (0.299, 0.587, 0.114)


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

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        """The network's input for RGB photos: (pixel/255 - mean) / std.

        A network of one channel gets their luma, rounded to 8 bits, as PIL's mode "L".

        Args:
            pixels: RGB uint8, (H, W, 3) or (B, H, W, 3), for any channel order of the network;
                not changed.

        Returns:
            float32 (B, C, H, W) in ``channels_last`` memory format, with the same bits as
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
        batch = torch.from_numpy(ordered.reshape(-1, *ordered.shape[-3:]).astype(np.float32, "C"))
        batch.div_(255).sub_(torch.tensor(self.mean)).div_(torch.tensor(self.std))
        # Channels are already last in memory: this only permutes the axes.
        return batch.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Classifier:
    """A network in eval mode, with everything needed for scoring.

    :func:`heatmap.load_classifier` makes one; any ``model`` parameter accepts it.

    Attributes:
        module: maps float32 photos (B, C, window, window) to scores (B, K).
        name: name of the network as given by the user.
        preprocessing: window (px), mean, std and channel order.
        classes: its K classes, and groups of them.
        weights: where the weights came from, in words.
        weights_digest: SHA-256 of the names and values of the weights, 64 hex digits.
        architecture: the name by which the network can be built again; "" if it was given as a
            module.
        adaptation: how its head was replaced; None if it was not.
        weights_kind: as in :class:`origin.Weights`.
        outputs: what its scores mean, as in :attr:`heatmap.ScoreGrid.kind`.
        notes: what was decided while loading that the user should know, such as prefixes taken
            off the names of weights.
        scale_rule: which scales photos are scored at where none are given.
        box_regression: refines the boxes of detections; None where it was not trained with boxes.
    """

    module: nn.Module
    name: str
    preprocessing: Preprocessing
    classes: ClassList
    weights: str
    weights_digest: str
    architecture: str = ""
    adaptation: Adaptation | None = None
    weights_kind: WeightsKind = "own"
    outputs: Outputs = "logits"
    notes: tuple[str, ...] = ()
    scale_rule: ScaleRule = PHOTO
    box_regression: BoxRegression | None = None


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
    # Rec. 601 in fractions of 2^16.
    grey = (19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16
    return grey.astype(np.uint8)[..., None]
