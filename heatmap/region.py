"""Regions: parts of photos that are looked at as if they were photos of their own."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import GeometryError
from .geometry import Box, size_text


@dataclass(frozen=True)
class Region:
    """A part of a photo that is looked at as if it were a photo of its own.

    >>> region = Region(1000, 500, 800, 600, whole_hw=(3000, 4000))
    >>> region.hw
    (600, 800)

    Attributes:
        left, top, width, height: whole px of the upright photo.
        whole_hw: height and width of the whole photo, px.

    Raises:
        GeometryError: it is not inside the photo.
    """

    left: int
    top: int
    width: int
    height: int
    whole_hw: tuple[int, int]

    def __post_init__(self) -> None:
        inside = (
            0 <= self.left < self.left + self.width <= self.whole_hw[1]
            and 0 <= self.top < self.top + self.height <= self.whole_hw[0]
        )
        if not inside:
            raise GeometryError(
                f"region {self.left},{self.top},{self.width},{self.height} is not inside the "
                f"photo of {size_text(self.whole_hw)}: give left, top, width and height in px"
            )

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the region, px."""
        return self.height, self.width

    @property
    def xywh(self) -> tuple[int, int, int, int]:
        """Left, top, width and height."""
        return self.left, self.top, self.width, self.height

    @property
    def at(self) -> tuple[int, int]:
        """Left and top."""
        return self.left, self.top


def moved(xyxy: Box, right: float, down: float) -> Box:
    """A box moved to the right and down, px."""
    return xyxy[0] + right, xyxy[1] + down, xyxy[2] + right, xyxy[3] + down
