"""The names of engines, backends, devices, number formats and colormaps, and what networks are."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from .errors import GeometryError

# "auto" slides where that is exact and crops otherwise.
Engine = Literal["auto", "slide", "crop"]
# What runs a converted network. "auto" takes the faster one.
Backend = Literal["auto", "torch", "onnx"]
# "cpu", "cuda", "cuda:1" (the second GPU) or "mps".
Device: TypeAlias = str
# Beyond float32, only matrix products and convolutions are computed in these formats ("autocast").
Dtype = Literal["float32", "tf32", "bfloat16", "float16"]
# What makes probabilities of the scores. "auto" goes by the scores of a few windows.
Activation = Literal["auto", "softmax", "sigmoid", "none"]
# OpenCV's colormaps: "turbo" is cv2.COLORMAP_TURBO.
Colormap = Literal[
    "autumn",
    "bone",
    "cividis",
    "cool",
    "deepgreen",
    "hot",
    "hsv",
    "inferno",
    "jet",
    "magma",
    "ocean",
    "parula",
    "pink",
    "plasma",
    "rainbow",
    "spring",
    "summer",
    "turbo",
    "twilight",
    "twilight_shifted",
    "viridis",
    "winter",
]
# Whether a network slides.
Sliding = Literal["exact", "inexact", "refused"]
# Over what a network that looks at its whole input takes its statistics where it slides: a window
# around each position, or the whole photo.
Statistics = Literal["local", "whole"]
# Channels of the photos that networks are given: colour, or grey.
CHANNELS = (3, 1)

STATISTICS: tuple[Statistics, ...] = get_args(Statistics)
ENGINES: tuple[Engine, ...] = get_args(Engine)
BACKENDS: tuple[Backend, ...] = get_args(Backend)
DEVICES: tuple[Device, ...] = ("cpu", "cuda", "mps")
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


def check_statistics(statistics: Statistics | None) -> Statistics | None:
    """What is asked for of statistics over the whole input; None is nothing.

    Raises:
        GeometryError: something else than there is.
    """
    if statistics not in (None, *STATISTICS):
        raise GeometryError(f"statistics is {statistics!r}: choose one of {', '.join(STATISTICS)}")
    return statistics
