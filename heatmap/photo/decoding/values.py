"""The values of a photo file become 8-bit sRGB, or are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips

from ...errors import PhotoError, Use
from ...quiet import listening
from .colours import ALPHA, Bands, bands_of
from .depth import FULL, LEAST, Extremes, depth_of

_FULL = 65535
_INTERPRETATIONS = {
    (1, 255): "b-w",
    (3, 255): "srgb",
    (4, 255): "cmyk",
    (1, _FULL): "grey16",
    (3, _FULL): "rgb16",
    (4, _FULL): "cmyk",
}
_LARGEST = {"char": 127, "ushort": _FULL, "short": 32767, "uint": 2**32 - 1, "int": 2**31 - 1}
_POWERS = {2**bits for bits in range(LEAST, FULL + 1)}

# Said of a photo whose colour profile is damaged, or is that of other channels.
NO_PROFILE = "its colour profile is damaged, read without"

# The note that some pixels are transparent.
TRANSPARENT = "transparency laid over white"

# Turns an image that can be read only once, in order, into one that can be read again.
Keep = Callable[[pyvips.Image], pyvips.Image]


def header_field(image: pyvips.Image, name: str, default: int | None) -> Any:
    """A header field, or ``default`` where the image has none."""
    return image.get(name) if image.get_typeof(name) else default


@dataclass(frozen=True)
class Stored:
    """What is known of the values of a file beside their type.

    Attributes:
        extremes: finds the lowest and highest value of some bands of the whole file.
        extra: what the bands beyond colour are (:func:`colours.bands_of`).
        bits: the depth that the file names for values of 16 bits, or None.
        scaled: whether values may fill 16 bits all the same, as in PNG.
        white_is_zero: whether 0 is white in the file (:func:`as_in_file`).
        input_range: the values of the file that become black and white; None is by the file.
    """

    extremes: Callable[[Sequence[int]], Extremes]
    extra: Sequence[int] = ALPHA
    bits: int | None = None
    scaled: bool = False
    white_is_zero: bool = False
    input_range: tuple[float, float] | None = None


def to_known_values(image: pyvips.Image, stored: Stored) -> tuple[pyvips.Image, tuple[str, ...]]:
    """Colours and transparency of 8 bits, or of 16 where a profile is still to be applied.

    Raises:
        PhotoError: bands or values of unknown meaning.
        pyvips.Error: the file is damaged.
    """
    bands = bands_of(image, stored.extra)
    plain = image.format == "uchar" and stored.input_range is None and len(bands.colours) == 1
    turned = stored.white_is_zero and not plain
    if turned:
        image = as_in_file(image)
    colours = _picked(image, bands.colours)
    low, high, note = _black_and_white(image, bands, stored)
    white = _FULL if image.format == "ushort" and _has_profile(image) else 255
    shown = _between(colours, low, high, white)
    if turned:
        shown = (white - shown).cast(shown.format)
    if bands.alpha is not None:
        shown = shown.bandjoin(_opacity(image, bands.alpha, high, stored, white))
        if bands.premultiplied:
            shown = shown.unpremultiply(max_alpha=white).rint().cast(_type_of(white))
    named = _INTERPRETATIONS[len(bands.colours), white]
    return shown.copy(interpretation=named), (*bands.notes, *([note] if note else []))


def _picked(image: pyvips.Image, bands: Sequence[int]) -> pyvips.Image:
    if list(bands) == list(range(image.bands)):
        return image
    first, *others = (image[band] for band in bands)
    return first.bandjoin(others) if others else first


def as_in_file(image: pyvips.Image) -> pyvips.Image:
    """Values as they stand in a file whose 0 is white: libvips turns over the first band.

    Raises:
        PhotoError: it turns over some types in another way.
    """
    if image.format == "float":
        return image
    if image.format not in ("uchar", "ushort"):
        raise PhotoError(f"values are of type {image.format}, and 0 is white: make 0 black")
    first = ((_FULL if image.format == "ushort" else 255) - image[0]).cast(image.format)
    joined = first.bandjoin([image[band] for band in range(1, image.bands)])
    return joined.copy(interpretation=image.interpretation) if image.bands > 1 else first


def _black_and_white(image: pyvips.Image, bands: Bands, stored: Stored) -> tuple[float, float, str]:
    """The values that become black and white, and a note."""
    if stored.input_range is not None:
        low, high = stored.input_range
        if image.format == "float":
            _check_finite(stored.extremes(bands.colours))
        return low, high, f"values from {low:g} to {high:g} taken as black to white"
    if image.format == "uchar":
        return 0, 255, ""
    if image.format == "ushort":
        # What takes a pass over the file is left out where the answer is known.
        high = 0.0 if stored.bits == FULL else stored.extremes(bands.colours).high
        bits, note = depth_of(high, stored.bits, scaled=stored.scaled)
        return 0, 2**bits - 1, note
    return _by_values(image.format, stored.extremes(bands.colours))


def _by_values(kind: str, found: Extremes) -> tuple[float, float, str]:
    """Black and white of values that are neither of 8 nor of 16 bits, by their range."""
    if kind == "float":
        _check_finite(found)
        if found.low >= 0 and found.high <= 255:
            high = 1 if found.high <= 1 else 255
            return 0, high, f"float values taken as 0..{high}, reduced to 8 bits"
    name = "float values" if kind == "float" else f"values of type {kind}"
    known = "0..1 or 0..255" if kind == "float" else "8 bits, 16 bits or float"
    raise PhotoError(
        f"{name} go from {found.low:g} to {found.high:g}, which is not {known}",
        Use("input_range", (found.low, found.high) if found.low < found.high else None),
    )


def _check_finite(found: Extremes) -> None:
    if not np.isfinite([found.low, found.high]).all():
        raise PhotoError("holds values that are not finite (NaN or infinite)")


def _between(image: pyvips.Image, low: float, high: float, white: int) -> pyvips.Image:
    """Values between two, as 0 to ``white``; those beyond are cut off."""
    if low == 0 and image.format in ("uchar", "ushort"):
        if high == white:
            return image.cast(_type_of(white))
        if image.format == "ushort" and white == 255 and high + 1 in _POWERS:
            # The lowest bits are left out: what 16 bits as 8 are everywhere.
            return (image >> (int(high).bit_length() - LEAST)).cast("uchar")
    if image.format in ("uint", "int", "double"):
        image = image.cast("double")
    factor = white / (high - low)
    return image.linear(factor, -low * factor).rint().cast(_type_of(white))


def _opacity(
    image: pyvips.Image, alpha: int, high: float, stored: Stored, white: int
) -> pyvips.Image:
    """The transparency, as 0 to ``white``, whatever the range of the colours."""
    opaque = float(_LARGEST.get(image.format, 255))
    if image.format == "float":
        opaque = 1 if stored.extremes([alpha]).high <= 1 else 255
    elif image.format == "ushort" and (stored.input_range or high < _FULL):
        found = stored.extremes([alpha]).high
        by_colours = stored.input_range is None and found <= high
        opaque = high if by_colours else 2 ** depth_of(found, None, scaled=False)[0] - 1
    return _between(image[alpha], 0, opaque, white)


def _type_of(white: int) -> str:
    return "ushort" if white == _FULL else "uchar"


def _has_profile(image: pyvips.Image) -> bool:
    return bool(image.get_typeof("icc-profile-data"))


def to_srgb(image: pyvips.Image, _: Keep) -> tuple[pyvips.Image, str]:
    """Grey, CMYK, 16-bit and profiled colours to 8-bit sRGB; transparency stays."""
    notes = ["CMYK converted to sRGB"] if image.interpretation == "cmyk" else []
    if not image.get_typeof("icc-profile-data"):
        return image.colourspace("srgb"), "".join(notes)
    # libvips replaces a profile that is broken or for other channels by a built-in one, and logs.
    with listening("pyvips") as logged:
        converted = image.icc_transform("srgb", embedded=True, depth=8)
    if any("corrupt profile" in line or "incompatible with image" in line for line in logged):
        notes.append(NO_PROFILE)
    return converted, ", ".join(notes)


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
