"""Write a large photo as an image pyramid in a folder, from which the page loads tiles.

Not with libvips' dzsave, which needs an uncompressed file to read from, three bytes per pixel.
Here rows are cut and halved in one pass, with only two strips of each level in memory.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ..marks import marked
from ..names import PAGE_TILES
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from ..photo.rows import READ_ROWS
from .paint import Image

PAGE_TILE_PX = 512
# No chroma subsampling, as in the tiles of an overlay (`pyramid.PYRAMID_JPEG_QUALITY`).
_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
_LEVELS = "levels"


def write_tiles(folder: Path, photo: Photo | PhotoFile) -> None:
    """Write a photo into a new folder as ``levels/LEVEL/COLUMN_ROW.jpg``, ``PAGE_TILE_PX`` a side.

    Level 0 has the photo's size, each further level half the size of the previous one, rounded up,
    and the last one fits into one tile. Tiles at the right and bottom may be smaller.

    Raises:
        PhotoError: the photo's file is damaged, or has changed.
        OSError: the folder cannot be written.
    """
    level = _Level(folder / _LEVELS, 0, photo.hw)
    # Reading all rows of a tile at once would take libvips much more memory.
    strips = photo.strips(READ_ROWS)
    while rows := list(islice(strips, PAGE_TILE_PX // READ_ROWS)):
        level.add(np.concatenate(rows))


def tile_levels(photo_hw: tuple[int, int]) -> int:
    """The number of levels in the pyramid of a photo."""
    return 1 if max(photo_hw) <= PAGE_TILE_PX else 1 + tile_levels(_half(photo_hw))


def tile_url(stem: str) -> str:
    """The URL of a tile, in which the page replaces ``{level}``, ``{column}`` and ``{row}``."""
    return f"{stem}{PAGE_TILES}/{_LEVELS}/{{level}}/{{column}}_{{row}}.jpg"


class _Level:
    """One level: cuts rows into tiles, and passes them on to the next level at half the size."""

    def __init__(self, levels: Path, level: int, hw: tuple[int, int]) -> None:
        self._folder = levels / str(level)
        self._folder.mkdir(parents=True)
        self._row = 0
        self._rows_to_come = hw[0]
        self._halves: list[Image] = []
        self._smaller = _Level(levels, level + 1, _half(hw)) if max(hw) > PAGE_TILE_PX else None

    def add(self, rows: Image) -> None:
        """Take the next ``PAGE_TILE_PX`` rows, fewer at the bottom."""
        for column, left in enumerate(range(0, rows.shape[1], PAGE_TILE_PX)):
            tile = cv2.cvtColor(rows[:, left : left + PAGE_TILE_PX], cv2.COLOR_RGB2BGR)
            encoded = cv2.imencode(".jpg", tile, _JPEG)[1]
            (self._folder / f"{column}_{self._row}.jpg").write_bytes(marked(encoded.tobytes()))
        self._row += 1
        self._rows_to_come -= len(rows)
        if self._smaller is not None:
            self._halves.append(_halved(rows))
            if len(self._halves) == 2 or not self._rows_to_come:
                self._smaller.add(np.concatenate(self._halves))
                self._halves = []


def _half(hw: tuple[int, int]) -> tuple[int, int]:
    return -(-hw[0] // 2), -(-hw[1] // 2)


def _halved(rows: Image) -> Image:
    """Means of 2 x 2 pixels; an odd last row or column counts twice."""
    height, width = rows.shape[:2]
    even = cv2.copyMakeBorder(rows, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    half_hw = _half((height, width))
    return np.asarray(cv2.resize(even, half_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)
