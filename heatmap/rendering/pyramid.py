"""Overlays of photos too large for memory: a tiled pyramid, and a preview.

The pyramid is a tiled TIFF with halved copies of itself, which viewers of large images
(QGIS, QuPath, OpenSeadragon behind IIPImage, any libvips or GDAL) read tile by tile.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyvips

from ..classes import Wanted
from ..errors import ResultError
from ..files import TEMPORARY
from ..geometry import Box, check_size, shrunk_hw
from ..grid.score_grid import ScoreGrid
from ..names import PREVIEW, PYRAMID
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from .overlay import overlay
from .paint import OPACITY, STRIP_PX, Painter

TILE_PX = 256
# JPEG in the tiles: of five photos, 144 MB and 7 s for 256 megapixels; deflate 418 MB and
# 95 s. From 90 on libvips keeps colours at full resolution: off by at most 18 levels, where
# 85 (42 MB) was by 79.
JPEG_QUALITY = 90
PREVIEW_PX = 2048
_RAW_ROWS = 16


def large_overlay(
    photo: PhotoFile,
    grid: ScoreGrid,
    wanted: Wanted,
    *,
    opacity: float = OPACITY,
    stretch: bool = False,
    boxes_xyxy: Sequence[Box] = (),
) -> dict[str, Callable[[Path], None]]:
    """What writes the overlay of one class, by suffix: the pyramid and its preview.

    Each takes the path to write to. The pyramid has the photo's size and no legend; the
    preview is at most ``PREVIEW_PX`` on its longer side and has one, and outlines of boxes
    (in photo px).

    Raises:
        ResultError: a photo of another size than the scored one, or an opacity outside 0..1.
    """
    check_size(photo.hw, grid.geometry)
    painter = Painter.of(grid, wanted, opacity=opacity, stretch=stretch)

    def write_pyramid(path: Path) -> None:
        _save_pyramid(path, photo, painter)

    def write_preview(path: Path) -> None:
        drawn = preview(
            photo, grid, wanted, opacity=opacity, stretch=stretch, boxes_xyxy=boxes_xyxy
        )
        drawn.pngsave(str(path))

    return {PYRAMID: write_pyramid, PREVIEW: write_preview}


def _save_pyramid(path: Path, photo: PhotoFile, painter: Painter) -> None:
    """Paint strip by strip into an uncompressed file, and make the pyramid of that."""
    try:
        with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=path.parent) as raw:
            raw.write(_tiff_header(photo.hw))
            top = 0
            for strip in photo.strips(STRIP_PX):
                raw.write(painter.paint(strip, top).data)
                top += len(strip)
            raw.flush()
            pyvips.Image.tiffload(raw.name, access="sequential").tiffsave(
                str(path),
                pyramid=True,
                bigtiff=True,
                tile_width=TILE_PX,
                tile_height=TILE_PX,
                compression="jpeg",
                Q=JPEG_QUALITY,
            )
    except (OSError, pyvips.Error) as error:
        raise ResultError(f"{path}: cannot be written: {str(error).strip()}") from error


def _tiff_header(photo_hw: tuple[int, int]) -> bytes:
    """What makes a BigTIFF of the uncompressed RGB rows that follow it.

    Plain raw pixels libvips would map whole into memory; TIFF it reads a few rows at a time.
    """
    height, width = photo_hw
    strips = -(-height // _RAW_ROWS)
    short, long, long8 = 3, 4, 16
    channel_bits = int.from_bytes(struct.pack("<3H", 8, 8, 8), "little")
    header_bytes, entry_bytes, entries = 16, 20, 9
    offsets_at = header_bytes + 8 + entries * entry_bytes + 8
    pixels_at = offsets_at + 16 * strips
    # Tag, type, count, and the value or where it stands.
    directory = (
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, 3, channel_bits),
        (259, short, 1, 1),  # compression: none
        (262, short, 1, 2),  # colours: RGB
        (273, long8, strips, offsets_at if strips > 1 else pixels_at),
        (277, short, 1, 3),  # channels
        (278, long, 1, _RAW_ROWS),
        (279, long8, strips, offsets_at + 8 * strips if strips > 1 else height * width * 3),
    )
    tops = np.arange(0, height, _RAW_ROWS, dtype="<u8")
    rows = np.minimum(_RAW_ROWS, height - tops)
    return b"".join(
        (
            struct.pack("<2s3HQ", b"II", 43, 8, 0, header_bytes),
            struct.pack("<Q", entries),
            *(struct.pack("<2H2Q", *entry) for entry in directory),
            struct.pack("<Q", 0),
            (pixels_at + tops * (width * 3)).tobytes(),
            (rows * (width * 3)).tobytes(),
        )
    )


def preview(
    photo: Photo | PhotoFile,
    grid: ScoreGrid,
    wanted: Wanted,
    *,
    opacity: float = OPACITY,
    stretch: bool = False,
    boxes_xyxy: Sequence[Box] = (),
) -> pyvips.Image:
    """The overlay with its legend, of the photo shrunk to at most ``PREVIEW_PX`` a side."""
    share = min(1.0, PREVIEW_PX / max(photo.hw))
    hw = shrunk_hw(photo.hw, PREVIEW_PX)
    small = np.concatenate(list(photo.strips(scaled_hw=hw)))
    shrunk = replace(grid, geometry=replace(grid.geometry, photo_hw=hw))
    boxes = [
        (left * share, top * share, right * share, bottom * share)
        for left, top, right, bottom in boxes_xyxy
    ]
    drawn = overlay(
        Photo(small), shrunk, wanted, opacity=opacity, stretch=stretch, boxes_xyxy=boxes
    )
    return pyvips.Image.new_from_array(drawn)
