"""Rows of a libvips image, computed on demand, at any size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import GeometryError, Use
from ..quiet import listening
from .forking import guarded

# libvips has one error buffer for all threads: a read and the check of its errors must not be
# interleaved with those of another thread.
READING = guarded()
# A field of images whose damage is known and taken.
MENDED = "heatmap-mended"
# What is said of pixels that could not be read; but not of tiles and strips that are not stored,
# nor of the segments before the pixels of a JPEG.
_MADE_UP = re.compile("tiff2vips: |Corrupt JPEG data: ")
_HARMLESS = re.compile(
    "Invalid (tile|strip) byte count|bad ICC marker|before marker 0x(e.|f.|c[0-3]|d[bd])"
)
_DTYPES = {
    "uchar": np.uint8,
    "char": np.int8,
    "ushort": np.uint16,
    "short": np.int16,
    "uint": np.uint32,
    "int": np.int32,
    "float": np.float32,
    "double": np.float64,
}


def _readable(text: Any) -> str:
    """A text of libvips; what is not UTF-8 in it becomes replacement characters."""
    if text == pyvips.ffi.NULL:
        return "NULL"
    content: bytes = pyvips.ffi.string(text)
    return content.decode(errors="replace")


# libvips' messages quote damaged files; pyvips would fail on what is not UTF-8 in them, and print
# that failure, or hide the error that it was about to raise.
pyvips._to_string = pyvips.error._to_string = _readable

READ_ROWS = 32  # at a time: for a photo 20 000 px wide, 64 rows took more memory and as much time


def rows_of(
    image: pyvips.Image,
    height: int = READ_ROWS,
    first: int = 0,
    columns: tuple[int, int] | None = None,
) -> Iterator[npt.NDArray[Any]]:
    """Rows from ``first`` to the last, in strips of (<= height, columns, bands).

    The strips are computed one after the other in the calling thread, so that a file that can
    only be read in order is read in order, and only the rows needed are in memory.

    Raises:
        pyvips.Error: the file is damaged.
    """
    left, right = columns or (0, image.width)
    region = pyvips.Region.new(image)
    for top in range(first, image.height, height):
        count = min(height, image.height - top)
        with READING, none_made_up(image):
            held = region.fetch(left, top, right - left, count)
        yield np.frombuffer(held, _DTYPES[image.format]).reshape(count, right - left, image.bands)


def forget_complaints() -> None:
    """Clear the error messages of earlier images, which libvips keeps until then."""
    pyvips.vips_lib.vips_error_clear()


@contextmanager
def none_made_up(image: pyvips.Image) -> Iterator[None]:
    """Raise if pixels that are computed in the block were made up by their decoder.

    libjpeg and libtiff paint what they cannot read, libvips notes that in its error messages or
    log, and continues. Tiles and strips without any data, as sparse files have them, are no
    damage, and a file that is :data:`MENDED` is read as it is.

    Raises:
        pyvips.Error: some pixels could not be read.
    """
    forget_complaints()
    with listening("pyvips") as logged:
        yield
    if image.get_typeof(MENDED):
        return
    said = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")
    for line in (*said.splitlines(), *logged):
        if _MADE_UP.search(line) and not _HARMLESS.search(line):
            raise pyvips.Error("pixels were made up", line)


def resized(image: pyvips.Image, target_hw: tuple[int, int]) -> pyvips.Image:
    """The image resized, not yet computed; values do not depend on which rows are read.

    Raises:
        GeometryError: libvips cannot resize to this size.
    """
    height, width = target_hw
    try:
        shrunk = _shrunk(image, min(height, image.height), min(width, image.width))
        return _enlarged(shrunk, height, width)
    except pyvips.Error as error:
        raise GeometryError(
            f"photo of {image.width} x {image.height} px can't be resized to {width} x {height} px",
            Use("scale", text="choose another {}"),
        ) from error


def _shrunk(image: pyvips.Image, height: int, width: int) -> pyvips.Image:
    if (image.height, image.width) == (height, width):
        return image
    # Of libvips' kernels and OpenCV's area averaging, Lanczos preserved most detail (40 photos
    # halved and enlarged back: 27.46 dB; area 27.29, cubic 27.23) and aliased least (a grating
    # at 1.4 times the limit passed with 0.01 of its amplitude; area 0.46, cubic 0.12).
    return image.resize(width / image.width, vscale=height / image.height, kernel="lanczos3")


def _enlarged(image: pyvips.Image, height: int, width: int) -> pyvips.Image:
    if (image.height, image.width) == (height, width):
        return image
    # Not resize(), whose result is shifted by half an output pixel to the top left (libvips
    # 8.18, measured on a ramp). Here the centre of pixel p is at p + 0.5 before and after.
    # Cubic restored halved photos better than linear (27.22 against 26.38 dB, 40 photos).
    return image.affine(
        (width / image.width, 0, 0, height / image.height),
        oarea=(0, 0, width, height),
        idx=0.5,
        idy=0.5,
        odx=-0.5,
        ody=-0.5,
        interpolate=pyvips.Interpolate.new("bicubic"),
        extend="copy",
    )
