"""The values of a photo file become 8-bit sRGB, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyvips

from ..errors import PhotoError
from .rows import rows_of

_COLOUR_CHANNELS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "scrgb": 3, "cmyk": 4}

# The note that some pixels are transparent.
TRANSPARENT = "transparency laid over white"

# Turns an image that can be read only once, in order, into one that can be read again.
Keep = Callable[[pyvips.Image], pyvips.Image]


def header_field(image: pyvips.Image, name: str, default: int) -> Any:
    """A header field, or ``default`` where the image has none."""
    return image.get(name) if image.get_typeof(name) else default


def to_known_values(image: pyvips.Image, keep: Keep) -> tuple[pyvips.Image, str]:
    """Refuse channels and values of unknown meaning, and convert float values to 8 bits."""
    colours = _COLOUR_CHANNELS.get(image.interpretation)
    if colours is None or image.bands - colours not in (0, 1):
        raise PhotoError(
            f"has {image.bands} channels ({image.interpretation}): "
            "give grey, RGB or CMYK, with or without transparency"
        )
    if image.format == "float":
        return _from_float(image, keep)
    if image.format not in ("uchar", "ushort"):
        raise PhotoError(f"values are of type {image.format}: give 8 bits, 16 bits or float")
    return image, "16-bit reduced to 8" if image.format == "ushort" else ""


def _from_float(image: pyvips.Image, keep: Keep) -> tuple[pyvips.Image, str]:
    # Two passes, one to find the range: but a file can be read in order only once.
    image = keep(image)
    low, high = _extremes(image)
    if not np.isfinite([low, high]).all():
        raise PhotoError("holds values that are not finite (NaN or infinite)")
    if low < 0 or high > 255:
        raise PhotoError(f"float values go from {low:g} to {high:g}: give 0..1 or 0..255")
    unit = high <= 1
    # libvips would take float RGB for linear light; 8-bit values it takes as they are.
    whole = (image * (255 if unit else 1)).rint().cast("uchar")
    return whole, f"float values taken as {'0..1' if unit else '0..255'}, reduced to 8 bits"


def _extremes(image: pyvips.Image) -> tuple[float, float]:
    """Smallest and largest value; NaN if there is any (libvips ignores NaN)."""
    lows, highs = zip(*((rows.min(), rows.max()) for rows in rows_of(image)), strict=True)
    return float(np.min(lows)), float(np.max(highs))


def to_srgb(image: pyvips.Image, _: Keep) -> tuple[pyvips.Image, str]:
    """Grey, CMYK, 16-bit and profiled colours to 8-bit sRGB; transparency stays."""
    note = "CMYK converted to sRGB" if image.interpretation == "cmyk" else ""
    if image.get_typeof("icc-profile-data"):
        # libvips replaces a profile that is broken or for other channels by a built-in one.
        return image.icc_transform("srgb", embedded=True, depth=8), note
    return image.colourspace("srgb"), note


def over_white(image: pyvips.Image, keep: Keep) -> tuple[pyvips.Image, str]:
    """Transparency laid over white."""
    if not image.hasalpha():
        return image, ""
    # Two passes, as above.
    image = keep(image)
    note = TRANSPARENT if image[-1].min() < 255 else ""
    return image.flatten(background=255), note


def upright(image: pyvips.Image, keep: Keep) -> tuple[pyvips.Image, str]:
    """Turned as the EXIF orientation says."""
    orientation = header_field(image, "orientation", 1)
    if orientation not in range(2, 9):
        return image, ""
    # Rotating reads columns, but the file is read by rows.
    return keep(image).autorot(), f"turned upright by its EXIF orientation {orientation}"
