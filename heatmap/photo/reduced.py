"""Photos decoded at a part of their size: all that coarse scales need of a large file.

A photo of 24 megapixels that is scored at 1/4 of its size and coarser is decoded at a half. The
JPEG decoder does that in half the time, and everything after it handles a quarter of the pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import PhotoError
from ..region import Region
from .decoding.damage import NOTE
from .decoding.decode import access_of, decode, find_no_data, upright_hw_of
from .decoding.encoded import encoded
from .decoding.pages import reduction_of
from .given import EncodedBytes, Spooled, SupportsArray, given_hw, is_encoded
from .no_data import NoData
from .photo import Photo, decoded_pixels, in_memory, read_photo
from .photo_file import PhotoFile, Spool, fits_memory, open_whole, upright_hw
from .reading import AS_IT_IS, Reading
from .rows import READ_ROWS, READING

# A decoded size is at least this many times the size that is scored: the decoder's own reduction
# sharpens, and leaves out what is left over at the right and bottom, less than a decoded and so
# half a scored pixel. The rest is resized as from the whole photo. benchmarks/large.py has the
# differences that this makes.
SPARE = 2


@dataclass(frozen=True, eq=False)
class ReducedPhoto:
    """A photo file decoded at a part of its size; the whole is only read where it is asked for.

    Attributes:
        path: path as given, or "" for bytes.
        file: the file.
        hw: height and width at full size, px, upright.
        level: the photo as decoded.
        denominator: the decoded size is 1/denominator of the whole.
        decoded: how, in words.
        notes, digest: as of :class:`photo.Photo`.
    """

    path: str
    file: Path
    hw: tuple[int, int]
    level: Photo
    denominator: int
    decoded: str

    @property
    def region(self) -> Region | None:
        """The part of the photo's file that this is, or None for all of it."""
        return self.level.region

    @property
    def reading(self) -> Reading:
        """How the file was read."""
        return self.level.reading

    @property
    def no_data(self) -> NoData | None:
        """Which pixels of the photo at full size are no photo; None if all are."""
        return self.level.no_data

    @property
    def whole_hw(self) -> tuple[int, int]:
        """As of :class:`photo.Photo`."""
        return self.region.whole_hw if self.region else self.hw

    @property
    def notes(self) -> tuple[str, ...]:
        """Conversions applied while reading that the user should know about."""
        return self.level.notes

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        return self.level.digest

    @property
    def is_large(self) -> bool:
        """Whether the whole photo is left on disk."""
        return not fits_memory(self.hw)

    @cached_property
    def whole(self) -> Photo | PhotoFile:
        """The photo at its full size.

        Raises:
            PhotoError: it cannot be read, or the temporary folder has no room.
        """
        return open_whole(self.file, self.region, self.reading)

    def strips(
        self,
        height: int = READ_ROWS,
        *,
        first: int = 0,
        columns: tuple[int, int] | None = None,
        scaled_hw: tuple[int, int] | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """The photo in strips of rows, from top to bottom; of the whole only where it must be.

        Args:
            height, first, columns, scaled_hw: as in :meth:`photo.Photo.strips`.

        Yields:
            uint8 (<= height, columns, 3).

        Raises:
            PhotoError: the whole is asked for, and cannot be read.
            GeometryError: the photo cannot be resized to this size.
        """
        size_hw = scaled_hw or self.hw
        enough = all(have >= need for have, need in zip(self.level.hw, size_hw, strict=True))
        source = self.level if enough else self.whole
        return source.strips(height, first=first, columns=columns, scaled_hw=size_hw)


OpenPhoto: TypeAlias = Photo | PhotoFile | ReducedPhoto
# A photo to be scored: as `read_photo` takes it, or already opened.
PhotoSource: TypeAlias = str | Path | EncodedBytes | Spooled | SupportsArray | OpenPhoto


def open_photo(
    source: PhotoSource,
    needed_hw: tuple[int, int] | None = None,
    region: Region | None = None,
    reading: Reading = AS_IT_IS,
) -> OpenPhoto:
    """Open a photo to be scored, decoded at a part of its size if that is enough.

    Args:
        source: the photo; one already opened is returned as it is.
        needed_hw: the height and width, px, that are needed of a file; None is all.
        region: the part of a file to read; ``needed_hw`` is then of that.
        reading: how a file is read, where it leaves a choice.

    Raises:
        PhotoError: as :func:`photo.read_photo`, or the temporary folder has no room.
    """
    if isinstance(source, OpenPhoto):
        if region is not None and region != source.region:
            raise PhotoError("a region is of a photo that is not open yet: give its path or array")
        return source
    if is_encoded(source):
        return open_photo(Spooled(source), needed_hw, region, reading)
    if isinstance(source, Spooled):
        return _open_spooled(source, needed_hw, region, reading)
    if not isinstance(source, str | Path):
        return read_photo(source, region, reading)
    if needed_hw is not None:
        hw = region.hw if region else upright_hw(Path(source))
        denominator = denominator_for(hw, needed_hw)
        if denominator > 1:
            return reduced_photo(source, denominator, region, reading)
    return open_whole(source, region, reading)


def held(source: PhotoSource) -> PhotoSource:
    """The same photo, to be opened more than once: what can be read only once goes to a file.

    Raises:
        PhotoError: it cannot be read.
    """
    return Spooled(source) if is_encoded(source) else source


def whole_hw_of(source: PhotoSource) -> tuple[int, int]:
    """Height and width of a whole photo, px, upright, without decoding a file.

    Raises:
        PhotoError: it cannot be opened, or has no pixels.
    """
    if isinstance(source, OpenPhoto):
        return source.whole_hw
    if isinstance(source, Spooled):
        with source.unnamed_errors():
            return upright_hw(source.path)
    return upright_hw(Path(source)) if isinstance(source, str | Path) else given_hw(source)


def _open_spooled(
    spooled: Spooled,
    needed_hw: tuple[int, int] | None,
    region: Region | None,
    reading: Reading,
) -> OpenPhoto:
    """A photo given as bytes: without a path, and with the file that it is still read from."""
    with spooled.unnamed_errors():
        photo = open_photo(spooled.path, needed_hw, region, reading)
    # Read-only for others, not for whom it was just made.
    photo.__dict__.update(path="", spooled=spooled)
    return photo


def decoded_hw(
    scaled_hws: Iterable[tuple[int, int]], drawn_hw: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """What is needed of a photo that is scored and drawn at these sizes: height and width, px.

    >>> decoded_hw([(300, 400), (600, 800)], (1000, 1300))
    (1200, 1600)
    """
    spare = ((SPARE * height, SPARE * width) for height, width in scaled_hws)
    heights, widths = zip(drawn_hw, *spare, strict=True)
    return max(heights), max(widths)


def denominator_for(hw: tuple[int, int], needed_hw: tuple[int, int]) -> int:
    """The largest power of two by which a photo can be reduced.

    It is 1 where even the reduced photo would be too large for memory.

    Args:
        hw: height and width of the photo, px.
        needed_hw: those that the reduced photo has at least, px.

    >>> denominator_for((4000, 6000), (1000, 1500)), denominator_for((4000, 6000), (1001, 1501))
    (4, 2)
    """
    denominator = 1
    while all(map(int.__ge__, reduced_hw(hw, 2 * denominator), needed_hw)):
        denominator *= 2
    return denominator if fits_memory(reduced_hw(hw, denominator)) else 1


def reduced_hw(hw: tuple[int, int], denominator: int) -> tuple[int, int]:
    """About the height and width of a photo decoded at 1/denominator of its size, px."""
    return hw[0] // denominator, hw[1] // denominator


def reduced_photo(
    path: str | Path,
    denominator: int,
    region: Region | None = None,
    reading: Reading = AS_IT_IS,
) -> ReducedPhoto:
    """Decode a photo, or a region of it, at 1/denominator of its size; a power of two.

    Raises:
        PhotoError: as :func:`photo.read_photo`.
    """
    with READING, encoded(Path(path), reading) as opened:
        reduction = reduction_of(opened, denominator, region)
        hw = region.hw if region else upright_hw_of(opened)
        access = access_of(opened, region)
        in_order = access == "sequential"
        keep = in_memory if fits_memory(upright_hw_of(opened)) else Spool(in_order=in_order)
        pixels, notes = decoded_pixels(
            opened, lambda file: decode(file, access, keep, reduction, region)
        )
        no_data, notes = find_no_data(
            opened.mended if NOTE in notes else opened, access, notes, region
        )
        level = Photo(pixels, str(path), notes, opened.digest(), region, reading, no_data)
    how = f"at 1/{denominator} of its size, by {reduction.how}"
    return ReducedPhoto(str(path), Path(path), hw, level, denominator, how)


def name_of(photo: OpenPhoto) -> str:
    """What a photo is called where its progress is told: the name of its file, or "photo"."""
    return Path(photo.path).name or "photo"


def whole_of(photo: OpenPhoto) -> Photo | PhotoFile:
    """The photo at its full size."""
    return photo.whole if isinstance(photo, ReducedPhoto) else photo
