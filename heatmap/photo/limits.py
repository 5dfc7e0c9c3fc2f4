"""How many pixels a file may claim: bounds on memory and time, by its header."""

from __future__ import annotations

import math

from ..errors import PhotoError, Use
from ..geometry import size_text


def check_pixels(
    file_format: str, hw: tuple[int, int], most: int, *, streams: bool = False
) -> None:
    """Refuse a file that claims more pixels than may be.

    Args:
        file_format: the name of its format.
        hw: height and width that it claims, px.
        most: the largest number of pixels.
        streams: whether it is decoded row by row, so that only its bytes bound it.

    Raises:
        PhotoError: it claims more.
    """
    pixels = math.prod(hw)
    if pixels <= most:
        return
    why = (
        f"more than a {file_format} file of its size can hold"
        if streams
        else f"a {file_format} file like this must be decoded whole, in memory for "
        f"{most / 1e6:,.0f} megapixels at most"
    )
    raise PhotoError(
        f"claims {size_text(hw)}, {pixels / 1e6:,.0f} megapixels: {why}",
        Use("max_pixels", pixels, text="{} takes it"),
    )
