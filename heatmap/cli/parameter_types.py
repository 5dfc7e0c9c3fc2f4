"""Types of option values: sizes, amounts of memory, and lists of numbers."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from ..choices import DEVICES
from ..localization.auto_scales import AUTOMATIC

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class ChannelNumbers(click.ParamType):  # type: ignore[type-arg]
    """One number for each channel: "0.5,0.5,0.5", or "0.5" in grey."""

    name = "R,G,B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The three numbers, or the one."""
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in (3, 1):
            self.fail(f"{value!r}: give three numbers, such as 0.5,0.5,0.5", param, ctx)
        return numbers

    def spell(self, value: tuple[float, ...]) -> str:
        """As typed on the command line."""
        return ",".join(f"{number:g}" for number in value)


class StridePx(click.ParamType):  # type: ignore[type-arg]
    """A whole number of px, or "auto"."""

    name = "PX|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """The number, or "auto"."""
        if value == "auto":
            return "auto"
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r}: give a whole number of px, or auto", param, ctx)

    def spell(self, value: int | str) -> str:
        """As typed on the command line."""
        return str(value)


class LowHigh(click.ParamType):  # type: ignore[type-arg]
    """Two numbers, the lower one first: "0:4095"."""

    name = "LOW:HIGH"

    def numbers(self, value: str) -> tuple[float, float]:
        """The two; not numbers (NaN), so that no bound holds, where they cannot be read."""
        try:
            low, high = (float(part) for part in value.split(":"))
        except ValueError:
            low = high = math.nan
        return low, high

    def spell(self, value: tuple[float, float]) -> str:
        """As typed on the command line."""
        return ":".join(f"{number:g}" for number in value)


class ColorRange(LowHigh):
    """Two probabilities: "0:0.5"."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """The lowest and the highest."""
        if isinstance(value, tuple):
            return value
        low, high = self.numbers(value)
        if not 0 <= low < high <= 1:
            self.fail(f"{value!r}: give two numbers from 0 to 1, such as 0:0.5", param, ctx)
        return low, high


class InputRange(LowHigh):
    """Two values of a photo file: "0:4095"."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """The one that becomes black, and the one that becomes white."""
        low, high = self.numbers(value)
        if not -math.inf < low < high < math.inf:
            self.fail(f"{value!r}: give two numbers, such as 0:4095", param, ctx)
        return low, high


class PixelCount(click.ParamType):  # type: ignore[type-arg]
    """A number of pixels: "300M", "300000000"."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, at least 1."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kmg]?)", value.strip().lower())
        number = float(match[1]) * _BYTES[match[2]] if match else 0
        if not 1 <= number < math.inf:
            self.fail(f"{value!r}: give a number of pixels, such as 300M", param, ctx)
        return int(number)

    def spell(self, value: int) -> str:
        """As typed, in whole millions, rounded up."""
        return f"{math.ceil(value / 10**6)}M"


class WholeNumbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers: "4,2,1"."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers."""
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: give whole numbers, such as 4,2,1", param, ctx)

    def spell(self, value: tuple[int, ...]) -> str:
        """As typed on the command line."""
        return ",".join(map(str, value))


class WindowSide(click.ParamType):  # type: ignore[type-arg]
    """The side of a square window in px: "224"."""

    name = "PX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, int]:
        """The side; (height, width) if two were given, which the library refuses by name."""
        try:
            width, *more = (int(part) for part in str(value).lower().split("x"))
            return (more[0], width) if more else width
        except ValueError:
            self.fail(f"{value!r}: give the side in px, such as 224", param, ctx)

    def spell(self, value: int) -> str:
        """As typed on the command line."""
        return str(value)


class PhotoSize(click.ParamType):  # type: ignore[type-arg]
    """The size of a photo, width x height in px: "640x480"."""

    name = "WIDTHxHEIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """(width, height)."""
        try:
            width, height = (int(part) for part in value.lower().split("x"))
        except ValueError:
            self.fail(f"{value!r}: give width x height in px, such as 640x480", param, ctx)
        return width, height

    def spell(self, value: tuple[int, int]) -> str:
        """As typed on the command line."""
        width, height = value
        return f"{width}x{height}"


class DeviceName(click.Choice):  # type: ignore[type-arg]
    """A device: "cpu", "cuda", "mps"; or one of several GPUs: "cuda:1"."""

    def __init__(self) -> None:
        super().__init__(DEVICES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As typed."""
        if value not in DEVICES and not re.fullmatch(r"cuda:\d+", value):
            self.fail(f"{value!r}: choose one of {', '.join(DEVICES)}, cuda:N", param, ctx)
        return str(value)


class Memory(click.ParamType):  # type: ignore[type-arg]
    """An amount of memory: "500MB", "2GB"."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes, at least 1."""
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kmgt]?)b?", value.strip().lower())
        number = float(match[1]) * _BYTES[match[2]] if match else 0
        if not 1 <= number < math.inf:
            self.fail(f"{value!r}: give bytes, such as 500MB or 2GB", param, ctx)
        return int(number)

    def spell(self, value: int) -> str:
        """As typed, in whole megabytes, rounded up."""
        return f"{math.ceil(value / 10**6)}MB"


class RegionXywh(click.ParamType):  # type: ignore[type-arg]
    """A part of a photo: left, top, width and height."""

    name = "LEFT,TOP,WIDTH,HEIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Four whole numbers."""
        parts = value.split(",")
        if len(parts) != 4 or not all(re.fullmatch(r"\s*[0-9]+\s*", part) for part in parts):
            self.fail(f"{value!r}: give four whole numbers, such as 1000,500,800,600", param, ctx)
        return tuple(map(int, parts))

    def spell(self, value: Any) -> str:
        """As typed."""
        return ",".join(map(str, value))


def read_scales(values: tuple[str, ...]) -> tuple[float, ...] | str:
    """Resize factors of a repeated option, without duplicates, or the name of a rule for them.

    Raises:
        click.BadParameter: a value is not a number, or a rule is combined with others.
    """
    if not values:
        return "auto"
    if len(values) == 1 and values[0] in AUTOMATIC:
        return values[0]
    try:
        return tuple(dict.fromkeys(float(value) for value in values))
    except ValueError:
        raise click.BadParameter(
            f"{' '.join(values)!r}: give numbers, such as --scale 0.5 --scale 1, or one of "
            f"{', '.join(AUTOMATIC)} alone"
        ) from None
