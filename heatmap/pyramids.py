"""Overlays of photos too large for memory: a tiled pyramid, and a preview.

The pyramid is a tiled TIFF with halved copies of itself, which viewers of large images
(QGIS, QuPath, OpenSeadragon behind IIPImage, any libvips or GDAL) read tile by tile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyvips

from .errors import ResultError
from .grid import ScoreGrid
from .painting import OPACITY, STRIP_PX, Painter
from .photos import Photo
from .rendering import overlay
from .streams import PhotoFile

TILE_PX = 256
# JPEG in the tiles: a 256 megapixel overlay takes 50 MB instead of 400 in deflate.
JPEG_QUALITY = 90
PREVIEW_PX = 2048


def large_overlay(
    photo: PhotoFile,
    grid: ScoreGrid,
    index: int,
    *,
    opacity: float = OPACITY,
    stretch: bool = False,
) -> dict[str, Callable[[Path], None]]:
    """What writes the overlay of one class, by suffix: the pyramid and its preview.

    Each takes the path to write to. The pyramid has the photo's size and no legend; the
    preview is at most ``PREVIEW_PX`` on its longer side and has one.
    """
    painter = Painter.of(grid, index, opacity=opacity, stretch=stretch)

    def write_pyramid(path: Path) -> None:
        _save_pyramid(path, photo, painter)

    def write_preview(path: Path) -> None:
        preview(photo, grid, index, opacity=opacity, stretch=stretch).pngsave(str(path))

    return {".tif": write_pyramid, ".preview.png": write_preview}


def _save_pyramid(path: Path, photo: PhotoFile, painter: Painter) -> None:
    """Paint strip by strip into an uncompressed file, and make the pyramid of that."""
    height, width = photo.hw
    try:
        with tempfile.NamedTemporaryFile(prefix=".heatmap-", dir=path.parent) as raw:
            top = 0
            for strip in photo.strips(STRIP_PX):
                raw.write(painter.paint(strip, top).data)
                top += len(strip)
            raw.flush()
            image = pyvips.Image.rawload(raw.name, width, height, 3, access="sequential")
            image.copy(interpretation="srgb").tiffsave(
                str(path),
                tile=True,
                pyramid=True,
                bigtiff=True,
                tile_width=TILE_PX,
                tile_height=TILE_PX,
                compression="jpeg",
                Q=JPEG_QUALITY,
            )
    except (OSError, pyvips.Error) as error:
        raise ResultError(f"{path}: cannot be written: {str(error).strip()}") from error


def preview(
    photo: Photo | PhotoFile,
    grid: ScoreGrid,
    index: int,
    *,
    opacity: float = OPACITY,
    stretch: bool = False,
) -> pyvips.Image:
    """The overlay with its legend, of the photo shrunk to at most ``PREVIEW_PX`` a side."""
    share = min(1.0, PREVIEW_PX / max(photo.hw))
    height, width = (max(1, round(side * share)) for side in photo.hw)
    small = np.concatenate(list(photo.strips(scaled_hw=(height, width))))
    shrunk = replace(grid, geometry=replace(grid.geometry, photo_hw=(height, width)))
    drawn = overlay(Photo(small), shrunk, index, opacity=opacity, stretch=stretch)
    return pyvips.Image.new_from_array(drawn)
