"""Decode photo files to upright 8-bit sRGB, or refuse them.

libvips decodes row by row and handles CMYK, colour profiles, 16 bits, palettes and EXIF
orientation. Of formats that it does not read here, OpenCV decodes the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyvips

from ...quiet import listening
from ...region import Region
from ..no_data import NoData, marks_of, no_data_of, with_value_hidden
from ..rows import MENDED, forget_complaints
from .colours import ALPHA, ASSOCIATED, UNASSOCIATED, bands_of
from .depth import FULL, Extremes, bits_for, extremes_of, png_bits
from .encoded import Access, Encoded, load
from .gif import first_frame_xywh
from .limits import check_in_memory, check_plausible
from .opencv import header_of, read_image
from .pages import WHOLE, Reduction, notes_on_pages
from .planes import read_image as read_planes
from .tiff_tags import WHITE_IS_ZERO
from .values import (
    NO_PROFILE,
    TRANSPARENT,
    Keep,
    Stored,
    as_in_file,
    header_field,
    over_white,
    to_known_values,
    to_srgb,
    upright,
)

# Of files decoded last.
_FOUND: dict[tuple[Any, ...], Extremes] = {}
_MOST_FOUND = 64


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
    notes = []
    if any("iCCP: " in line for line in logged) and not image.get_typeof("icc-profile-data"):
        # libpng leaves out what it cannot take.
        notes.append(NO_PROFILE)
    notes += notes_on_pages(opened, image)
    forget_complaints()
    stored = _stored(opened, image)
    image, more = to_known_values(_hidden(opened, image, stored.extra), stored)
    notes += more
    for step in (to_srgb, over_white, upright):
        image, note = step(image, keep)
        notes += [note] if note else []
    if region is not None:
        image = image.crop(region.left, region.top, region.width, region.height)
    if reduction.left > 1:
        image = image.shrink(reduction.left, reduction.left)
    return image, tuple(notes)


def _stored(opened: Encoded, image: pyvips.Image) -> Stored:
    """What is known of a file's values."""
    directory = opened.directory
    bits = None if directory is None else bits_for(directory.highest)
    if image.format == "ushort" and opened.file_format == "PNG":
        bits = png_bits(opened.path)
    elif opened.file_format == "HEIF":
        # libvips makes values of 10 and 12 bits larger.
        bits = FULL
    elif opened.is_misread or not opened.form.loader:
        # Of formats that libvips does not decode.
        bits = header_field(image, "bits-per-sample", None)
    white_is_zero = directory is not None and directory.photometric == WHITE_IS_ZERO

    def extremes(bands: Sequence[int]) -> Extremes:
        return _extremes(opened, bands, turned=white_is_zero)

    scaled = opened.file_format == "PNG"
    chosen = opened.reading.input_range
    return Stored(extremes, _extra(opened), bits, scaled, white_is_zero, chosen)


def _extra(opened: Encoded) -> Sequence[int]:
    """What the bands of a file beyond colour are."""
    if opened.directory is None:
        return ALPHA
    if opened.is_misread:
        return opened.directory.extra
    # libvips divides colours by the transparency that they were multiplied with.
    return [UNASSOCIATED if kind == ASSOCIATED else kind for kind in opened.directory.extra]


def _hidden(opened: Encoded, image: pyvips.Image, extra: Sequence[int]) -> pyvips.Image:
    """The image as stored, without nodata values that are none of the photo's."""
    marks = marks_of(opened.tiff)
    if marks.value is None:
        return image
    darkest = opened.reading.input_range[0] if opened.reading.input_range else 0
    return with_value_hidden(image, marks, bands_of(image, extra).colours, darkest)


def find_no_data(
    opened: Encoded, access: Access, notes: tuple[str, ...], region: Region | None = None
) -> tuple[NoData | None, tuple[str, ...]]:
    """The pixels that are no photo, and the notes on a decoded photo with what is to be said of it.

    Only files in which there may be any are read for it, once more.

    Raises:
        pyvips.Error: the file is damaged.
    """
    marks = marks_of(opened.tiff)
    found, note, alpha = None, marks.note, None
    if marks or TRANSPARENT in notes:
        image = open_image(opened, access)
        stored = _stored(opened, image)
        if TRANSPARENT in notes:
            alpha = to_known_values(_hidden(opened, image, stored.extra), stored)[0][-1]
        colours = bands_of(image, stored.extra).colours
        found, note = no_data_of(
            image, opened.path, marks, colours=colours, alpha=alpha, region=region
        )
    return found, (*notes, note) if note else notes


def _extremes(opened: Encoded, bands: Sequence[int], *, turned: bool) -> Extremes:
    """Lowest and highest values of bands of the whole file at its full size.

    Files are decoded again for each size, region and pass, but this is found once.
    """
    key = (opened.path, opened.stamp, opened.mend, tuple(bands))
    if key not in _FOUND:
        # Through a descriptor of its own: libvips reads on where the other stands.
        with opened.path.open("rb") as stream:
            source = pyvips.Source.new_from_descriptor(stream.fileno())
            image = open_image(replace(opened, source=source))
            image = _hidden(opened, image, _extra(opened))
            found = extremes_of(as_in_file(image) if turned else image, bands)
        while len(_FOUND) >= _MOST_FOUND:
            del _FOUND[next(iter(_FOUND))]
        _FOUND[key] = found
    return _FOUND[key]


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
    if opened.directory is not None and opened.is_misread:
        check_in_memory(form.name, opened.directory.hw, opened.reading.max_pixels)
        return read_planes(opened.path, opened.directory, opened.reading.max_pixels)
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
    if opened.directory is not None and not options:
        options = opened.directory.options
    return load(opened, access, **options)


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
    if opened.directory is not None and opened.is_misread:
        return opened.directory.hw, opened.directory.orientation
    image = _by_libvips(opened, "sequential")
    return (image.height, image.width), int(header_field(image, "orientation", 1))


def upright_hw_of(opened: Encoded) -> tuple[int, int]:
    """Height and width of the photo, px, once it is turned upright; by the header."""
    (height, width), orientation = stored_size(opened)
    return (width, height) if orientation in range(5, 9) else (height, width)


def is_tiled(opened: Encoded) -> bool:
    """Whether regions can be read in any order, as from a tiled TIFF."""
    return opened.directory is not None and opened.directory.tiled and not opened.is_misread


def access_of(opened: Encoded, region: Region | None) -> Access:
    """How to read a file once, from the top, or only where the region lies if that is possible."""
    return "random" if region is not None and is_tiled(opened) else "sequential"


def is_interlaced(image: pyvips.Image) -> bool:
    """Whether the rows are stored in several passes (progressive JPEG, interlaced PNG)."""
    return bool(header_field(image, "interlaced", 0))
