"""Photos that stay on disk and are read a few rows at a time, with the pixels of :mod:`photo`.

Tiled TIFFs are read in any order; JPEG, PNG and other TIFFs from the top, again for each pass.
Photos that cannot be read so (rotated by EXIF, progressive or interlaced, read twice because of
transparency, or of a format whose decoder holds the whole image) are first written to a temporary
tiled TIFF.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError, reason_of
from ..region import Region
from ..room import lack_of_room
from .decoding.damage import NOTE, check_mendable, read_or_mended, refuse_blank
from .decoding.decode import (
    access_of,
    decode,
    find_no_data,
    is_interlaced,
    is_tiled,
    open_image,
    upright_hw_of,
)
from .decoding.encoded import Access, Encoded, encoded, naming
from .photo import Photo, read_file, read_photo
from .reading import AS_IT_IS, Reading
from .rows import MENDED, READ_ROWS, READING, none_made_up, resized, rows_of

LARGE_PX = 32 * 2**20  # 96 MB as RGB; smaller photos are read whole
_TILE_PX = 256


class _DamageMetError(Exception):
    """Rows could not be read, and will be made up."""


class PhotoFile:
    """A photo whose pixels stay in its file; the counterpart of :class:`photo.Photo`.

    A temporary copy, where one is needed, is removed with the object.

    Attributes:
        path: path as given.
        hw: height and width of the upright photo, px.
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
            (image, self._notes), self._damage = read_or_mended(opened, self._decoded)
            if self._damage:
                refuse_blank(rows_of(image))
            (self.no_data, self._notes), damage = read_or_mended(
                opened.mended if self._damage else opened,
                lambda file: find_no_data(file, access_of(file, region), self._notes, region),
            )
            self._damage = self._damage or damage
        self.hw: tuple[int, int] = (image.height, image.width)
        self._format = opened.file_format
        self._stamp = opened.stamp
        self._process = os.getpid()
        # An image that is read in order serves a single pass.
        self._image = image if self._any_order else None

    def _decoded(self, opened: Encoded) -> tuple[pyvips.Image, tuple[str, ...]]:
        """The image, copied to disk where it cannot be read in order, and notes."""
        tiled = is_tiled(opened)
        spool = Spool(in_order=not tiled)
        access: Access = "random" if tiled else "sequential"
        image, notes = decode(opened, access, spool, region=self.region)
        if not opened.by_rows or is_interlaced(open_image(opened)):
            image = spool(image)
        self._any_order = not spool.in_order
        return image, notes

    @property
    def notes(self) -> tuple[str, ...]:
        """Conversions applied while reading that the user should know about.

        That the file is damaged may only be known once its rows were read.
        """
        return (*self._notes, *self._damage)

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
        size_hw, row = scaled_hw or self.hw, first
        while row < size_hw[0]:
            # Where damage is met, the next pass takes the file as far as it goes.
            with suppress(_DamageMetError), self._pass() as image:
                for strip in rows_of(resized(image, size_hw), height, row, columns):
                    row += len(strip)
                    yield strip

    @contextmanager
    def _pass(self) -> Iterator[pyvips.Image]:
        """The image, for one pass from top to bottom.

        Raises:
            _DamageMetError: the file is damaged, and the next pass will take it as it is.
        """
        image, met = self._image, None
        # A forked process would share its place in the open file with the one that opened it.
        if image is not None and self._process == os.getpid():
            with naming(self._file, self._format):
                try:
                    yield image
                except pyvips.Error as error:
                    met = error
        else:
            with encoded(self._file, self.reading) as opened:
                self._check_unchanged(opened)
                with READING:
                    image = self._decoded(opened.mended if self._damage else opened)[0]
                try:
                    yield image
                except pyvips.Error as error:
                    met = error
        if met is not None:
            self._take_or_refuse(met, image)
            raise _DamageMetError from met

    def _take_or_refuse(self, error: pyvips.Error, image: pyvips.Image) -> None:
        """From now on take the file as far as it goes, if that may be."""
        with READING, encoded(self._file, self.reading) as opened:
            self._check_unchanged(opened)
            check_mendable(opened.mended if image.get_typeof(MENDED) else opened, error)
            mended = self._decoded(opened.mended)[0]
            refuse_blank(rows_of(mended))
            if self._image is not None:
                self._image = mended
        self._damage = (NOTE,)

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
    large = is_larger(Path(path), LARGE_PX)
    if not large:
        return read_photo(path, region, reading)
    if region is None or not fits_memory(region.hw):
        return PhotoFile(path, region, reading)
    # Where all of the photo must be read for its region, it goes through the disk.
    with READING, encoded(Path(path), reading) as opened:
        tiled = is_tiled(opened)
    return read_file(path, region, reading, Spool(in_order=not tiled))


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
        return upright_hw_of(opened)


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
            with none_made_up(image):
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
    needed = tiles * _TILE_PX**2 * image.bands
    lack = lack_of_room(needed, Path(tempfile.gettempdir()))
    if lack:
        raise PhotoError(
            f"cannot be read in order, a temporary copy takes {lack}: "
            "set TMPDIR to a folder with room"
        )
