"""How photo files are read, where a file leaves a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import PhotoError

Damaged = Literal["note", "refuse"]

# 0.8 GB as RGB: more than cameras give, and far below what a few hundred bytes can claim.
MAX_PIXELS = 2**28


@dataclass(frozen=True)
class Reading:
    """How photo files are read, where a file leaves a choice.

    >>> twelve_bits = heatmap.Reading(input_range=(0, 4095))
    >>> heatmap.read_photo("mars.png", reading=twelve_bits)  # doctest: +SKIP

    Attributes:
        input_range: the values of the file that become black and white, 0 and 255, for files of
            more than 8 bits; None goes by the file (:mod:`values`).
        damaged: what becomes of a file that its decoder mends, with pixels that are made up:
            "note" takes it with a note, "refuse" refuses it.
        max_pixels: of formats that must be decoded whole, the largest number of pixels that is
            taken; formats that are read row by row may have any size.

    Raises:
        PhotoError: the range is empty or not finite, an unknown word, or a number below 1.
    """

    input_range: tuple[float, float] | None = None
    damaged: Damaged = "note"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.damaged not in get_args(Damaged):
            raise PhotoError(f"damaged is {self.damaged!r}: give note or refuse")
        if self.max_pixels < 1:
            raise PhotoError(f"max_pixels is {self.max_pixels}: give at least 1")
        if self.input_range is not None:
            low, high = self.input_range
            if not float("-inf") < low < high < float("inf"):
                raise PhotoError(f"input range is {low:g} to {high:g}: give a lower and a higher")


AS_IT_IS = Reading()
