"""The heat of several classes over rows of a photo, each in a colour of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from ..grid.upsample import nearest, touched_cells
from ..threads import side_by_side
from .paint import (
    STRIP_PX,
    Image,
    blend,
    hatching,
    heat_rows,
    paint_into,
    to_levels,
    with_opacity,
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
        end, painted = top + len(photo), photo.copy()

        def paint_block(start: int) -> None:
            block = (start, min(start + STRIP_PX, self.geometry.photo_hw[0]))
            rows = (max(top, start), min(end, block[1]))
            self._paint_rows(painted[rows[0] - top : rows[1] - top], block, rows)

        side_by_side(paint_block, range(top - top % STRIP_PX, end, STRIP_PX))
        return painted

    def _paint_rows(self, painted: Image, block: tuple[int, int], rows: tuple[int, int]) -> None:
        """Paint rows (first, end) of a block of rows, in place."""
        own = slice(rows[0] - block[0], rows[1] - block[0])
        unpainted = painted.copy() if self.missing.any() else painted
        shown = [place for place, cells in enumerate(self.maps) if self._is_hot(cells, block)]
        levels = [self._levels(self.maps[place], block)[own] for place in shown]
        highest = np.zeros(painted.shape[:2], np.uint8)
        for level in levels:
            np.maximum(highest, level, out=highest)
        for place, level in zip(shown, levels, strict=True):
            # Of equal ones the first: it leaves nothing to the others.
            level *= level == highest
            highest -= level
            paint_into(painted, level, self.tables[place])
        if unpainted is not painted:
            self._hatch(painted, unpainted, rows)

    def _levels(self, cells: npt.NDArray[np.float32], block: tuple[int, int]) -> Image:
        return to_levels(heat_rows(cells, self.geometry, block), self.low, self.high)

    def _is_hot(self, cells: npt.NDArray[np.float32], block: tuple[int, int]) -> bool:
        """Whether any pixel of a block of rows can have a colour of these cells."""
        near = cells[touched_cells(self.geometry, (block, (0, self.geometry.photo_hw[1])))]
        return bool(to_levels(np.nanmax(near, keepdims=True, initial=0), self.low, self.high).any())

    def _hatch(self, painted: Image, photo: Image, rows: tuple[int, int]) -> None:
        unknown = nearest(self.missing.astype(np.float32), self.geometry, rows) > 0
        painted[unknown] = blend(photo, hatching(unknown.shape, rows[0]))[unknown]


def table_of(colour: Colour, alpha: float, strength: float = 1.0) -> Image:
    """RGBA of the 256 levels of a colour, (256, 4), with opacity from 0 to ``alpha``.

    ``strength``, 0..1, makes all of them fainter.

    Raises:
        ResultError: ``alpha`` is outside 0..1.
    """
    return with_opacity(np.full((256, 3), colour, np.uint8), alpha, strength)
