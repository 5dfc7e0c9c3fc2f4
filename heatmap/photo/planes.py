"""Kinds of TIFF that libvips does not read, or reads as other colours than they are.

These are tiles of separate planes, and YCbCr that is neither compressed as JPEG nor subsampled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips
import tifffile

from ..errors import PhotoError
from ..quiet import listening
from .opencv import as_image, decoded


def is_misread(path: Path) -> bool:
    """Whether the first image of a TIFF is of such a kind; False where nobody can tell."""
    # tifffile raises many kinds of exceptions on damaged files, and logs.
    with listening("tifffile"):
        try:
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                planes = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.is_tiled
                return bool(page.samplesperpixel > 1 and planes) or _is_raw_ycbcr(page)
        except Exception:
            return False


def _is_raw_ycbcr(page: Any) -> bool:
    jpeg = tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG
    return (
        page.photometric == tifffile.PHOTOMETRIC.YCBCR
        and page.compression not in jpeg
        and tuple(page.subsampling or (2, 2)) == (1, 1)
    )


def read_image(path: Path) -> pyvips.Image:
    """The first image of such a file, decoded whole, as libvips would give it.

    Raises:
        PhotoError: it is damaged, or of a depth and compression that no reader takes.
        OSError: the file cannot be read.
    """
    values = _planes(path)
    if values is not None:
        return as_image(values)
    bgr = decoded(path.read_bytes())
    # OpenCV reads such files of 8 bits by libtiff; of more it mixes the planes up.
    if bgr is None or bgr.dtype != np.uint8 or bgr.ndim != 3 or _bits_of(path) != 8:
        raise PhotoError(
            "is cut short or damaged, or a TIFF whose planes are stored in a way that is not read: "
            "save it with its bands interleaved, by pixel"
        )
    return as_image(bgr[:, :, [2, 1, 0, 3][: bgr.shape[2]]])


def _planes(path: Path) -> npt.NDArray[Any] | None:
    """The planes joined, (H, W, bands); None where tifffile cannot, or must not, read them."""
    with listening("tifffile"):
        try:
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                if page.photometric == tifffile.PHOTOMETRIC.YCBCR:
                    return None
                return np.ascontiguousarray(np.moveaxis(page.asarray(), 0, 2))
        # Of compressions that it has no codec for, and of damage, among others.
        except Exception:
            return None


def _bits_of(path: Path) -> int:
    with tifffile.TiffFile(path) as file:
        return int(np.max(file.pages.first.bitspersample))
