"""How photo files are read, where a file leaves a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from ..errors import PhotoError

Damaged = Literal["note", "refuse"]

# Blank photos of so many pixels, a few kB each, took 0.4 GB and 5 s (progressive JPEG) to 2.4 GB
# and 20 s (JPEG 2000 of 16 bits); AVIF 2.0, WebP 1.1, GIF 1.1. Satellite tiles of 120 megapixels
# and photos of 108 are below.
MAX_PIXELS = 2**27


class ReadingOptions(TypedDict, total=False):
    """How photo files are read: the attributes of :class:`heatmap.Reading`."""

    input_range: tuple[float, float] | None
    damaged: Damaged
    max_pixels: int


@dataclass(frozen=True)
class Reading:
    """How photo files are read, where a file leaves a choice.

    >>> twelve_bits = heatmap.Reading(input_range=(0, 4095))
    >>> heatmap.read_photo("mars.png", reading=twelve_bits)  # doctest: +SKIP

    Attributes:
        input_range: the values of the file that become black and white, 0 and 255, for files of
            more than 8 bits; None goes by the file (:mod:`decoding.values`).
        damaged: what becomes of a file that its decoder mends, with pixels that are made up:
            "note" takes it with a note, "refuse" refuses it.
        max_pixels: the largest number of pixels that are in memory at once: of photos whose
            format must be decoded whole, and of all that are read whole. Others may have any size
            that their bytes can hold.

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
