"""Decode photo files to upright 8-bit sRGB, or refuse them.

libvips decodes row by row and handles CMYK, colour profiles, 16 bits, palettes and EXIF
orientation. Of formats that it does not read here, OpenCV decodes the pixels.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyvips

from ..errors import PhotoError, reason_of
from ..files import no_file
from ..geometry import size_text
from ..quiet import listening
from ..region import Region
from .colours import ALPHA
from .depth import FULL, Extremes, bits_for, extremes_of, png_bits
from .formats import BY_NAME, FORMATS, HEAD_BYTES, Format, Unread, recognised
from .gif import first_frame_xywh
from .limits import check_pixels
from .mpo import pictures_in
from .opencv import header_of, read_image
from .planes import is_misread
from .planes import read_image as read_planes
from .reading import AS_IT_IS, Reading
from .rows import MENDED, forget_complaints
from .tiff_tags import WHITE_IS_ZERO, Directory, TiffImages, images_of
from .values import (
    NO_PROFILE,
    Keep,
    Stored,
    as_in_file,
    header_field,
    over_white,
    to_known_values,
    to_srgb,
    upright,
)

_MOST_JPEG_SHRINK = 8
# A codec that libheif knows, but was built without.
_MISSING = re.compile(r"has not been built in: (\w+)")
# Of files decoded last.
_FOUND: dict[tuple[Any, ...], Extremes] = {}
_MOST_FOUND = 64

Access = Literal["sequential", "random"]
# libvips would cache its latest operations, and with them their images and open files.
pyvips.cache_set_max(0)


@dataclass(frozen=True)
class Encoded:
    """An open photo file.

    Attributes:
        source: its bytes, for libvips.
        file_format: the name of its format (:mod:`formats`).
        stamp: identifies the file and its state.
        path: path as given.
        reading: how it is read, where it leaves a choice.
        mend: whether what is damaged is made up, as far as the decoder can.
    """

    source: pyvips.Source
    file_format: str
    stamp: tuple[int, ...]
    path: Path
    reading: Reading = AS_IT_IS
    mend: bool = False

    @property
    def form(self) -> Format:
        """Its format."""
        return BY_NAME[self.file_format]

    @cached_property
    def tiff(self) -> TiffImages | None:
        """The images of a TIFF; None for other formats.

        Raises:
            PhotoError: its tags are damaged, though libvips reads it.
            pyvips.Error: libvips does not.
        """
        if self.file_format != "TIFF":
            return None
        try:
            return images_of(self.path, self.stamp)
        except PhotoError:
            _load(self, "sequential")
            raise

    @property
    def directory(self) -> Directory | None:
        """The tags of the image of a TIFF that is the photo; None for other formats.

        Raises:
            PhotoError, pyvips.Error: as for ``tiff``, or the image is of a kind that is not read.
        """
        return self.tiff.photo if self.tiff else None

    @cached_property
    def is_misread(self) -> bool:
        """Whether it is a TIFF that libvips reads wrongly or not at all (:mod:`planes`)."""
        return self.directory is not None and is_misread(self.directory)

    @property
    def by_rows(self) -> bool:
        """Whether its rows are decoded one after the other, as far as its format tells."""
        return self.form.by_rows and not self.is_misread

    @property
    def file_bytes(self) -> int:
        """The size of the file."""
        return self.stamp[2]

    @property
    def mended(self) -> Encoded:
        """The same file, to be read as far as it goes."""
        return replace(self, mend=True)

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
        form = _format_of(path, os.pread(stream.fileno(), HEAD_BYTES, 0))
        # By descriptor: pyvips takes only names that are UTF-8, files may have others.
        source = pyvips.Source.new_from_descriptor(stream.fileno())
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with naming(path, form.name):
            yield Encoded(source, form.name, stamp, path, reading)


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
        raise PhotoError(f"{path}: {what_is_wrong(error, file_format)}") from error


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
    notes += _pages_notes(opened, image)
    forget_complaints()
    image, more = to_known_values(image, _stored(opened, image))
    notes += more
    for step in (to_srgb, over_white, upright):
        image, note = step(image, keep)
        notes += [note] if note else []
    if region is not None:
        image = image.crop(region.left, region.top, region.width, region.height)
    if reduction.left > 1:
        image = image.shrink(reduction.left, reduction.left)
    return image, tuple(notes)


def _pages_notes(opened: Encoded, image: pyvips.Image) -> list[str]:
    """What is to be said of other images in the file, of which none is read."""
    if opened.tiff and opened.directory:
        frames = opened.tiff.frames(header_field(image, "n-pages", 1))
        notes = []
        if opened.directory.options:
            size = size_text(opened.directory.hw)
            notes.append(f"the full image, {size}, is read, not the smaller copy before it")
    else:
        # Pages of GIF, WebP and HEIF; of a JPEG libvips knows only the first.
        is_jpeg = opened.file_format == "JPEG"
        frames = pictures_in(opened.path) if is_jpeg else header_field(image, "n-pages", 1)
        notes = []
    return [*notes, *([f"first of {frames} frames"] if frames > 1 else [])]


def _stored(opened: Encoded, image: pyvips.Image) -> Stored:
    """What is known of a file's values."""
    directory, bits, extra = opened.directory, None, ALPHA
    if directory is not None:
        bits, extra = bits_for(directory.highest), directory.extra
    if image.format == "ushort" and opened.file_format == "PNG":
        bits = png_bits(opened.path)
    elif opened.file_format == "HEIF":
        # libvips makes values of 10 and 12 bits larger.
        bits = FULL
    elif (held := header_field(image, "bits-per-sample", FULL)) < FULL:
        bits = held
    white_is_zero = directory is not None and directory.photometric == WHITE_IS_ZERO

    def extremes(bands: Sequence[int]) -> Extremes:
        return _extremes(opened, bands, turned=white_is_zero)

    scaled = opened.file_format == "PNG"
    chosen = opened.reading.input_range
    return Stored(extremes, extra, bits, scaled, white_is_zero, chosen)


def _extremes(opened: Encoded, bands: Sequence[int], *, turned: bool) -> Extremes:
    """Lowest and highest values of bands of the whole file at its full size.

    Files are decoded again for each size, region and pass, but this is found once.
    """
    key = (opened.path, opened.stamp, opened.mend, tuple(bands))
    if key not in _FOUND:
        # Through a descriptor of its own, as above.
        with opened.path.open("rb") as stream:
            source = pyvips.Source.new_from_descriptor(stream.fileno())
            image = open_image(replace(opened, source=source))
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
        check_pixels(form.name, header.hw, opened.reading.max_pixels)
        return read_image(opened.path, form.name)
    if opened.directory is not None and opened.is_misread:
        check_pixels(form.name, opened.directory.hw, opened.reading.max_pixels)
        return read_planes(opened.path, opened.directory)
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
    if opened.directory is not None and not options.keys() & {"page", "subifd"}:
        options |= opened.directory.options
    return _load(opened, access, **options)


def _load(opened: Encoded, access: Access, **options: Any) -> pyvips.Image:
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
        check_pixels(form.name, hw, most)
    else:
        held = opened.file_bytes * form.most_px_per_byte
        check_pixels(form.name, hw, max(most, held), streams=True)


def stored_size(opened: Encoded) -> tuple[tuple[int, int], int]:
    """Height and width, px, as stored in the file, and the EXIF orientation; by the header."""
    if not opened.form.loader:
        return header_of(opened.path, opened.form.name).hw, 1
    if opened.directory is not None and opened.is_misread:
        return opened.directory.hw, 1
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
    if not opened.tiff or not opened.directory or opened.is_misread:
        return []
    levels: list[dict[str, Any]] = []
    for smaller in opened.tiff.copies:
        factor = 2 ** (len(levels) + 1)
        sides = zip(opened.directory.hw, smaller.hw, strict=True)
        # Rounded up or down, once or at each level.
        if all(abs(side / factor - small) < 1 for side, small in sides):
            levels.append(smaller.options)
    return levels


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


def _open(path: Path) -> BinaryIO:
    """Open a regular, non-empty file, or raise a one-line error."""
    try:
        status = path.stat()
        if reason := no_file(status):
            raise PhotoError(f"{path}: {reason}: give a photo")
        if status.st_size == 0:
            raise PhotoError(f"{path}: is empty")
        return path.open("rb")
    except FileNotFoundError as error:
        raise PhotoError(f"{path}: no such file") from error
    # ValueError: a name with a null character.
    except (OSError, ValueError) as error:
        raise PhotoError(f"{path}: cannot be opened: {reason_of(error)}") from error


def _format_of(path: Path, head: bytes) -> Format:
    """The format by the first bytes of the file, or its suffix.

    Raises:
        PhotoError: it is not read.
    """
    form = recognised(head, path.suffix)
    if isinstance(form, Format):
        return form
    if isinstance(form, Unread):
        raise PhotoError(f"{path}: is {form.name}, which is not read: {form.way}")
    names = ", ".join(form.name for form in FORMATS)
    raise PhotoError(f"{path}: not an image that can be read (none of {names})")


def what_is_wrong(error: pyvips.Error, file_format: str) -> str:
    """Whether a file is of a kind that is not read, or damaged, and what libvips says of it."""
    if missing := _MISSING.search(error.detail):
        return f"{missing[1]} is not in this libvips: convert it to JPEG"
    if "nsupported" in error.detail:
        kind = f"is a kind of {file_format} that is not read{_reason(error)}"
        return f"{kind}: convert it to JPEG, PNG or TIFF"
    return f"is cut short, damaged or an unknown kind of {file_format}{_reason(error)}"


def _reason(error: pyvips.Error) -> str:
    """The last error message of libvips, in brackets, without the name of its function."""
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    return f" ({lines[-1].split(': ', 1)[-1]})" if lines else ""
