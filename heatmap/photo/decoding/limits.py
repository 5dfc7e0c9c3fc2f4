"""How many pixels a file may claim: bounds on memory and time, by its header."""

from __future__ import annotations

import math

from ...errors import PhotoError, Use
from ...geometry import size_text


def check_in_memory(file_format: str, hw: tuple[int, int], most: int) -> None:
    """Refuse a photo that must be in memory as a whole and is too large for that.

    Args:
        file_format: the name of its format.
        hw: its height and width, px.
        most: the largest number of pixels.

    Raises:
        PhotoError: it has more.
    """
    limit = f"{most / 1e6:,.1f} megapixels"
    _check(hw, most, f"a {file_format} that is read into memory as a whole may have {limit}")


def check_plausible(file_format: str, hw: tuple[int, int], most: int) -> None:
    """Refuse a file that claims more pixels than its bytes can hold, as a bomb or a stump does.

    Args:
        file_format: the name of its format.
        hw: the height and width that it claims, px.
        most: the largest number of pixels.

    Raises:
        PhotoError: it claims more.
    """
    _check(hw, most, f"a {file_format} file of so few bytes cannot hold as many")


def _check(hw: tuple[int, int], most: int, why: str) -> None:
    pixels = math.prod(hw)
    if pixels > most:
        raise PhotoError(
            f"its header says {size_text(hw)}, {pixels / 1e6:,.1f} megapixels: {why}",
            Use("max_pixels", pixels, text="give {} to read it all the same"),
        )
