"""Photos in memory: any file or array to upright RGB uint8."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError
from .decode import decode, encoded
from .rows import READ_ROWS, READING, refuse_painted_tiles, resized, rows_of


# Compared by identity: arrays do not compare to one truth value, digests do.
@dataclass(frozen=True, eq=False)
class Photo:
    """A photo in memory.

    >>> Photo(np.zeros((480, 640, 3), np.uint8)).hw
    (480, 640)

    Attributes:
        pixels: RGB uint8 (H, W, 3), EXIF-upright, contiguous, read-only. Of a contiguous
            array given by a caller it is a view, not a copy: it shows what the caller
            writes later.
        path: as given, or "" for an array.
        notes: what the reader did that a person should know.

    Raises:
        PhotoError: pixels of another type, dtype or shape, or with a side of 0.
    """

    pixels: npt.NDArray[np.uint8]
    path: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given: object = self.pixels
        if not isinstance(given, np.ndarray):
            raise PhotoError(
                f"photo is a {type(given).__name__}: give a path or an RGB uint8 array (H, W, 3)"
            )
        if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3 or not given.size:
            raise PhotoError(
                f"photo is a {given.dtype} array of shape {given.shape}: "
                "give RGB uint8 (H, W, 3), at least 1 x 1 px"
            )
        pixels = np.ascontiguousarray(given).view(np.ndarray)
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, in hex: equal for photos of the same content."""
        whole = digest_of(self.hw)
        whole.update(self.pixels.data.cast("B"))
        return whole.hexdigest()

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def strips(
        self,
        height: int = READ_ROWS,
        *,
        first: int = 0,
        columns: tuple[int, int] | None = None,
        scaled_hw: tuple[int, int] | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Rows from top to bottom, uint8 (<= height, W, 3) each: views where they can be.

        With ``scaled_hw`` of the photo resized to that; ``first`` row and ``columns``
        (from, to) then count there.

        Raises:
            GeometryError: a size that a photo cannot be resized to.
        """
        if scaled_hw not in (None, self.hw):
            image = pyvips.Image.new_from_memory(
                self.pixels.data, self.hw[1], self.hw[0], 3, "uchar"
            )
            yield from rows_of(resized(image, scaled_hw), height, first, columns)
            return
        for top in range(first, self.hw[0], height):
            yield self.pixels[top : top + height, slice(*(columns or (None,)))]


def digest_of(hw: tuple[int, int]) -> hashlib._Hash:
    """The digest of a photo of this size, before its pixels are added to it."""
    return hashlib.sha256(f"{hw[0]} x {hw[1]} x 3\n".encode())


def read_photo(source: str | Path | npt.NDArray[np.uint8] | Photo) -> Photo:
    """Read a photo from a file, or take an RGB uint8 array (H, W, 3) as one.

    >>> read_photo("cat.jpg").pixels  # doctest: +SKIP

    Files are JPEG, PNG, WebP, TIFF, GIF or HEIF/AVIF of any kind that has one meaning
    as a photo: they are turned upright and brought to 8-bit sRGB, transparency is laid
    over white, and of several frames the first is taken. Float values are taken as
    0..1 where none is above 1, else as 0..255. The caller's array is not changed.

    Args:
        source: a path, an array, or a photo, which is given back as it is.

    Returns:
        The photo, all of it in memory.

    Raises:
        PhotoError: no such file, no image, one that is cut short, has values or
            channels of unknown meaning, or an array that is not uint8 (H, W, 3).
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, (str, Path)):
        return _read_file(Path(source), str(source))
    return Photo(source)


def _read_file(path: Path, given: str) -> Photo:
    with READING, encoded(path) as opened:
        image, notes = decode(opened.source, "sequential", _in_memory)
        pixels = image.numpy()
        refuse_painted_tiles()
    return Photo(pixels, given, notes)


def _in_memory(image: pyvips.Image) -> pyvips.Image:
    copied = image.copy_memory()
    # Now: most calls of pyvips clear what was noted.
    refuse_painted_tiles()
    return copied
