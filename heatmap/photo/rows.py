"""Rows out of a libvips image, computed as they are asked for, at any size."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import GeometryError, Use

# libvips notes what went wrong for all threads in one place: what one reads, and whether it was
# whole, is one step.
READING = threading.RLock()
READ_ROWS = 32  # at a time: of a photo 20 000 px wide 64 rows took more memory, and no less time


def rows_of(
    image: pyvips.Image,
    height: int = READ_ROWS,
    first: int = 0,
    columns: tuple[int, int] | None = None,
) -> Iterator[npt.NDArray[Any]]:
    """Rows from ``first`` to the last, in order: (<= height, columns, bands) each.

    One region after the other, in the calling thread: a file that can be read only in
    order is read in order, and no more of it is held than the rows asked for need.

    Raises:
        pyvips.Error: the file behind the image is damaged there.
    """
    left, right = columns or (0, image.width)
    dtype = np.float32 if image.format == "float" else np.uint8
    region = pyvips.Region.new(image)
    for top in range(first, image.height, height):
        count = min(height, image.height - top)
        with READING:
            forget_complaints()
            held = region.fetch(left, top, right - left, count)
            refuse_painted_tiles()
        yield np.frombuffer(held, dtype).reshape(count, right - left, image.bands)


def forget_complaints() -> None:
    """Clear what libvips noted of earlier images: it keeps that until it is asked."""
    pyvips.vips_lib.vips_error_clear()


def refuse_painted_tiles() -> None:
    """Raise for TIFF tiles that could not be read since :func:`forget_complaints`.

    libvips paints them black, notes why, and goes on as if nothing had happened.

    Raises:
        pyvips.Error: there were some.
    """
    if b"tiff2vips: " in pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()):
        raise pyvips.Error("tiles could not be read")


def resized(image: pyvips.Image, target_hw: tuple[int, int]) -> pyvips.Image:
    """The image at another size, not yet computed; the same values whatever rows are read.

    Raises:
        GeometryError: a size that libvips does not make.
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
    # Of libvips' kernels and OpenCV's averaging of areas, Lanczos kept most (40 photos shrunk
    # and enlarged back: 27.46 dB at a half, areas 27.29, cubic 27.23) and let least of a
    # too fine grating through (at 1.4 times the limit: 0.01 of it, areas 0.46, cubic 0.12).
    return image.resize(width / image.width, vscale=height / image.height, kernel="lanczos3")


def _enlarged(image: pyvips.Image, height: int, width: int) -> pyvips.Image:
    if (image.height, image.width) == (height, width):
        return image
    # Not resize(), which enlarges to half an output pixel left and above of the right
    # place (8.18, measured on a ramp). Here pixel p's centre is at p + 0.5 on both sides.
    # Cubic: enlarging halved photos, it came closer to them than linear (27.22 against
    # 26.38 dB over 40 photos).
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
