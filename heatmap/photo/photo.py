"""Photos in memory: files or arrays as upright RGB uint8."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError
from ..geometry import size_text
from ..region import Region
from .decoding.damage import NOTE, read_or_mended, refuse_blank
from .decoding.decode import access_of, decode, find_no_data, upright_hw_of
from .decoding.encoded import Encoded, encoded
from .decoding.limits import check_in_memory
from .decoding.values import Keep
from .doubled import doubled
from .given import EncodedBytes, Spooled, SupportsArray, decoded, is_encoded
from .no_data import NoData
from .reading import AS_IT_IS, Reading
from .rows import READ_ROWS, READING, none_made_up, resized, rows_of


# Compared by identity, since arrays do not compare to a single truth value; compare digests.
@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """A photo in memory.

    >>> Photo(np.zeros((480, 640, 3), np.uint8)).hw
    (480, 640)

    Attributes:
        pixels: RGB uint8 (H, W, 3), upright according to EXIF, contiguous, read-only. For a
            contiguous array it is a view, not a copy, and shows later changes of the array.
        path: path as given, or "" for an array.
        notes: conversions applied while reading that the user should know about.
        digest: SHA-256, in hex: of the file, or of shape and pixels of an array.
        decoded, denominator: how much of the file was decoded: "whole", 1/1.
        is_large: whether the photo is left on disk: False.
        region: the part of the photo's file that this is, or None for all of it.
        reading: how the file was read.
        no_data: which of its pixels are no photo; None if all are.

    Raises:
        PhotoError: the pixels are not an array of this dtype and shape, or are empty.
    """

    pixels: npt.NDArray[np.uint8]
    path: str = ""
    notes: tuple[str, ...] = ()
    file_digest: str = field(default="", repr=False)
    region: Region | None = None
    reading: Reading = field(default=AS_IT_IS, repr=False)
    no_data: NoData | None = field(default=None, repr=False)
    decoded: ClassVar[str] = "whole"
    denominator: ClassVar[int] = 1
    is_large: ClassVar[bool] = False

    def __repr__(self) -> str:
        """One line: ``Photo cat.jpg, 640 x 480 px``."""
        return f"Photo {self.path or '(in memory)'}, {size_text(self.hw)}"

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
        """SHA-256 of the file, or of shape and pixels of an array, in hex."""
        return self.file_digest or pixels_digest(self.hw, [self.pixels])

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def whole_hw(self) -> tuple[int, int]:
        """Height and width of the whole photo, px, of which this may be a region."""
        return self.region.whole_hw if self.region else self.hw

    def strips(
        self,
        height: int = READ_ROWS,
        *,
        first: int = 0,
        columns: tuple[int, int] | None = None,
        scaled_hw: tuple[int, int] | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """The photo in strips of rows, from top to bottom.

        Args:
            height: rows per strip; the last may have fewer.
            first: the first row.
            columns: first column and end (exclusive); None is all.
            scaled_hw: resize the photo to this height and width; rows and columns then
                refer to the resized photo.

        Yields:
            uint8 (<= height, columns, 3), views of the pixels where possible.

        Raises:
            GeometryError: the photo cannot be resized to this size.
        """
        if scaled_hw == (2 * self.hw[0], 2 * self.hw[1]):
            for top in range(first, scaled_hw[0], height):
                rows = doubled(self.pixels, top, min(top + height, scaled_hw[0]))
                yield rows[:, slice(*(columns or (None,)))]
            return
        if scaled_hw not in (None, self.hw):
            image = pyvips.Image.new_from_memory(
                self.pixels.data, self.hw[1], self.hw[0], 3, "uchar"
            )
            image = resized(image, scaled_hw)
            if first + height >= image.height:
                # At once, libvips computes it in all of its threads.
                left, right = columns or (0, image.width)
                with READING:
                    rest = image.crop(left, first, right - left, image.height - first).numpy()
                yield rest
            else:
                yield from rows_of(image, height, first, columns)
            return
        for top in range(first, self.hw[0], height):
            yield self.pixels[top : top + height, slice(*(columns or (None,)))]


def pixels_digest(hw: tuple[int, int], strips: Iterable[npt.NDArray[np.uint8]]) -> str:
    """SHA-256 of a photo's shape and pixels, in hex."""
    whole = hashlib.sha256(f"{hw[0]} x {hw[1]} x 3\n".encode())
    for strip in strips:
        whole.update(np.ascontiguousarray(strip).data.cast("B"))
    return whole.hexdigest()


def read_photo(
    source: str | Path | EncodedBytes | SupportsArray | Photo,
    region: Region | None = None,
    reading: Reading = AS_IT_IS,
) -> Photo:
    """Read a photo from a file, or take one that is in memory.

    >>> read_photo("cat.jpg").pixels  # doctest: +SKIP
    >>> read_photo(np.zeros((480, 640), np.float32)).pixels.shape
    (480, 640, 3)

    Files may be JPEG, PNG, WebP, TIFF, GIF, AVIF, BMP, PPM or JPEG 2000. They are turned upright
    according to EXIF and converted to 8-bit sRGB; transparency is composited over white; of several
    frames the first is taken. 16-bit values are reduced by the depth that they use, float values
    are taken as 0..1 if none is above 1, otherwise as 0..255. docs/reference/photos.md has more.

    What is in memory becomes what a file with the same values would. Channels are red, green, blue:
    that an array has blue first (as OpenCV reads files) cannot be seen; turn it by
    ``array[..., ::-1]``. Arrays are not changed.

    Args:
        source: a path; the bytes of a file, or an open binary file; an image of PIL; an array
            (H, W) or (H, W, C) of 1, 3 or 4 channels, uint8, uint16 or float in 0..1, the fourth
            channel being opacity; a tensor of torch (C, H, W) of such values; or a Photo, which is
            returned as it is.
        region: the part of it to read.
        reading: how values are read, where they leave a choice.

    Returns:
        The photo, all of it in memory.

    Raises:
        PhotoError: the file does not exist, is not an image, or is truncated; or values, axes or
            channels are of unknown meaning, such as a float array above 1 or an array (3, H, W).
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, (str, Path)):
        return read_file(source, region, reading, in_memory)
    if is_encoded(source):
        spooled = Spooled(source)
        with spooled.unnamed_errors():
            return replace(read_file(spooled.path, region, reading, in_memory), path="")
    pixels, notes, no_data = decoded(source, region, reading)
    return Photo(pixels, "", notes, "", region, reading, no_data)


def read_file(path: str | Path, region: Region | None, reading: Reading, keep: Keep) -> Photo:
    """As :func:`read_photo` of a file; ``keep`` is as in :func:`decoding.decode.decode`."""
    with READING, encoded(Path(path), reading) as opened:
        hw = region.hw if region else upright_hw_of(opened)
        check_in_memory(opened.file_format, hw, reading.max_pixels)
        access = access_of(opened, region)
        pixels, notes = decoded_pixels(
            opened, lambda file: decode(file, access, keep, region=region)
        )
        no_data, notes = find_no_data(
            opened.mended if NOTE in notes else opened, access, notes, region
        )
        return Photo(pixels, str(path), notes, opened.digest(), region, reading, no_data)


def decoded_pixels(
    opened: Encoded, decoding: Callable[[Encoded], tuple[pyvips.Image, tuple[str, ...]]]
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """All pixels of an open file, and the notes on it; of a damaged one as far as it goes.

    Args:
        opened: the file.
        decoding: gives the image, not yet computed, and notes, as :func:`decoding.decode.decode`.

    Raises:
        PhotoError: the file is damaged, and is to be refused, or nothing of it can be read.
        pyvips.Error: the file is damaged, and its format leaves nothing to mend.
    """

    def compute(file: Encoded) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
        image, notes = decoding(file)
        with none_made_up(image):
            return image.numpy(), notes

    (pixels, notes), damage = read_or_mended(opened, compute)
    if damage:
        refuse_blank([pixels])
    return pixels, (*notes, *damage)


def in_memory(image: pyvips.Image) -> pyvips.Image:
    """The image computed and kept in memory, so that it can be read again."""
    with none_made_up(image):
        return image.copy_memory()
