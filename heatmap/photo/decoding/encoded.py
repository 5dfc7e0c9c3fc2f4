"""Photo files opened: what format they are of, and what is said of those that cannot be read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyvips

from ...contents import no_file
from ...errors import PhotoError, reason_of
from ..reading import AS_IT_IS, Reading
from ..rows import forget_complaints
from .formats import BY_NAME, FORMATS, HEAD_BYTES, Format, Unread, recognised
from .planes import is_misread
from .tiff_tags import Directory, TiffImages, images_of

Access = Literal["sequential", "random"]

# libvips would cache its latest operations, and with them their images and open files.
pyvips.cache_set_max(0)
# A codec that libheif knows, but was built without.
_MISSING = re.compile(r"has not been built in: (\w+)")
_NO_CODEC = re.compile(r"(\w+) compression support is not configured")


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
            load(self, "sequential")
            raise

    @property
    def directory(self) -> Directory | None:
        """The tags of that image of a TIFF which is the photo; None for other formats.

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


def load(opened: Encoded, access: Access, **options: Any) -> pyvips.Image:
    """An image of a file by libvips, which reads only its header.

    Raises:
        pyvips.Error: it cannot be read.
    """
    # What is wrong with this file is not what was wrong with the one before.
    forget_complaints()
    fail_on = "none" if opened.mend else opened.form.intact
    return pyvips.Operation.call(
        opened.form.loader, opened.source, access=access, fail_on=fail_on, **options
    )


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


def lacks_codec(error: pyvips.Error) -> bool:
    """Whether a file is of a compression that this libvips does not have, and so is not damaged."""
    return _NO_CODEC.search(error.detail) is not None


def what_is_wrong(error: pyvips.Error, file_format: str) -> str:
    """Whether a file is of a kind that is not read, or damaged, and what libvips says of it."""
    if missing := _MISSING.search(error.detail):
        return f"{missing[1]} is not in this libvips: convert it to JPEG"
    if codec := _NO_CODEC.search(error.detail):
        way = "compress it by deflate (gdal_translate -co COMPRESS=DEFLATE)"
        return f"is compressed by {codec[1]}, which is not in this libvips: {way}"
    if "nsupported" in error.detail:
        kind = f"is a kind of {file_format} that is not read{_reason(error)}"
        return f"{kind}: convert it to JPEG, PNG or TIFF"
    return f"is cut short, damaged or an unknown kind of {file_format}{_reason(error)}"


def _reason(error: pyvips.Error) -> str:
    """The last error message of libvips, in brackets, without the name of its function."""
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    return f" ({lines[-1].split(': ', 1)[-1]})" if lines else ""
