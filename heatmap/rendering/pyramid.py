"""Overlays of photos too large for memory: a tiled pyramid, and a preview.

The pyramid is a tiled TIFF with copies at half, a quarter, ... of the size, which viewers of large
images (QGIS, QuPath, OpenSeadragon with IIPImage, libvips, GDAL) read tile by tile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyvips
import tifffile

from ..classes import Wanted
from ..errors import ResultError
from ..files import TEMPORARY
from ..geometry import Box, check_size
from ..grid.score_grid import ScoreGrid
from ..names import PREVIEW, PYRAMID
from ..photo.photo_file import PhotoFile
from .overlay import encode_image, shrunk_overlay
from .paint import OPACITY, STRIP_PX, Image, Painter

PYRAMID_TILE_PX = 256
# Quality of JPEG tiles: 144 MB and 7 s for 256 megapixels of five photos, where deflate took 418 MB
# and 95 s. From 90 on libvips does not subsample chroma: errors of at most 18 levels; with 85
# (42 MB) up to 79.
PYRAMID_JPEG_QUALITY = 90
# Rows that libvips reads at a time while making the pyramid; strips are multiples of this.
_RAW_ROWS = 16


def large_overlay(
    photo: PhotoFile,
    grid: ScoreGrid,
    wanted: Wanted,
    *,
    opacity: float = OPACITY,
    color_range: tuple[float, float] | None = None,
    boxes_xyxy: Sequence[Box] = (),
) -> dict[str, Callable[[Path], None]]:
    """Functions that write the overlay of one class, by suffix: the pyramid and its preview.

    Each takes the path to write to. The pyramid has the photo's size, without legend and boxes; the
    preview is at most ``overlay.PICTURE_PX`` on its longer side, with a legend and outlined boxes
    (given in photo px).

    Raises:
        ResultError: the photo has another size than the scored one, ``opacity`` is outside
            0..1, or the range is none within 0..1.
    """
    check_size(photo.hw, grid.geometry)
    painter = Painter.of(grid, wanted, opacity=opacity, color_range=color_range)

    def write_pyramid(path: Path) -> None:
        _save_pyramid(path, photo, painter)

    def write_preview(path: Path) -> None:
        drawn = shrunk_overlay(
            photo,
            grid,
            wanted,
            opacity=opacity,
            color_range=color_range,
            boxes_xyxy=boxes_xyxy,
        )
        path.write_bytes(encode_image(drawn))

    return {PYRAMID: write_pyramid, PREVIEW: write_preview}


def _save_pyramid(path: Path, photo: PhotoFile, painter: Painter) -> None:
    """Paint strip by strip into an uncompressed file, and make the pyramid from that."""
    try:
        with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=path.parent) as raw:
            _write_rows(raw.file, photo.hw, _painted(photo, painter))
            raw.flush()
            pyvips.Image.tiffload(raw.name, access="sequential").tiffsave(
                str(path),
                pyramid=True,
                bigtiff=True,
                tile_width=PYRAMID_TILE_PX,
                tile_height=PYRAMID_TILE_PX,
                compression="jpeg",
                Q=PYRAMID_JPEG_QUALITY,
            )
    except (OSError, pyvips.Error) as error:
        raise ResultError(f"{path}: cannot be written: {str(error).strip()}") from error


def _write_rows(file: IO[bytes], hw: tuple[int, int], strips: Iterable[Image]) -> None:
    """Write RGB uint8 rows, a strip at a time, as an uncompressed BigTIFF.

    libvips would map a raw file into memory as a whole, but reads TIFF a few rows at a time.
    """
    chunks = (
        np.ascontiguousarray(strip[top : top + _RAW_ROWS])
        for strip in strips
        for top in range(0, len(strip), _RAW_ROWS)
    )
    with tifffile.TiffWriter(file, bigtiff=True) as tiff:
        tiff.write(
            chunks, shape=(*hw, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=_RAW_ROWS
        )


def _painted(photo: PhotoFile, painter: Painter) -> Iterator[Image]:
    top = 0
    for strip in photo.strips(STRIP_PX):
        yield painter.paint(strip, top)
        top += len(strip)
