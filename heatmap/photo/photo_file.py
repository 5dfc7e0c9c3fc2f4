"""Photos that stay on disk and are read a few rows at a time, with the pixels of :mod:`photo`.

Tiled TIFFs are read in any order; JPEG, PNG and other TIFFs from the top, again for each pass.
Photos that cannot be read so (rotated by EXIF, progressive or interlaced, read twice because of
transparency or float values, or of a format whose decoder holds the whole image) are first
written to a temporary tiled TIFF.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError, reason_of
from ..files import lack_of_room
from ..region import Region
from .decode import (
    Access,
    Encoded,
    decode,
    encoded,
    find_no_data,
    is_interlaced,
    is_tiled,
    naming,
    open_image,
    upright_hw_of,
)
from .photo import Photo, read_photo
from .reading import AS_IT_IS, Reading
from .rows import READ_ROWS, READING, forget_complaints, resized, rows_of

LARGE_PX = 32 * 2**20  # 96 MB as RGB; smaller photos are read whole
_TILE_PX = 256
_VALUE_BYTES = {"uchar": 1, "ushort": 2, "float": 4}
# The decoders of the other formats always hold the whole image.
_READ_BY_ROWS = ("JPEG", "PNG", "TIFF")


class PhotoFile:
    """A photo whose pixels stay in its file; the counterpart of :class:`photo.Photo`.

    A temporary copy, where one is needed, is removed with the object.

    Attributes:
        path: path as given.
        hw: height and width of the upright photo, px.
        notes: conversions applied while reading that the user should know about.
        digest, decoded, denominator: as of :class:`photo.Photo`.
        is_large: True.
        region, reading, no_data: as of :class:`photo.Photo`.

    Raises:
        PhotoError: as :func:`photo.read_photo`, except for damage found only when rows are
            read; or the temporary folder has no room.
    """

    decoded: ClassVar[str] = "whole"
    denominator: ClassVar[int] = 1
    is_large: ClassVar[bool] = True

    def __init__(
        self,
        source: str | Path,
        region: Region | None = None,
        reading: Reading = AS_IT_IS,
    ) -> None:
        self.path = str(source)
        self.region = region
        self.reading = reading
        self._file = Path(source)
        with READING, encoded(self._file, reading) as opened:
            tiled = is_tiled(opened)
            spool = Spool(in_order=not tiled)
            interlaced = is_interlaced(open_image(opened.source))
            access: Access = "random" if tiled else "sequential"
            image, notes = decode(opened, access, spool, region=region)
            self.no_data, self.notes = find_no_data(opened, access, notes, region)
            if interlaced or opened.file_format not in _READ_BY_ROWS:
                image = spool(image)
        self.hw: tuple[int, int] = (image.height, image.width)
        self._format = opened.file_format
        self._stamp = opened.stamp
        self._process = os.getpid()
        # An image that is read in order serves a single pass.
        self._image = None if spool.in_order else image

    @property
    def whole_hw(self) -> tuple[int, int]:
        """As of :class:`photo.Photo`."""
        return self.region.whole_hw if self.region else self.hw

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, in hex.

        Raises:
            PhotoError: the file has changed, or cannot be read.
        """
        with encoded(self._file) as opened:
            self._check_unchanged(opened)
            return opened.digest()

    def strips(
        self,
        height: int = READ_ROWS,
        *,
        first: int = 0,
        columns: tuple[int, int] | None = None,
        scaled_hw: tuple[int, int] | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """The photo in strips of rows, from top to bottom, read on demand.

        Args:
            height, first, columns, scaled_hw: as in :meth:`photo.Photo.strips`.

        Yields:
            uint8 (<= height, columns, 3).

        Raises:
            PhotoError: the file is damaged, or has changed.
            GeometryError: the photo cannot be resized to this size.
        """
        size_hw = scaled_hw or self.hw
        with self._pass() as image:
            yield from rows_of(resized(image, size_hw), height, first, columns)

    @contextmanager
    def _pass(self) -> Iterator[pyvips.Image]:
        """The image, for one pass from top to bottom."""
        # A forked process would share its place in the open file with the one that opened it.
        if self._image is not None and self._process == os.getpid():
            with naming(self._file, self._format):
                forget_complaints()
                yield self._image
            return
        with encoded(self._file, self.reading) as opened:
            self._check_unchanged(opened)
            with READING:
                spool = Spool(in_order=True)
                image = decode(opened, "sequential", spool, region=self.region)[0]
            yield image

    def _check_unchanged(self, opened: Encoded) -> None:
        if opened.stamp != self._stamp:
            raise PhotoError("has changed since it was opened: start again")


def open_whole(
    path: str | Path, region: Region | None = None, reading: Reading = AS_IT_IS
) -> Photo | PhotoFile:
    """A photo, or a region, at its full size; of more than ``LARGE_PX`` pixels it stays on disk.

    Raises:
        PhotoError: as :func:`photo.read_photo`, or the temporary folder has no room.
    """
    large = not fits_memory(region.hw) if region else is_larger(Path(path), LARGE_PX)
    return PhotoFile(path, region, reading) if large else read_photo(path, region, reading)


def fits_memory(hw: tuple[int, int]) -> bool:
    """Whether a photo of this height and width, px, is read whole."""
    return math.prod(hw) <= LARGE_PX


def is_larger(path: Path, pixels: int) -> bool:
    """Whether a photo has more than ``pixels`` pixels by its header; False if unreadable."""
    try:
        return math.prod(upright_hw(path)) > pixels
    except PhotoError:
        return False


def upright_hw(path: Path) -> tuple[int, int]:
    """Height and width of the upright photo, px, from its header, without decoding pixels.

    Raises:
        PhotoError: no such file, or not an image.
    """
    with READING, encoded(path) as opened:
        return upright_hw_of(open_image(opened.source))


class Spool:
    """Copies an image that is read in order to disk, once, so that it can be read in any order."""

    def __init__(self, *, in_order: bool) -> None:
        self.in_order = in_order

    def __call__(self, image: pyvips.Image) -> pyvips.Image:
        if self.in_order:
            image = _on_disk(image)
            self.in_order = False
        return image


def _on_disk(image: pyvips.Image) -> pyvips.Image:
    """The same image, computed once and read from a temporary file that is removed with it."""
    try:
        _check_room(image)
        # A file without a name: its space is freed however the process ends.
        with tempfile.TemporaryFile(prefix="heatmap.") as file:
            target = pyvips.Target.new_to_descriptor(file.fileno())
            # TIFF's own limit is 4 GB.
            image.tiffsave_target(
                target, tile=True, tile_width=_TILE_PX, tile_height=_TILE_PX, bigtiff=True
            )
            source = pyvips.Source.new_from_descriptor(file.fileno())
            return pyvips.Image.tiffload_source(source, fail_on="error")
    except OSError as error:
        raise PhotoError(
            f"a temporary copy cannot be written: {reason_of(error)}: "
            "set TMPDIR to a folder with room"
        ) from error


def _check_room(image: pyvips.Image) -> None:
    tiles = -(-image.width // _TILE_PX) * -(-image.height // _TILE_PX)
    needed = tiles * _TILE_PX**2 * image.bands * _VALUE_BYTES[image.format]
    lack = lack_of_room(needed, Path(tempfile.gettempdir()))
    if lack:
        raise PhotoError(
            f"cannot be read in order, a temporary copy takes {lack}: "
            "set TMPDIR to a folder with room"
        )
