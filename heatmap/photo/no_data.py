"""Which pixels of a photo are no photo: GDAL's nodata, internal masks, and transparency.

They are found once, where the photo is opened, in rows at its full size, and kept as packed bits,
compressed: windows of any scale, of a region or of a photo decoded at a part of its size are judged
by the same pixels. docs/reference/photos.md says what counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyvips

from ..errors import PhotoError
from ..geometry import Geometry
from ..region import Region
from .decoding.tiff_tags import WHITE_IS_ZERO, Directory, TiffImages, opened_tiff, page_of
from .rows import READ_ROWS, rows_of

Bools: TypeAlias = npt.NDArray[np.bool_]
_Spans: TypeAlias = npt.NDArray[np.float64]

# Windows with a larger share of no data are not scored; rounding does not count.
MOST_NO_DATA = 0.5
_ROUNDING = 1e-9
# Transparency below this is more transparent than not, by the type of its values.
_HALF_OPAQUE = {"uchar": 128, "ushort": 32768}
_PALETTE, _FLOAT, _BYTE = 3, 3, 8


@dataclass(frozen=True, eq=False)
class NoData:
    """The pixels of a photo that are no photo, as they are stored in its file.

    Attributes:
        strips: bits of ``READ_ROWS`` rows each, packed and compressed; None where all is photo.
        hw: height and width of these rows, px.
        orientation: how they are turned upright, as EXIF says it.
        at: left and top of the photo (a region) in the upright rows, px.
    """

    strips: tuple[bytes | None, ...]
    hw: tuple[int, int]
    orientation: int = 1
    at: tuple[int, int] = (0, 0)
    _known: dict[Geometry, Bools] = field(default_factory=dict, repr=False)

    def mostly(self, geometry: Geometry) -> Bools:
        """Which windows show more no data than photo: bool (N, M).

        Only what lies within the photo counts, not what is reflected at its border.
        """
        if geometry not in self._known:
            self._known[geometry] = self._shares(geometry) > MOST_NO_DATA + _ROUNDING
        return self._known[geometry]

    def _shares(self, geometry: Geometry) -> npt.NDArray[np.float64]:
        """The share of no data in the part of each window that lies in the photo: (N, M), 0..1."""
        down, across = _spans(geometry)
        areas = np.outer(down[:, 1] - down[:, 0], across[:, 1] - across[:, 0])
        down, across = down + self.at[1], across + self.at[0]
        turned = self.orientation in range(5, 9)
        if turned:
            down, across = across, down
        if self.orientation in (3, 4, 6, 7):
            down = self.hw[0] - down[:, ::-1]
        if self.orientation in (2, 3, 7, 8):
            across = self.hw[1] - across[:, ::-1]
        sums = self._sums(down, across)
        sums = sums.T if turned else sums
        return np.divide(sums, areas, out=np.zeros_like(areas), where=areas > 0)

    def _sums(self, down: _Spans, across: _Spans) -> npt.NDArray[np.float64]:
        """Area of no data, square px, where spans of rows (n, 2) and columns (m, 2) meet."""
        sums = np.zeros((len(down), len(across)))
        for top, rows in self._rows():
            ends = top + np.arange(len(rows) + 1)
            near = np.flatnonzero((down[:, 0] < ends[-1]) & (down[:, 1] > top))
            starts, stops = (down[near, side, None] for side in (0, 1))
            part = np.minimum(stops, ends[1:]) - np.maximum(starts, ends[:-1])
            sums[near] += np.maximum(part, 0) @ _within(rows, across)
        return sums

    def _rows(self) -> Iterator[tuple[int, Bools]]:
        """The strips that hold no data: the first row, and bool (rows, width)."""
        for number, strip in enumerate(self.strips):
            if strip is not None:
                yield number * READ_ROWS, _unpacked(strip, self.hw[1])


def _unpacked(strip: bytes, width: int) -> Bools:
    packed = np.frombuffer(zlib.decompress(strip), np.uint8).reshape(-1, -(-width // 8))
    return np.unpackbits(packed, axis=1, count=width).view(bool)


def _within(rows: Bools, across: _Spans) -> npt.NDArray[np.float64]:
    """How many px of each row are no data within each span of columns: (rows, spans)."""
    before = np.zeros((len(rows), rows.shape[1] + 1))
    np.cumsum(rows, axis=1, out=before[:, 1:])
    whole = np.minimum(across.astype(np.intp), rows.shape[1] - 1)
    at = before[:, whole] + (across - whole) * rows[:, whole]
    return np.asarray(at[:, :, 1] - at[:, :, 0])


def _spans(geometry: Geometry) -> tuple[_Spans, _Spans]:
    """What each row and column of windows spans of the photo, px: (N, 2) and (M, 2)."""
    (rows, columns), (height, width) = geometry.grid_hw, geometry.photo_hw
    down = np.array([geometry.window_xyxy(row, 0)[1::2] for row in range(rows)])
    across = np.array([geometry.window_xyxy(0, column)[0::2] for column in range(columns)])
    return np.clip(down, 0, height), np.clip(across, 0, width)


@dataclass(frozen=True)
class Marks:
    """What a TIFF says of pixels that are no photo.

    Attributes:
        value: the value of all colours there (GDAL_NODATA), as libvips reads it; None if there is
            none.
        mask: the image that is a mask of the photo; None if there is none.
        note: why the value is not used, or "".
        photo: the image that is the photo, where there is a value.
    """

    value: float | None = None
    mask: Directory | None = None
    note: str = ""
    photo: Directory | None = None

    def __bool__(self) -> bool:
        return self.value is not None or self.mask is not None


def marks_of(images: TiffImages | None) -> Marks:
    """What the tags of a TIFF say of pixels that are no photo; of other formats, nothing."""
    if images is None:
        return Marks()
    value, note = _value_of(images.photo)
    return Marks(value, images.photo_mask, note, None if value is None else images.photo)


def _value_of(photo: Directory) -> tuple[float | None, str]:
    """The nodata value as libvips reads it, and why there is none, or ""."""
    if not photo.nodata:
        return None, ""
    try:
        value = float(photo.nodata)
    except ValueError:
        return None, f"nodata is {photo.nodata[:20]!r}, which is no number: not used"
    if photo.photometric == _PALETTE or photo.bits < _BYTE:
        return None, "nodata of a palette or of less than 8 bits is not used"
    # GDAL compares float values as such.
    if (photo.kind, photo.bits) == (_FLOAT, 32):
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
    # libvips turns these values over.
    elif photo.photometric == WHITE_IS_ZERO:
        value = 2**photo.bits - 1 - value
    return value, ""


def with_value_hidden(
    image: pyvips.Image, marks: Marks, colours: Sequence[int], darkest: float
) -> pyvips.Image:
    """The same image, with nodata of more than 8 bits replaced by its darkest value.

    Such values are often far outside of those of the photo, or no numbers.
    """
    if marks.value is None or image.format == "uchar":
        return image
    hidden = _has_value(image, marks.value, colours).ifthenelse(darkest, image)
    return hidden.cast(image.format).copy(interpretation=image.interpretation)


def _has_value(image: pyvips.Image, value: float, colours: Sequence[int]) -> pyvips.Image:
    """Where all colours have a value: 255, elsewhere 0."""
    bands = [image[band] for band in colours]
    same = [band != band if np.isnan(value) else band == value for band in bands]
    return same[0].bandjoin(same[1:]).bandand() if same[1:] else same[0]


def no_data_of(
    image: pyvips.Image,
    path: Path,
    marks: Marks,
    *,
    colours: Sequence[int],
    alpha: pyvips.Image | None,
    region: Region | None = None,
) -> tuple[NoData | None, str]:
    """The pixels of a photo that are no photo, and a note where a mask cannot be read.

    Reads the image once, in rows from the top.

    Args:
        image: the image as stored in the file, just opened.
        path: the file.
        marks: what it says of such pixels.
        colours: the indices of the bands that are shown.
        alpha: the transparency of the same pixels, of 8 or 16 bits; None if all are opaque.
        region: the part of the upright photo that is read.

    Raises:
        pyvips.Error: the file is damaged.
    """
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    parts: list[Iterable[Bools]] = []
    cut = region if orientation == 1 else None
    hw, note = cut.hw if cut else (image.height, image.width), marks.note
    if marks.value is not None or alpha is not None:
        parts.append(_marked_rows(image, marks, colours, alpha, cut))
    if marks.photo is not None and (unstored := _unstored(path, marks.photo)):
        parts.append(_in_strips(unstored, marks.photo.hw, cut))
    if marks.mask is not None:
        try:
            masked = _in_strips(_rows_of_tiles(path, marks.mask), marks.mask.hw, cut)
            parts.append(_rows_again(_compressed(masked), hw))
        # Damaged, or of a compression that tifffile does not know.
        except PhotoError as error:
            note = f"{error}: all of it is taken as photo"
    strips = _compressed(_joined(parts)) if parts else ()
    if not any(strips):
        return None, note
    at = (0, 0) if cut or region is None else region.at
    return NoData(strips, hw, orientation, at), note


def _marked_rows(
    image: pyvips.Image,
    marks: Marks,
    colours: Sequence[int],
    alpha: pyvips.Image | None,
    cut: Region | None,
) -> Iterator[Bools]:
    """Where pixels have the nodata value or are transparent, in strips of ``READ_ROWS``."""
    marked = []
    if marks.value is not None:
        marked.append(_has_value(image, marks.value, colours))
    if alpha is not None:
        marked.append(alpha < _HALF_OPAQUE[alpha.format])
    found = marked[0] | marked[-1]
    if cut is not None:
        found = found.crop(cut.left, cut.top, cut.width, cut.height)
    return (rows[:, :, 0] != 0 for rows in rows_of(found))


def _in_strips(given: Iterable[Bools], hw: tuple[int, int], cut: Region | None) -> Iterator[Bools]:
    """Rows of an image of this height and width, px, or a part of it, by ``READ_ROWS``."""
    held, top = np.zeros((0, hw[1]), bool), 0
    first, end = (cut.top, cut.top + cut.height) if cut else (0, hw[0])
    columns = slice(cut.left, cut.left + cut.width) if cut else slice(None)
    for rows in given:
        inside = rows[max(0, first - top) : max(0, end - top)]
        top += len(rows)
        held = np.concatenate([held, inside])
        whole = len(held) // READ_ROWS * READ_ROWS
        for start in range(0, whole, READ_ROWS):
            yield held[start : start + READ_ROWS, columns]
        held = held[whole:]
    if len(held):
        yield held[:, columns]


def _rows_of_tiles(path: Path, mask: Directory) -> Iterator[Bools]:
    """Where the mask is 0, in strips as high as the tiles; tiles that are not there are 0."""
    height, width = mask.hw
    with opened_tiff(path, "its mask") as (file, _):
        page: Any = page_of(file, mask)
        high = page.tilelength if page.is_tiled else page.rowsperstrip
        top, rows = 0, np.ones((min(high, height), width), bool)
        for values, index, shape in page.segments(maxworkers=1):
            down, across = index[-3], index[-2]
            if down != top:
                yield rows
                top, rows = down, np.ones((min(high, height - down), width), bool)
            if values is not None:
                part = rows[: shape[1], across : across + shape[2]]
                part[:] = values[0, : part.shape[0], : part.shape[1], 0] == 0
        yield rows


def _unstored(path: Path, photo: Directory) -> list[Bools]:
    """Rows, as high as the tiles of a TIFF, true where tiles are not stored; [] if all are.

    GDAL takes these for nodata, libvips for black.
    """
    height, width = photo.hw
    with opened_tiff(path, "its tiles") as (file, _):
        page: Any = page_of(file, photo)
        high, wide = page.rowsperstrip, width
        if page.is_tiled:
            high, wide = page.tilelength, page.tilewidth
        down, across = -(-height // high), -(-width // wide)
        # Of separate planes, those of the first.
        counts = np.asarray(page.databytecounts[: down * across])
    if len(counts) < down * across or counts.all():
        return []
    rows = np.repeat(counts.reshape(down, across) == 0, wide, axis=1)[:, :width]
    tops = range(0, height, high)
    return [
        np.broadcast_to(row, (min(high, height - top), width))
        for top, row in zip(tops, rows, strict=True)
    ]


def _joined(parts: list[Iterable[Bools]]) -> Iterator[Bools]:
    """Where any of several masks is set, strip by strip."""
    for strips in zip(*parts, strict=True):
        yield np.logical_or.reduce(strips)


def _compressed(strips: Iterable[Bools]) -> tuple[bytes | None, ...]:
    """The strips as :class:`NoData` has them."""
    return tuple(
        zlib.compress(np.packbits(strip, axis=1).tobytes(), 1) if strip.any() else None
        for strip in strips
    )


def _rows_again(strips: tuple[bytes | None, ...], hw: tuple[int, int]) -> Iterator[Bools]:
    """Every strip of compressed ones."""
    for number, strip in enumerate(strips):
        rows = min(READ_ROWS, hw[0] - number * READ_ROWS)
        yield np.zeros((rows, hw[1]), bool) if strip is None else _unpacked(strip, hw[1])
