"""Decode photo files to upright 8-bit sRGB, or refuse them.

libvips decodes row by row and handles CMYK, colour profiles, 16 bits, palettes and EXIF
orientation. Of formats that it does not read here, OpenCV decodes the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyvips

from ..quiet import listening
from ..region import Region
from .encoded import Encoded
from .gif import first_frame_xywh
from .limits import check_in_memory, check_plausible
from .mpo import pictures_in
from .opencv import header_of, read_image
from .planes import read_image as read_planes
from .rows import MENDED, forget_complaints
from .values import NO_PROFILE, Keep, header_field, over_white, to_known_values, to_srgb, upright

_MOST_JPEG_SHRINK = 8
_PARTIAL = 1  # VIPS_FOREIGN_PARTIAL: any region can be read without what lies before it

Access = Literal["sequential", "random"]


@dataclass(frozen=True)
class Reduction:
    """How a file is decoded at a part of its size.

    Attributes:
        options: what libvips' reader is told.
        left: by which whole number the result still has to be shrunk.
        how: what the reader reduces by, in words; "" where it reads the whole.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    left: int = 1
    how: str = ""


WHOLE = Reduction()


def decode(
    opened: Encoded,
    access: Access,
    keep: Keep,
    reduction: Reduction = WHOLE,
    region: Region | None = None,
) -> tuple[pyvips.Image, tuple[str, ...]]:
    """An image of 8-bit sRGB, not yet computed, and notes on the conversions applied.

    ``keep`` is called where the image must be read twice. Only the ``region`` of the upright photo
    is computed, if there is one.

    Raises:
        PhotoError: values or channels of unknown meaning.
        pyvips.Error: the file is damaged; possibly only raised when pixels are computed.
    """
    with listening("pyvips") as logged:
        image = open_image(opened, access, **reduction.options)
    check_size(opened, image, reduction.options.get("shrink", 1))
    # Pages of TIFF, GIF, WebP and HEIF; of a JPEG libvips knows only the first.
    is_jpeg = opened.file_format == "JPEG"
    frames = pictures_in(opened.path) if is_jpeg else header_field(image, "n-pages", 1)
    notes = []
    if any("iCCP: " in line for line in logged) and not image.get_typeof("icc-profile-data"):
        # libpng leaves out what it cannot take.
        notes.append(NO_PROFILE)
    if frames > 1 and not _pyramid_levels(opened):
        # libvips reads no others.
        notes.append(f"first of {frames} frames")
    forget_complaints()
    for step in (to_known_values, to_srgb, over_white, upright):
        image, note = step(image, keep)
        notes += [note] if note else []
    if region is not None:
        image = image.crop(region.left, region.top, region.width, region.height)
    if reduction.left > 1:
        image = image.shrink(reduction.left, reduction.left)
    return image, tuple(notes)


def open_image(opened: Encoded, access: Access = "sequential", **options: Any) -> pyvips.Image:
    """The image as stored in the file; libvips reads only its header, OpenCV decodes it.

    Raises:
        PhotoError: OpenCV cannot decode it, or it has more pixels than may be.
        pyvips.Error: libvips cannot read its header.
    """
    form = opened.form
    if not form.loader:
        header = header_of(opened.path, form.name)
        check_in_memory(form.name, header.hw, opened.reading.max_pixels)
        return read_image(opened.path, form.name)
    if opened.is_misread and not options:
        size = _by_libvips(opened, access)
        check_in_memory(form.name, (size.height, size.width), opened.reading.max_pixels)
        return read_planes(opened.path)
    image = _by_libvips(opened, access, **options)
    if form.name == "GIF":
        image = _on_clear_canvas(image, opened.path)
    if opened.mend:
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, MENDED, 1)
    return image


def _on_clear_canvas(image: pyvips.Image, path: Path) -> pyvips.Image:
    """The first frame of a GIF, with nothing around it: libvips has black there."""
    frame = first_frame_xywh(path)
    if frame is None or image.hasalpha() or frame == (0, 0, image.width, image.height):
        return image
    left, top, width, height = frame
    inside = image.crop(left, top, width, height).addalpha()
    return inside.embed(left, top, image.width, image.height)


def _by_libvips(opened: Encoded, access: Access, **options: Any) -> pyvips.Image:
    form = opened.form
    fail_on = "none" if opened.mend else form.intact
    return pyvips.Operation.call(
        form.loader, opened.source, access=access, fail_on=fail_on, **options
    )


def check_size(opened: Encoded, image: pyvips.Image, shrink: int = 1) -> None:
    """Refuse, before pixels are decoded, a file that claims more than may be.

    Args:
        opened: the file.
        image: the image as stored in it, or as its decoder makes it smaller.
        shrink: by how much.

    Raises:
        PhotoError: it must be decoded whole and has more than ``max_pixels`` pixels; or it claims
            so many without the bytes to hold them.
    """
    form, most = opened.form, opened.reading.max_pixels
    hw = image.height * shrink, image.width * shrink
    if not opened.by_rows or is_interlaced(image):
        check_in_memory(form.name, hw, most)
    else:
        held = opened.file_bytes * form.most_px_per_byte
        check_plausible(form.name, hw, max(most, held))


def stored_size(opened: Encoded) -> tuple[tuple[int, int], int]:
    """Height and width, px, as stored in the file, and the EXIF orientation; by the header."""
    if not opened.form.loader:
        return header_of(opened.path, opened.form.name).hw, 1
    image = _by_libvips(opened, "sequential")
    return (image.height, image.width), int(header_field(image, "orientation", 1))


def reduction_of(opened: Encoded, denominator: int, region: Region | None = None) -> Reduction:
    """How to decode a file at 1/2, 1/4, ... of its size, with as little work as its format allows.

    JPEG decoders compute a half, a quarter or an eighth directly; a TIFF may hold smaller copies
    (a pyramid). What is left is done by averaging as rows are read.

    Args:
        opened: the file.
        denominator: a power of two.
        region: a part of the photo. It begins at any pixel, so nothing but averaging is exact.
    """
    if region is not None:
        return Reduction(left=denominator, how="averaging")
    if opened.file_format == "JPEG":
        shrink = min(denominator, _MOST_JPEG_SHRINK)
        return Reduction({"shrink": shrink}, denominator // shrink, "the JPEG decoder")
    if opened.file_format == "TIFF":
        levels = _pyramid_levels(opened)
        if depth := min(len(levels), denominator.bit_length() - 1):
            return Reduction(levels[depth - 1], denominator >> depth, "the file's own pyramid")
    return Reduction(left=denominator, how="averaging")


def _pyramid_levels(opened: Encoded) -> list[dict[str, Any]]:
    """Which options read a TIFF at a half, a quarter, ... of its size; [] if it is no pyramid."""
    if opened.file_format != "TIFF":
        return []
    image = open_image(opened)
    below = header_field(image, "n-subifds", 0)
    pages = header_field(image, "n-pages", 1)
    listed: list[dict[str, Any]] = [{"subifd": index} for index in range(below)] or [
        {"page": index} for index in range(1, pages)
    ]
    levels = []
    for depth, options in enumerate(listed, start=1):
        smaller = open_image(opened, **options)
        sides = ((image.width, smaller.width), (image.height, smaller.height))
        # Rounded up or down, once or at each level.
        if any(abs(side / 2**depth - small) >= 1 for side, small in sides):
            break
        levels.append(options)
    return levels


def upright_hw_of(opened: Encoded) -> tuple[int, int]:
    """Height and width of the photo, px, once it is turned upright; by the header."""
    (height, width), orientation = stored_size(opened)
    return (width, height) if orientation in range(5, 9) else (height, width)


def is_tiled(opened: Encoded) -> bool:
    """Whether regions can be read in any order, as from a tiled TIFF."""
    if opened.file_format != "TIFF" or opened.is_misread:
        return False
    _, options = pyvips.Image.tiffload_source(opened.source, flags=True)
    return bool(options["flags"] & _PARTIAL)


def access_of(opened: Encoded, region: Region | None) -> Access:
    """How to read a file once, from the top, or only where the region lies if that is possible."""
    return "random" if region is not None and is_tiled(opened) else "sequential"


def is_interlaced(image: pyvips.Image) -> bool:
    """Whether the rows are stored in several passes (progressive JPEG, interlaced PNG)."""
    return bool(header_field(image, "interlaced", 0))
