"""Decode photo files with libvips to upright 8-bit sRGB, or refuse them.

libvips decodes row by row and handles CMYK, colour profiles, 16 bits, palettes and EXIF
orientation.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyvips

from ..errors import PhotoError, reason_of
from ..region import Region
from .no_data import NoData, marks_of, no_data_of, with_value_hidden
from .reading import AS_IT_IS, Reading
from .rows import forget_complaints
from .values import TRANSPARENT, Keep, header_field, over_white, to_known_values, to_srgb, upright

# libvips's names of its readers, and the usual names of the formats. All other readers are
# refused: some take text or raw numbers for an image, or render documents.
_FORMATS = {
    "Jpeg": "JPEG",
    "Png": "PNG",
    "Webp": "WebP",
    "Tiff": "TIFF",
    "Nsgif": "GIF",
    "Heif": "HEIF",
}
_MOST_JPEG_SHRINK = 8
_PARTIAL = 1  # VIPS_FOREIGN_PARTIAL: any region can be read without what lies before it

Access = Literal["sequential", "random"]
# libvips would cache its latest operations, and with them their images and open files.
pyvips.cache_set_max(0)


@dataclass(frozen=True)
class Encoded:
    """An open photo file: its bytes, format, a stamp that identifies it, and how it is read."""

    source: pyvips.Source
    file_format: str
    stamp: tuple[int, ...]
    path: Path
    reading: Reading = AS_IT_IS

    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        # Through a descriptor of its own: libvips reads on where this one stands.
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


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


@contextmanager
def encoded(path: Path, reading: Reading = AS_IT_IS) -> Iterator[Encoded]:
    """Open a photo file; errors in the block name the file.

    Raises:
        PhotoError: no such file, not an image, or as :func:`naming`.
    """
    with _open(path) as stream:
        status = os.fstat(stream.fileno())
        # By descriptor: pyvips takes only names that are UTF-8, files may have others.
        source = pyvips.Source.new_from_descriptor(stream.fileno())
        file_format = _format_of(source)
        if file_format is None:
            formats = ", ".join(_FORMATS.values())
            raise PhotoError(f"{path}: not an image that can be read (none of {formats})")
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with naming(path, file_format):
            yield Encoded(source, file_format, stamp, path, reading)


@contextmanager
def naming(path: Path, file_format: str) -> Iterator[None]:
    """Put the file's name before the errors of the block, including those of libvips.

    Raises:
        PhotoError: in place of any PhotoError or pyvips.Error.
    """
    try:
        yield
    except PhotoError as error:
        raise error.about(str(path)) from error
    except pyvips.Error as error:
        raise PhotoError(
            f"{path}: is cut short, damaged or an unknown kind of {file_format}{_reason(error)}"
        ) from error


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
    image = open_image(opened.source, access, **reduction.options)
    frames = header_field(image, "n-pages", 1)
    notes = []
    if frames > 1 and not _pyramid_levels(opened):
        # libvips reads no others.
        notes.append(f"first of {frames} frames")
    darkest = opened.reading.input_range[0] if opened.reading.input_range else 0
    marks = marks_of(opened.path, opened.file_format, opened.stamp)
    image = with_value_hidden(image, marks, darkest)
    forget_complaints()
    for step in (to_known_values, to_srgb, over_white, upright):
        image, note = step(image, keep)
        notes += [note] if note else []
    if region is not None:
        image = image.crop(region.left, region.top, region.width, region.height)
    if reduction.left > 1:
        image = image.shrink(reduction.left, reduction.left)
    return image, tuple(notes)


def find_no_data(
    opened: Encoded, access: Access, notes: tuple[str, ...], region: Region | None = None
) -> tuple[NoData | None, tuple[str, ...]]:
    """The pixels that are no photo, and the notes on a decoded photo with what is to be said of it.

    Only files in which there may be any are read for it, once more.

    Raises:
        pyvips.Error: the file is damaged.
    """
    marks = marks_of(opened.path, opened.file_format, opened.stamp)
    found, note = None, marks.note
    if marks or TRANSPARENT in notes:
        image, transparent = open_image(opened.source, access), TRANSPARENT in notes
        found, note = no_data_of(image, opened.path, marks, transparent=transparent, region=region)
    return found, (*notes, note) if note else notes


def open_image(
    source: pyvips.Source, access: Access = "sequential", **options: Any
) -> pyvips.Image:
    """The image as stored in the file; only its header is read."""
    # Truncated TIFFs fail at level "error" only, other formats at "truncated" too.
    return pyvips.Image.new_from_source(source, "", access=access, fail_on="error", **options)


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
    image = open_image(opened.source)
    below = header_field(image, "n-subifds", 0)
    pages = header_field(image, "n-pages", 1)
    listed: list[dict[str, Any]] = [{"subifd": index} for index in range(below)] or [
        {"page": index} for index in range(1, pages)
    ]
    levels = []
    for depth, options in enumerate(listed, start=1):
        try:
            smaller = open_image(opened.source, **options)
        # A mask, whose pixels are bits.
        except pyvips.Error:
            forget_complaints()
            break
        sides = ((image.width, smaller.width), (image.height, smaller.height))
        # Rounded up or down, once or at each level.
        if any(abs(side / 2**depth - small) >= 1 for side, small in sides):
            break
        levels.append(options)
    return levels


def upright_hw_of(image: pyvips.Image) -> tuple[int, int]:
    """Height and width, px, of an image as stored in the file once it is turned upright."""
    turned = header_field(image, "orientation", 1) in range(5, 9)
    return (image.width, image.height) if turned else (image.height, image.width)


def is_tiled(opened: Encoded) -> bool:
    """Whether regions can be read in any order, as from a tiled TIFF."""
    if opened.file_format != "TIFF":
        return False
    _, options = pyvips.Image.tiffload_source(opened.source, flags=True)
    return bool(options["flags"] & _PARTIAL)


def access_of(opened: Encoded, region: Region | None) -> Access:
    """How to read a file once, from the top, or only where the region lies if that is possible."""
    return "random" if region is not None and is_tiled(opened) else "sequential"


def is_interlaced(image: pyvips.Image) -> bool:
    """Whether the rows are stored in several passes (progressive JPEG, interlaced PNG)."""
    return bool(header_field(image, "interlaced", 0))


def _open(path: Path) -> BinaryIO:
    """Open a regular, non-empty file, or raise a one-line error."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError(f"{path}: is a directory: give a photo")
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{path}: is not a regular file: give a photo")
        if status.st_size == 0:
            raise PhotoError(f"{path}: is empty")
        return path.open("rb")
    except FileNotFoundError as error:
        raise PhotoError(f"{path}: no such file") from error
    # ValueError: a name with a null character.
    except (OSError, ValueError) as error:
        raise PhotoError(f"{path}: cannot be opened: {reason_of(error)}") from error


def _format_of(source: pyvips.Source) -> str | None:
    """The format by the first bytes of the file; None if it is not supported."""
    reader = pyvips.vips_lib.vips_foreign_find_load_source(source.pointer)
    if reader == pyvips.ffi.NULL:
        # The error message would be added to the next one.
        forget_complaints()
        return None
    name = pyvips.ffi.string(reader).decode()
    return _FORMATS.get(name.removeprefix("VipsForeignLoad").removesuffix("Source"))


def _reason(error: pyvips.Error) -> str:
    """The last error message of libvips, in brackets, without the name of its function."""
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    return f" ({lines[-1].split(': ', 1)[-1]})" if lines else ""
