"""Kinds of TIFF that libvips does not read, or reads as other colours than they are.

These are separate planes (but strips of RGB or CMYK), YCbCr that is neither compressed as JPEG nor
subsampled, and values of 10, 12 or 14 bits.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from ...errors import PhotoError
from ...geometry import size_text
from .opencv import decoded
from .tiff_tags import WHITE_IS_ZERO, Directory, opened_tiff, page_of

# Numbers of TIFF: what colours mean, and how they are compressed.
_BLACK_IS_ZERO, _RGB, _SEPARATED, _YCBCR = 1, 2, 5, 6
_OLD_JPEG, _JPEG = 6, 7
_PACKED = (10, 12, 14)
_PX_BYTES = 8  # four bands of 16 bits


def is_misread(image: Directory) -> bool:
    """Whether an image of a TIFF is of such a kind."""
    colours = (_RGB, _SEPARATED)
    strips = not image.tiled and image.photometric in colours
    planes = image.separate and image.samples > 1 and not strips
    return planes or _is_raw_ycbcr(image) or image.bits in _PACKED


def _is_raw_ycbcr(image: Directory) -> bool:
    return (
        image.photometric == _YCBCR
        and image.compression not in (_JPEG, _OLD_JPEG)
        and image.subsampling == (1, 1)
    )


def read_image(path: Path, image: Directory, most_px: int) -> pyvips.Image:
    """Such an image, decoded whole, as libvips would give it.

    Where less than the 16 bits of its values are used, its field "bits-per-sample" says how many.

    Args:
        path: the file.
        image: its tags.
        most_px: the largest number of pixels, of up to ``_PX_BYTES`` each.

    Raises:
        PhotoError: it is damaged, or of a depth and compression that no reader takes; or its
            planes are more than may be in memory.
        OSError: the file cannot be read.
    """
    needed = math.prod(image.hw) * image.samples * -(-image.bits // 8)
    if needed > most_px * _PX_BYTES:
        raise PhotoError(
            f"has {image.samples} planes of {size_text(image.hw)}, which are held in memory as a "
            f"whole, {needed / 1e9:,.1f} GB: save it with its bands interleaved, by pixel"
        )
    if image.bits in _PACKED:
        return _packed(path, image)
    values = _planes(path, image)
    if values is None:
        bgr = _by_opencv(path, image)
        # OpenCV reads such files of 8 bits by libtiff; of more it mixes the planes up.
        if bgr is None or bgr.dtype != np.uint8 or bgr.ndim != 3 or image.bits != 8:
            raise PhotoError(
                "is cut short or damaged, or a TIFF whose planes are stored in a way that is not "
                "read: save it with its bands interleaved, by pixel"
            )
        values = bgr[:, :, [2, 1, 0, 3][: bgr.shape[2]]]
    return _named(values, image)


def _packed(path: Path, image: Directory) -> pyvips.Image:
    """Values of 10, 12 or 14 bits: OpenCV gives them as the highest bits of 16."""
    bgr = _by_opencv(path, image)
    shape = () if bgr is None else bgr.shape
    colours = {(*image.hw,): 1, (*image.hw, 3): 3, (*image.hw, 4): 4}.get(shape)
    known = (_BLACK_IS_ZERO, _RGB)
    if bgr is None or colours != image.samples or image.photometric not in known:
        raise PhotoError(
            f"is cut short or damaged, or has values of {image.bits} bits stored in a way that is "
            "not read: save it with 16 bits"
        )
    rgb = bgr if bgr.ndim == 2 else bgr[:, :, [2, 1, 0, 3][: bgr.shape[2]]]
    stored = _named(np.ascontiguousarray(rgb >> (16 - image.bits)), image)
    stored.set_type(pyvips.GValue.gint_type, "bits-per-sample", image.bits)
    return stored


def _by_opencv(path: Path, image: Directory) -> npt.NDArray[Any] | None:
    """The pixels as grey, BGR or BGRA; None where OpenCV, which reads first pages, cannot."""
    return None if image.options else decoded(path.read_bytes())


def _named(values: npt.NDArray[Any], image: Directory) -> pyvips.Image:
    """An image of values whose colours are those that the tags name."""
    grey = values.ndim == 2 or image.photometric in (
        _BLACK_IS_ZERO,
        WHITE_IS_ZERO,
    )
    wide = values.dtype == np.uint16
    name = ("grey16" if wide else "b-w") if grey else "rgb16" if wide else "srgb"
    if image.photometric == _SEPARATED:
        name = "cmyk"
    named = pyvips.Image.new_from_array(values).copy(interpretation=name)
    named.set_type(pyvips.GValue.gint_type, "orientation", image.orientation)
    return named


def _planes(path: Path, image: Directory) -> npt.NDArray[Any] | None:
    """The planes joined, (H, W, bands); None where tifffile cannot, or must not, read them."""
    if image.photometric == _YCBCR:
        return None
    try:
        with opened_tiff(path, "planes") as (file, _):
            values = np.ascontiguousarray(np.moveaxis(page_of(file, image).asarray(), 0, 2))
    # Of compressions that it has no codec for, and of damage, among others.
    except PhotoError:
        return None
    if image.photometric == WHITE_IS_ZERO and values.dtype.kind == "u":
        # As libvips does, which turns over the first band only.
        values[:, :, 0] = np.iinfo(values.dtype).max - values[:, :, 0]
    return values
