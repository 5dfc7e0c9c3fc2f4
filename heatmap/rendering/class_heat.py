"""The heat of several classes over rows of a photo, each in a colour of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from ..grid.upsample import nearest
from .paint import (
    STRIP_PX,
    Image,
    blend,
    hatching,
    heat_rows,
    opacities,
    paint,
    to_levels,
)
from .palette import Colour


@dataclass(frozen=True, eq=False)
class ClassHeat:
    """Paints maps of several classes over rows of a picture.

    Each pixel has the colour of the class with the highest probability there (of equal ones the
    first), so that no two colours mix to a third.

    Attributes:
        maps: for each class its probabilities, (N, M); NaN where a window was not scored.
        missing: the windows that were not scored: bool (N, M).
        geometry: the geometry of the cells on the picture.
        tables: for each class RGBA of 256 levels, (256, 4).
        low, high: the range of probabilities that the colours cover.
    """

    maps: Sequence[npt.NDArray[np.float32]]
    missing: npt.NDArray[np.bool_]
    geometry: Geometry
    tables: Sequence[Image]
    low: float
    high: float

    def paint(self, photo: Image, top: int = 0) -> Image:
        """Paint picture rows, uint8 (n, W, 3), that begin at row ``top``; returns a new array.

        The same pixels in strips of any height: heat is always computed for the same rows.
        """
        end, painted = top + len(photo), np.empty_like(photo)
        for start in range(top - top % STRIP_PX, end, STRIP_PX):
            block = (start, min(start + STRIP_PX, self.geometry.photo_hw[0]))
            rows = (max(top, start), min(end, block[1]))
            here = slice(rows[0] - top, rows[1] - top)
            painted[here] = self._painted(photo[here], block, rows)
        return painted

    def _painted(self, photo: Image, block: tuple[int, int], rows: tuple[int, int]) -> Image:
        """Rows (first, end) of a block of rows."""
        own = slice(rows[0] - block[0], rows[1] - block[0])
        levels = [
            to_levels(heat_rows(cells, self.geometry, block), self.low, self.high)[own]
            for cells in self.maps
        ]
        painted = photo
        highest = np.maximum.reduce([np.zeros(photo.shape[:2], np.uint8), *levels])
        for level, table in zip(levels, self.tables, strict=True):
            wins = (level == highest) & (level > 0)
            if wins.any():
                painted = paint(painted, np.where(wins, level, np.uint8(0)), table)
                highest = np.where(wins, np.uint8(0), highest)
        return self._hatched(photo, painted, rows)

    def _hatched(self, photo: Image, painted: Image, rows: tuple[int, int]) -> Image:
        if not self.missing.any():
            return painted
        painted = painted.copy()
        unknown = nearest(self.missing.astype(np.float32), self.geometry, rows) > 0
        painted[unknown] = blend(photo, hatching(unknown.shape, rows[0]))[unknown]
        return painted


def table_of(colour: Colour, opacity: float, strength: float = 1.0) -> Image:
    """RGBA of the 256 levels of a colour, (256, 4), with opacity from 0 to ``opacity``.

    ``strength``, 0..1, makes all of them fainter.

    Raises:
        ResultError: ``opacity`` is outside 0..1.
    """
    alpha = np.rint(strength * opacities(opacity))
    return np.hstack([np.full((256, 3), colour), alpha[:, None]]).astype(np.uint8)
