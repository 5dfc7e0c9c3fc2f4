"""Choose the windows to skip: flat background, where a mask is black, and where there is no photo.

The photo is judged in blocks as its rows are read; a window is scored if it touches any block
that is not skipped.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import GeometryError, PhotoError
from ..geometry import Geometry, size_text
from ..photo.reduced import OpenPhoto, open_photo

Bools = npt.NDArray[np.bool_]


# Standard deviation of blocks of 32 px, measured: white with noise of 3 levels (a slide
# scanner) at most 3.3, clear sky 1 to 3.5, grass and gravel 21 or more. Over 100 COCO photos 8%
# of the blocks are flat at 4 levels, and each of 741 boxed objects has a block that is not; the
# first object is lost at 10.
FLAT_DEVIATION = 4.0


# Largest relative difference between the aspect ratios of mask and photo.
MOST_ASPECT_ERROR = 0.01


# Side of a block, px: about the native stride of most networks.
BLOCK_PX = 32


@dataclass(frozen=True)
class Skip:
    """Which windows of a photo are not scored; their cells in the grid are NaN.

    Attributes:
        background: skip windows that show only flat background: blocks of ``BLOCK_PX`` with a
            standard deviation of at most ``FLAT_DEVIATION`` levels.
        mask: skip windows where this image is black all over: a path or an RGB uint8 array
            (H, W, 3) of the photo's aspect ratio.
    """

    background: bool = False
    mask: str | Path | npt.NDArray[np.uint8] | None = None

    @property
    def absolute(self) -> Skip:
        """The same with an absolute path, for a worker whose working folder is another."""
        if not isinstance(self.mask, str | Path):
            return self
        return replace(self, mask=Path(os.path.abspath(self.mask)))

    def wanted(self, photo: OpenPhoto, geometry: Geometry) -> npt.NDArray[np.bool_]:
        """Which cells to score: bool (N, M).

        Raises:
            PhotoError: the mask cannot be read, or is black everywhere.
            GeometryError: the mask has another aspect ratio than the photo.
        """
        height, width = photo.hw
        busy = np.ones((-(-height // BLOCK_PX), -(-width // BLOCK_PX)), bool)
        if self.mask is not None:
            busy &= mask_blocks(open_photo(self.mask), photo.hw, BLOCK_PX)
        if self.background:
            busy &= ~flat_blocks(photo.strips(), BLOCK_PX)
        return cells_to_score(busy, geometry, BLOCK_PX)


def no_data_cells(photo: OpenPhoto, geometry: Geometry) -> Bools | None:
    """Which cells have a window that shows more no data than photo: bool (N, M).

    None where there is no such window.
    """
    if photo.no_data is None:
        return None
    mostly = photo.no_data.mostly(geometry)
    return mostly if mostly.any() else None


def no_data_note(photo: OpenPhoto, geometries: Sequence[Geometry]) -> str:
    """How many windows of these grids are not scored because they show no photo; "" if all are.

    Raises:
        PhotoError: none would be scored.
    """
    left_out = [no_data_cells(photo, geometry) for geometry in geometries]
    missing = sum(int(cells.sum()) for cells in left_out if cells is not None)
    windows = sum(math.prod(geometry.grid_hw) for geometry in geometries)
    if missing == windows:
        raise PhotoError(
            f"{photo.path or 'photo'}: all {windows:,} windows show mostly no data (transparency, "
            "nodata or a mask): give a photo, or a region, of which more can be seen"
        )
    if not missing:
        return ""
    return f"{missing:,} of {windows:,} windows show mostly no data and were not scored"


class Streamed(Protocol):
    """A photo whose rows can be read from top to bottom: Photo or PhotoFile."""

    @property
    def hw(self) -> tuple[int, int]: ...

    def strips(self, height: int = ...) -> Iterator[npt.NDArray[np.uint8]]: ...


def flat_blocks(
    photo_strips: Iterable[npt.NDArray[np.uint8]],
    block_px: int,
    *,
    most_deviation: float = FLAT_DEVIATION,
) -> Bools:
    """Which blocks of a photo are flat: bool (ceil(H / block_px), ceil(W / block_px)).

    A block is flat if the standard deviation of each channel is at most ``most_deviation``
    8-bit levels; blocks at the right and bottom may be smaller. Only a strip and a row of blocks
    are in memory at a time.

    Args:
        photo_strips: rows from top to bottom, uint8 (any height, W, 3) each.
        block_px: side of a block, px. An object much smaller than a block hardly raises its
            deviation, so choose about the native stride.
        most_deviation: 0 or more.

    Raises:
        GeometryError: ``block_px`` is below 1, or ``most_deviation`` is negative or NaN.
    """
    _check_block(block_px)
    if not most_deviation >= 0:
        raise GeometryError(f"flat deviation is {most_deviation:g} levels: it must be at least 0")
    return np.array(
        [
            [
                cv2.meanStdDev(slab[:, left : left + block_px])[1].max() <= most_deviation
                for left in range(0, slab.shape[1], block_px)
            ]
            for slab in _slabs(photo_strips, block_px)
        ]
    )


def mask_blocks(mask: Streamed, photo_hw: tuple[int, int], block_px: int) -> Bools:
    """Which blocks of a photo a mask selects, with the shape of :func:`flat_blocks`.

    The mask is stretched over the whole photo. A block is selected if it touches the area of a
    mask pixel that is not 0 in all channels. Transparent pixels are white, as in any photo. Use
    PNG: in a JPEG, black is often 1 or 2.

    Args:
        mask: an image with the aspect ratio of the photo, to within 1 percent.
        photo_hw: height and width of the photo, px.
        block_px: side of a block, px.

    Raises:
        GeometryError: the mask has another aspect ratio, or ``block_px`` is below 1.
        PhotoError: the mask is 0 everywhere.
    """
    _check_block(block_px)
    _check_proportions(mask.hw, photo_hw)
    down = _touched(photo_hw[0], mask.hw[0], block_px)
    across = _touched(photo_hw[1], mask.hw[1], block_px)
    busy = np.zeros((len(down), len(across)), bool)
    top = 0
    for strip in mask.strips():
        looked = _any_within((strip != 0).any(axis=2), across)
        here = np.clip(down - top, 0, len(strip))
        busy |= _any_within(looked.T, here).T
        top += len(strip)
    if not busy.any():
        raise PhotoError("the mask is 0 everywhere: make it white where windows are to be scored")
    return busy


def cells_to_score(busy: Bools, geometry: Geometry, block_px: int) -> Bools:
    """Which cells have a window that touches a busy block: bool (N, M).

    Args:
        busy: blocks of the photo that may show something: those of :func:`mask_blocks`, or those
            that are not in :func:`flat_blocks`.
        geometry: the geometry of the grid to score.
        block_px: side of a block, px.

    Raises:
        GeometryError: the shape of the blocks does not match the photo of the geometry.
    """
    _check_block(block_px)
    height, width = geometry.photo_hw
    expected = (-(-height // block_px), -(-width // block_px))
    if busy.shape != expected:
        raise GeometryError(
            f"blocks are {busy.shape}, a photo of {width} x {height} px has {expected} "
            f"of {block_px} px"
        )
    rows, columns = geometry.grid_hw
    down = np.array([geometry.window_xyxy(row, 0)[1::2] for row in range(rows)])
    across = np.array([geometry.window_xyxy(0, column)[0::2] for column in range(columns)])
    over_columns = _any_within(busy, _blocks_of(across, block_px, expected[1]))
    return _any_within(over_columns.T, _blocks_of(down, block_px, expected[0])).T


def _check_block(block_px: int) -> None:
    if block_px < 1:
        raise GeometryError(f"a block is {block_px} px wide: it must be at least 1")


def _check_proportions(mask_hw: tuple[int, int], photo_hw: tuple[int, int]) -> None:
    ratio = mask_hw[0] * photo_hw[1] / (mask_hw[1] * photo_hw[0])
    if max(ratio, 1 / ratio) > 1 + MOST_ASPECT_ERROR:
        raise GeometryError(
            f"the mask is {size_text(mask_hw)}, the photo {size_text(photo_hw)}: "
            "give a mask of the photo's size, or of the same proportions"
        )


def _slabs(strips: Iterable[npt.NDArray[np.uint8]], height: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The same rows in strips of ``height``; the last may have fewer."""
    held: list[npt.NDArray[np.uint8]] = []
    for strip in strips:
        rows = np.concatenate([*held, strip])
        whole = len(rows) // height * height
        yield from (rows[top : top + height] for top in range(0, whole, height))
        held = [rows[whole:]]
    yield from (rest for rest in held if len(rest))


def _touched(photo_px: int, mask_px: int, block_px: int) -> npt.NDArray[np.int64]:
    """First and end of the mask pixels that each block along an axis touches: (blocks, 2)."""
    starts = np.arange(0, photo_px, block_px, dtype=np.int64)
    ends = np.minimum(starts + block_px, photo_px)
    return np.stack([starts * mask_px // photo_px, -(-ends * mask_px // photo_px)], axis=1)


def _blocks_of(edges: npt.NDArray[np.float64], block_px: int, blocks: int) -> npt.NDArray[np.int64]:
    """First and end of the blocks that each interval (n, 2), in photo px, touches."""
    first, end = np.floor(edges[:, 0] / block_px), np.ceil(edges[:, 1] / block_px)
    return np.asarray(np.clip(np.stack([first, end], axis=1), 0, blocks), dtype=np.int64)


def _any_within(values: Bools, spans: npt.NDArray[np.int64]) -> Bools:
    """Whether any of the columns first..end of each span is true: (n, m) to (n, spans)."""
    counted = np.zeros((values.shape[0], values.shape[1] + 1), np.int32)
    np.cumsum(values, axis=1, out=counted[:, 1:])
    return np.asarray(counted[:, spans[:, 1]] > counted[:, spans[:, 0]])
