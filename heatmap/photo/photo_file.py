"""Photos that stay on disk: the same pixels as :mod:`photo` reads, a few rows at a time.

Tiled TIFFs are read at any place; JPEG, PNG and other TIFFs from the top, anew for each
pass. What cannot be read in order (turned by EXIF, progressive or interlaced, gone
through twice for transparency or float values, or of a format whose decoder holds the
whole image) is first written to a temporary tiled TIFF.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError, reason_of
from ..files import lack_of_room
from .decode import (
    Encoded,
    decode,
    encoded,
    is_interlaced,
    is_tiled,
    naming,
    open_image,
    upright_hw_of,
)
from .photo import Photo, digest_of, read_photo
from .rows import READ_ROWS, READING, forget_complaints, resized, rows_of

LARGE_PX = 32 * 2**20  # 96 MB as RGB; smaller photos are read whole
_TILE_PX = 256
_VALUE_BYTES = {"uchar": 1, "ushort": 2, "float": 4}
# The other formats' decoders hold the whole image whatever is asked of them.
_READ_BY_ROWS = ("JPEG", "PNG", "TIFF")


class PhotoFile:
    """A photo whose pixels stay in its file; see :class:`photo.Photo` for their meaning.

    ``path`` is as given, ``hw`` height and width in px, ``notes`` say what the reader
    does to the pixels. A temporary copy, where one is needed, goes with the object.

    Raises:
        PhotoError: as :func:`photo.read_photo`, damage further down excepted; or the
            temporary folder has no room.
    """

    def __init__(self, source: str | Path) -> None:
        self.path = str(source)
        self._file = Path(source)
        with READING, encoded(self._file) as opened:
            tiled = is_tiled(opened)
            spool = _Spool(in_order=not tiled)
            interlaced = is_interlaced(open_image(opened.source))
            image, self.notes = decode(opened.source, "random" if tiled else "sequential", spool)
            if interlaced or opened.file_format not in _READ_BY_ROWS:
                image = spool(image)
        self.hw: tuple[int, int] = (image.height, image.width)
        self._format = opened.file_format
        self._stamp = opened.stamp
        # One that is read in order is good for one pass only.
        self._image = None if spool.in_order else image
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """As :attr:`photo.Photo.digest`; reads the file through unless a pass already has.

        Raises:
            PhotoError: the file is damaged, or was changed.
        """
        if self._digest is None:
            for _ in self.strips():
                pass
        assert self._digest is not None
        return self._digest

    def strips(
        self,
        height: int = READ_ROWS,
        *,
        first: int = 0,
        columns: tuple[int, int] | None = None,
        scaled_hw: tuple[int, int] | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Rows from top to bottom, uint8 (<= height, W, 3) each, read as they are asked for.

        Parameters as those of :meth:`photo.Photo.strips`.

        Raises:
            PhotoError: the file is damaged there, or was changed.
            GeometryError: a size that a photo cannot be resized to.
        """
        size_hw = scaled_hw or self.hw
        left, right = columns or (0, size_hw[1])
        # A file that is read in order is decoded at full width whatever is asked of it.
        full = self._image is None or (left, right) == (0, self.hw[1])
        if self._digest is None and first == 0 and size_hw == self.hw and full:
            return (strip[:, left:right] for strip in self._digesting(height))
        return self._rows(height, first, (left, right), size_hw)

    def _rows(
        self, height: int, first: int, columns: tuple[int, int], size_hw: tuple[int, int]
    ) -> Iterator[npt.NDArray[np.uint8]]:
        with self._pass() as image:
            yield from rows_of(resized(image, size_hw), height, first, columns)

    @contextmanager
    def _pass(self) -> Iterator[pyvips.Image]:
        """The image, for one pass from top to bottom."""
        if self._image is not None:
            with naming(self._file, self._format):
                forget_complaints()
                yield self._image
            return
        with encoded(self._file) as opened:
            self._check_unchanged(opened)
            with READING:
                image = decode(opened.source, "sequential", _Spool(in_order=True))[0]
            yield image

    def _check_unchanged(self, opened: Encoded) -> None:
        if opened.stamp != self._stamp:
            raise PhotoError("was changed since it was opened: start again")

    def _digesting(self, height: int) -> Iterator[npt.NDArray[np.uint8]]:
        whole = digest_of(self.hw)
        for strip in self._rows(height, 0, (0, self.hw[1]), self.hw):
            whole.update(strip.data.cast("B"))
            yield strip
        self._digest = whole.hexdigest()


# What a photo to be scored may be given as: a path, RGB uint8 (H, W, 3), or one opened before.
PhotoSource: TypeAlias = str | Path | npt.NDArray[np.uint8] | Photo | PhotoFile


def open_photo(source: PhotoSource) -> Photo | PhotoFile:
    """A photo to be scored: left on disk where the file holds more than ``LARGE_PX`` pixels.

    Raises:
        PhotoError: as :func:`photo.read_photo`, or the temporary folder has no room.
    """
    if isinstance(source, PhotoFile):
        return source
    if isinstance(source, (str, Path)) and _pixels(Path(source)) > LARGE_PX:
        return PhotoFile(source)
    return read_photo(source)


def is_larger(path: Path, pixels: int) -> bool:
    """Whether a file holds more pixels, by its header; not where it cannot be read."""
    try:
        return _pixels(path) > pixels
    except PhotoError:
        return False


def upright_hw(path: Path) -> tuple[int, int]:
    """Height and width of the upright photo, px, by its header: the pixels are not decoded.

    Raises:
        PhotoError: no such file, or no image.
    """
    with READING, encoded(path) as opened:
        return upright_hw_of(open_image(opened.source))


def _pixels(path: Path) -> int:
    with READING, encoded(path) as opened:
        image = open_image(opened.source)
        return int(image.width * image.height)


class _Spool:
    """Copies an image that is read in order to disk, at most once; then it is read anywhere."""

    def __init__(self, *, in_order: bool) -> None:
        self.in_order = in_order

    def __call__(self, image: pyvips.Image) -> pyvips.Image:
        if self.in_order:
            image = _on_disk(image)
            self.in_order = False
        return image


def _on_disk(image: pyvips.Image) -> pyvips.Image:
    """The same image, computed once and read from a temporary file that goes with it."""
    try:
        _check_room(image)
        # Has no name, or loses it at once: however the process ends, the space is freed.
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
