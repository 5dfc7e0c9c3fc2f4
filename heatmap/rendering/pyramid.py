"""Pictures of photos too large for memory: a tiled pyramid, and a preview.

The pyramid is a tiled TIFF with copies at half, a quarter, ... of the size, which viewers of large
images (QGIS, QuPath, OpenSeadragon with IIPImage, libvips, GDAL) read tile by tile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import pyvips
import tifffile

from ..classes import Wanted
from ..errors import ResultError
from ..files import TEMPORARY
from ..geometry import Box, check_size
from ..grid.score_grid import ScoreGrid
from ..localization.findings import Findings
from ..names import PREVIEW, PYRAMID
from ..photo.photo_file import PhotoFile
from .annotated import Annotation, annotated
from .overlay import encode_image, shrunk_overlay, shrunk_pixels
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
        save_pyramid(path, photo, painter)

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


def large_annotated(
    photo: PhotoFile,
    findings: Findings,
    *,
    conf: float,
    color_range: tuple[float, float] | None = None,
    opacity: float = OPACITY,
) -> dict[str, Callable[[Path], None]]:
    """Functions that write the annotated picture of a photo, by suffix: a pyramid and its preview.

    Each takes the path to write to. The pyramid has the photo's size, with boxes and labels but
    without legend; the preview is at most ``overlay.PICTURE_PX`` on its longer side, with a legend.

    Args:
        photo: the photo, or its region, that findings are of.
        findings, conf, color_range, opacity: as in :func:`annotated.annotated`.

    Raises:
        ResultError: the photo has another size than the scored one, ``opacity`` is outside
            0..1, or the range is none within 0..1.
    """
    check_size(photo.hw, findings.maps.geometry)
    annotation = Annotation.of(
        findings, photo.hw, conf=conf, color_range=color_range, opacity=opacity
    )

    def write_pyramid(path: Path) -> None:
        save_pyramid(path, photo, annotation)

    def write_preview(path: Path) -> None:
        drawn = annotated(
            shrunk_pixels(photo), findings, conf=conf, color_range=color_range, opacity=opacity
        )
        path.write_bytes(encode_image(drawn))

    return {PYRAMID: write_pyramid, PREVIEW: write_preview}


class StripPainter(Protocol):
    """Paints rows of a photo, uint8 (n, W, 3), that begin at row ``top``, into a new array."""

    def paint(self, photo: Image, top: int = 0, /) -> Image: ...


def save_pyramid(path: Path, photo: PhotoFile, painter: StripPainter) -> None:
    """Write a photo as a painter paints it as a tiled pyramid, of the photo's size.

    It is painted strip by strip into an uncompressed file, and the pyramid is made from that.

    Raises:
        PhotoError: the photo is damaged, or has changed.
        ResultError: the file cannot be written.
    """
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


def _painted(photo: PhotoFile, painter: StripPainter) -> Iterator[Image]:
    top = 0
    for strip in photo.strips(STRIP_PX):
        yield painter.paint(strip, top)
        top += len(strip)
