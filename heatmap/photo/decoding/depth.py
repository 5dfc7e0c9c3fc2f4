"""How deep the values of a file are: 12 bits of a camera in a file of 16, by tag or by value."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from ..rows import rows_of

# The greatest depth, in bits, that is found by the values themselves: cameras have 10 to 14.
MOST_FOUND = 14
LEAST = 8
FULL = 16
_MOST_CHUNKS = 1000  # before the pixels of a PNG


@dataclass(frozen=True)
class Extremes:
    """Lowest and highest values of a whole file.

    Attributes:
        low, high: of the bands asked for; not finite where a value is not. Above 14 bits of 16,
            where it no longer matters, the rest was not looked at.
    """

    low: float
    high: float


def extremes_of(image: pyvips.Image, bands: Sequence[int]) -> Extremes:
    """Lowest and highest values of some bands of an image, read once from the top.

    Raises:
        pyvips.Error: the file is damaged.
    """
    enough = 2**MOST_FOUND if image.format == "ushort" else np.inf
    lows, highs = [], []
    for rows in rows_of(image):
        shown = rows if len(bands) == image.bands else rows[:, :, list(bands)]
        lows.append(shown.min())
        highs.append(shown.max())
        if highs[-1] >= enough:
            break
    # By numpy, since libvips ignores NaN.
    return Extremes(float(np.min(lows)), float(np.max(highs)))


def depth_of(high: float, said: int | None, *, scaled: bool) -> tuple[int, str]:
    """How many bits the values of a 16-bit file have, and a note.

    Args:
        high: the highest value.
        said: the depth that the file names, in bits, or None.
        scaled: whether values of a file that names its depth may have been made larger, to fill
            all 16 bits, as PNG wants it.
    """
    if said is not None and high < 2**said < 2**FULL:
        return said, f"16-bit values taken as {said} bits, as the file says"
    found = max(int(high).bit_length(), LEAST)
    if (said is not None and (scaled or said == FULL)) or found > MOST_FOUND:
        return FULL, "16-bit reduced to 8"
    return found, (
        f"16-bit values up to {high:,.0f}: taken as {found} bits; an input range says otherwise"
    )


def bits_for(highest: float | None) -> int | None:
    """The depth that holds a highest value of 1 to 65535 that a tag names; else None."""
    if highest is None or not 1 <= highest < 2**FULL:
        return None
    return max(int(highest).bit_length(), LEAST)


def png_bits(path: Path) -> int | None:
    """The depth that a PNG's chunk sBIT names, at least 8; None where there is none.

    Chunks are those of the PNG specification, section 5.3 and 11.3.2.7.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(8)
        for _ in range(_MOST_CHUNKS):
            head = stream.read(8)
            if len(head) < 8:
                return None
            length, name = struct.unpack(">I4s", head)
            if name == b"IDAT":
                return None
            if name == b"sBIT":
                bits = stream.read(min(length, 4))
                colours = bits[: 3 if len(bits) > 2 else 1]
                return max(*colours, LEAST) if colours and max(colours) <= FULL else None
            stream.seek(length + 4, 1)
    return None
