"""The names of engines, devices and number formats, and of activations behind a network."""

from __future__ import annotations

from typing import Literal, get_args

# "auto" slides where that is exact and crops otherwise.
Engine = Literal["auto", "slide", "crop"]
Device = Literal["cpu", "cuda", "mps"]
Dtype = Literal["float32", "bfloat16", "float16"]
# What makes probabilities of the scores. "auto" goes by the scores of a few windows.
Activation = Literal["auto", "softmax", "sigmoid", "none"]

ENGINES: tuple[Engine, ...] = get_args(Engine)
DEVICES: tuple[Device, ...] = get_args(Device)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
