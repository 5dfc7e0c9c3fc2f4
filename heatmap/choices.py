"""The names of the engines, devices and number formats that a network can compute with."""

from __future__ import annotations

from typing import Literal, get_args

# "auto" slides where that is exact and crops otherwise.
Engine = Literal["auto", "slide", "crop"]
Device = Literal["cpu", "cuda", "mps"]
Dtype = Literal["float32", "bfloat16", "float16"]

ENGINES: tuple[Engine, ...] = get_args(Engine)
DEVICES: tuple[Device, ...] = get_args(Device)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
