"""What the tags of a TIFF say of its images: the one reader of tags. No pixels are read.

A TIFF is a chain of images (pages), each with a directory of tags; below a page there may be more
images (SubIFDs). Codes and values are those of TIFF 6.0, its supplements and DNG 1.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import PhotoError
from ...geometry import size_text
from ...quiet import listening

if TYPE_CHECKING:
    import tifffile

# Copies and masks stand near the page that they belong to; a stack may have thousands of pages.
MOST_PAGES = 64
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _SAMPLE_FORMAT = 256, 257, 258, 277, 339
_PHOTOMETRIC, _EXTRA_SAMPLES, _SMAX_SAMPLE_VALUE = 262, 338, 341
_COMPRESSION, _PLANAR, _TILE_WIDTH, _SUBSAMPLING = 259, 284, 322, 530
_ORIENTATION = 274
_SEPARATE = 2  # a value of PlanarConfiguration
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _DNG_VERSION = 254, 255, 50706
_GDAL_NODATA = 42113
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # a value of SubfileType
WHITE_IS_ZERO = 0
_UNREAD_COLOURS = {
    8: "Lab colours (CIELAB)",
    9: "Lab colours (ICCLAB)",
    10: "Lab colours (ITULAB)",
    32844: "LogL luminance",
    32845: "LogLuv colours",
}
_RAW = (32803, 34892)  # a colour filter array; linear sensor values


@dataclass(frozen=True)
class Directory:
    """The tags of one image of a TIFF.

    Attributes:
        page: its place in the chain of pages.
        below: its place among the images below that page; None where it is the page itself.
        hw: height and width as stored, px.
        samples: values of each pixel, colours and others.
        bits: of each value; of values of several depths the largest.
        kind: SampleFormat: 1 whole numbers, 2 with sign, 3 float.
        photometric: what the values mean; None where no tag says it.
        extra: what the last values are, ExtraSamples: 1, 2 are transparency, 0 is not said.
        highest: the largest value that there can be (SMaxSampleValue), or None.
        compression: of its pixels.
        separate: whether each band is stored as a plane of its own.
        tiled: whether it is stored in tiles.
        subsampling: of the chroma of YCbCr, across and down.
        orientation: how it is turned upright, as EXIF says it.
        reduced: whether it is marked as a smaller copy of another.
        mask: whether it is marked as the transparency mask of another.
        dng: whether it says that the file is a camera raw of Adobe's format.
        nodata: GDAL's tag of the value of pixels that are no photo; "" where there is none.
    """

    page: int
    below: int | None
    hw: tuple[int, int]
    samples: int
    bits: int
    kind: int
    photometric: int | None
    extra: tuple[int, ...]
    highest: float | None
    compression: int
    separate: bool
    tiled: bool
    subsampling: tuple[int, ...]
    orientation: int
    reduced: bool
    mask: bool
    dng: bool
    nodata: str = ""

    @property
    def options(self) -> dict[str, int]:
        """Where libvips finds the image."""
        below = {} if self.below is None else {"subifd": self.below}
        return {"page": self.page, **below} if self.page or below else {}

    def holds_as(self, other: Directory) -> bool:
        """Whether its values are as those of another image: of so many bands and this type."""
        return (self.samples, self.bits, self.kind) == (other.samples, other.bits, other.kind)

    def is_copy_of(self, other: Directory) -> bool:
        """Whether it is as another image, made smaller, by its header; rounded up or down."""
        (height, width), (high, wide) = self.hw, other.hw
        in_step = abs(height * wide - width * high) <= high + wide
        return self.holds_as(other) and in_step and height < high and width < wide


@dataclass(frozen=True)
class TiffImages:
    """The images of a TIFF: the first pages, each followed by those below it.

    Attributes:
        listed: their directories.
    """

    listed: tuple[Directory, ...]

    @property
    def photo(self) -> Directory:
        """The image that is the photo: the first, unless it is marked as a copy or mask.

        Raises:
            PhotoError: it is of a kind that is not read.
        """
        first = self.listed[0]
        full = [image for image in self.listed if not image.reduced and not image.mask]
        if not (first.reduced or first.mask):
            chosen = first
        elif full:
            chosen = max(full, key=lambda image: image.hw[0] * image.hw[1])
        else:
            raise PhotoError(
                f"holds only a smaller copy of a photo, {size_text(first.hw)} "
                "(NewSubfileType): give the photo itself"
            )
        _check_read(chosen, is_dng=any(image.dng for image in self.listed))
        return chosen

    @property
    def photo_mask(self) -> Directory | None:
        """The mask that says where the photo has pixels, of its size; None if there is none."""
        photo = self.photo
        masks = (
            image
            for image in self.listed
            if image.mask and not image.reduced and image.hw == photo.hw and image.below is None
        )
        return next(masks, None) if photo.below is None else None

    @property
    def copies(self) -> list[Directory]:
        """Those that may be smaller copies of the photo, in order: below it, or the next pages."""
        photo = self.photo
        below = [
            image for image in self.listed if image.page == photo.page and image.below is not None
        ]
        after = [image for image in self.listed if image.page > photo.page and image.below is None]
        found = below if photo.below is None and below else after
        return [image for image in found if not image.mask and image.holds_as(photo)]

    def frames(self, pages: int) -> int:
        """How many of all pages are photos of their own, not copies or masks."""
        photo = self.photo
        others = [
            image
            for image in self.listed
            if image.below is None and (image.reduced or image.mask or image.is_copy_of(photo))
        ]
        return max(pages - len(others), 1)


def _check_read(image: Directory, *, is_dng: bool) -> None:
    size = size_text(image.hw)
    if image.photometric in _RAW:
        kind = "camera raw (DNG)" if is_dng else "camera raw"
        raise PhotoError(
            f"is {kind}, whose full image ({size}) is not read: convert it to TIFF or JPEG"
        )
    if image.photometric in _UNREAD_COLOURS:
        colours = _UNREAD_COLOURS[image.photometric]
        raise PhotoError(f"is a TIFF of {colours}, which is not read: convert it to RGB")
    if image.bits > 32:
        raise PhotoError(
            f"has values of {image.bits} bits, which are not read: convert it to float "
            "(gdal_translate -ot Float32)"
        )


def images_of(path: Path, stamp: tuple[int, ...]) -> TiffImages:
    """What the tags of a TIFF say of its first :data:`MOST_PAGES` pages.

    Args:
        path: the file.
        stamp: its state; the same tags are not read twice.

    Raises:
        PhotoError: the tags cannot be read.
    """
    return _images(path, stamp)


@lru_cache(maxsize=16)
def _images(path: Path, _: tuple[int, ...]) -> TiffImages:
    with opened_tiff(path, "TIFF tags") as (file, _complaints):
        listed = [
            directory
            for index, page in enumerate(_first_pages(file))
            for directory in (_directory(page, index), *_below(page, index))
        ]
    return TiffImages(tuple(listed))


@contextmanager
def opened_tiff(
    path: Path, sought: str, way_out: str = ""
) -> Iterator[tuple[tifffile.TiffFile, list[str]]]:
    """A TIFF whose tags are read in the block, and the list of what tifffile complains of.

    Raises:
        PhotoError: in place of any exception in the block: tifffile raises many kinds of them on
            damaged files. ``sought`` says what could not be read.
    """
    # Takes a while to import, and most photos are no TIFF.
    import tifffile

    with listening("tifffile") as complaints:
        try:
            with tifffile.TiffFile(path) as file:
                yield file, complaints
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            way = f": {way_out}" if way_out else ""
            raise PhotoError(f"{sought} cannot be read ({reason}){way}") from error


def page_of(file: tifffile.TiffFile, image: Directory) -> Any:
    """The page of tifffile that is an image."""
    page: Any = file.pages[image.page]
    return page if image.below is None else page.pages[image.below]


def _first_pages(file: tifffile.TiffFile) -> Iterator[Any]:
    """Pages whose tags are read, until one is damaged; the first must not be."""
    from tifffile import TiffPage

    yield file.pages.first
    for index in range(1, MOST_PAGES):
        try:
            page = file.pages[index]
        # There is none, or it is damaged, as libvips will say where it matters.
        except Exception:
            return
        # Of a series of alike pages tifffile gives frames, without tags.
        yield page if isinstance(page, TiffPage) else page.aspage()


def _below(page: Any, index: int) -> Iterator[Directory]:
    """The directories of the images below a page, until one is damaged."""
    if not page.subifds:
        return
    for place, image in enumerate(islice(page.pages, MOST_PAGES)):
        try:
            yield _directory(image, index, place)
        except Exception:
            return


def _directory(page: Any, index: int, below: int | None = None) -> Directory:
    def numbers(code: int) -> tuple[float, ...]:
        return _numbers(page.tags.get(code))

    def whole(code: int, default: int) -> int:
        return int(next(iter(numbers(code)), default))

    subfile = whole(_NEW_SUBFILE_TYPE, 0)
    return Directory(
        page=index,
        below=below,
        hw=(whole(_HEIGHT, 0), whole(_WIDTH, 0)),
        samples=whole(_SAMPLES, 1),
        bits=int(max(numbers(_BITS), default=1)),
        kind=whole(_SAMPLE_FORMAT, 1),
        photometric=whole(_PHOTOMETRIC, -1) if numbers(_PHOTOMETRIC) else None,
        extra=tuple(map(int, numbers(_EXTRA_SAMPLES))),
        highest=max(numbers(_SMAX_SAMPLE_VALUE), default=None),
        compression=whole(_COMPRESSION, 1),
        separate=whole(_PLANAR, 1) == _SEPARATE,
        tiled=bool(numbers(_TILE_WIDTH)),
        subsampling=tuple(map(int, numbers(_SUBSAMPLING))) or (2, 2),
        orientation=whole(_ORIENTATION, 1),
        reduced=bool(subfile & _REDUCED) or whole(_SUBFILE_TYPE, 0) == _OLD_REDUCED,
        mask=bool(subfile & _MASK),
        dng=_DNG_VERSION in page.tags,
        nodata=str(page.tags[_GDAL_NODATA].value).strip() if _GDAL_NODATA in page.tags else "",
    )


def _numbers(tag: tifffile.TiffTag | None) -> tuple[float, ...]:
    """The values of a tag; () where there is none, or they are no finite numbers."""
    value = () if tag is None else tag.value
    values = value if isinstance(value, tuple | list) else (value,)
    try:
        found = tuple(float(number) for number in values)
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(abs(number) < float("inf") for number in found) else ()
