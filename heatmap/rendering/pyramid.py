"""The annotated picture of a photo too large for memory: a tiled pyramid.

The pyramid is a tiled TIFF with copies at half, a quarter, ... of the size, which viewers of large
images (QGIS, QuPath, OpenSeadragon with IIPImage, libvips, GDAL) read tile by tile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyvips

from ..errors import ResultError
from ..files import Writer
from ..geometry import check_size
from ..localization.findings import Findings
from ..marks import Mark
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from ..temporary import TEMPORARY
from .annotated import Annotation
from .paint import STRIP_PX, Image

PYRAMID_TILE_PX = 256
# Quality of JPEG tiles: 144 MB and 7 s for 256 megapixels of five photos, where deflate took 418 MB
# and 95 s. From 90 on libvips does not subsample chroma: errors of at most 18 levels; with 85
# (42 MB) up to 79.
PYRAMID_JPEG_QUALITY = 90
# Rows that libvips reads at a time while making the pyramid; strips are multiples of this.
_RAW_ROWS = 16


def pyramid(
    photo: Photo | PhotoFile,
    findings: Findings,
    *,
    conf: float,
    **look: Any,
) -> Writer:
    """A function that writes the annotated picture of a photo, of its full size, as a pyramid.

    It has boxes and labels, but no legend. It is painted strip by strip into an uncompressed file,
    and the pyramid is made from that.

    Args:
        photo: the photo, or its region, that findings are of.
        findings, conf, look: as in :func:`annotated.annotated`.

    Raises:
        ResultError: the photo has another size than the scored one; or as
            :meth:`annotated.Annotation.of`. The function also raises it where the file cannot be
            written, and PhotoError where the photo is damaged or has changed.
    """
    check_size(photo.hw, findings.maps.geometry)
    annotation = Annotation.of(findings, photo.hw, conf=conf, **look)
    return lambda path: _save(path, photo, annotation)


def _save(path: Path, photo: Photo | PhotoFile, annotation: Annotation) -> None:
    mark = Mark.of(photo.path, digest=photo.digest)
    try:
        with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=path.parent) as raw:
            _write_rows(raw.file, photo.hw, _painted(photo, annotation))
            raw.flush()
            image = pyvips.Image.tiffload(raw.name, access="sequential").copy()
            image.set_type(pyvips.GValue.gstr_type, "image-description", mark.text)
            image.tiffsave(
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
    import tifffile

    with tifffile.TiffWriter(file, bigtiff=True) as tiff:
        tiff.write(
            chunks, shape=(*hw, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=_RAW_ROWS
        )


def _painted(photo: Photo | PhotoFile, annotation: Annotation) -> Iterator[Image]:
    top = 0
    for strip in photo.strips(STRIP_PX):
        yield annotation.paint(strip, top)
        top += len(strip)
