"""Where the windows lie: the one mapping between cells and photo pixels.

Plain integer arithmetic; no tensor is touched here. Coordinates are
continuous: a photo spans 0..W x 0..H and pixel p has its centre at p + 0.5.
"""

from __future__ import annotations

import math
import numbers
import operator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import GeometryError, ModelError, ResultError, Use

# Left, top, right, bottom, in photo px.
Box: TypeAlias = tuple[float, float, float, float]


Border = Literal["cover", "valid"]


BORDERS: tuple[Border, ...] = ("cover", "valid")


def window_side(window: object) -> int:
    """The side of a window, px, given as a number or as (height, width).

    >>> window_side(224), window_side((224, 224))
    (224, 224)

    Raises:
        ModelError: it is not square, or not a whole number of px above 0.
    """
    sides = window if isinstance(window, tuple | list) and len(window) == 2 else (window, window)
    try:
        height, width = (operator.index(side) for side in sides)  # type: ignore[arg-type]
    except TypeError:
        height = width = 0
    if min(height, width) < 1 or isinstance(window, bool):
        raise ModelError(f"window is {window!r}: give its side as a whole number of px, 1 or more")
    if height != width:
        raise ModelError(
            f"window is {size_text((height, width))}: only square windows are scored",
            Use("window", min(height, width), "give one side, such as {}"),
        )
    return height


def whole_windows(length: int, window: int, stride: int) -> int:
    """How many windows fit wholly into ``length``, the first at its beginning; all in px.

    >>> whole_windows(400, window=224, stride=32)
    6
    """
    return (length - window) // stride + 1


def length_of_windows(count: int, window: int, stride: int) -> int:
    """Length in px that ``count`` overlapping windows cover exactly.

    >>> length_of_windows(6, window=224, stride=32)
    384
    """
    return (count - 1) * stride + window


def size_text(hw: tuple[int, ...]) -> str:
    """A (height, width) as text for people: width first.

    >>> size_text((480, 640))
    '640 x 480 px'
    """
    return f"{hw[1]} x {hw[0]} px"


def grid_text(rows: int, columns: int) -> str:
    """The size of a grid for people: rows first.

    >>> grid_text(23, 1)
    '23 rows x 1 column'
    """
    return f"{rows} row{'s' * (rows != 1)} x {columns} column{'s' * (columns != 1)}"


def shrunk_hw(hw: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Height and width of a photo shrunk so that its longer side is at most ``longest_px``."""
    share = min(1.0, longest_px / max(hw))
    return max(1, round(hw[0] * share)), max(1, round(hw[1] * share))


@dataclass(frozen=True)
class Placement:
    """How windows are laid over a photo, whatever its size.

    >>> Placement(scale=2.0)
    Placement(stride=None, scale=2.0, border='cover')

    Attributes:
        stride: distance between neighbouring windows, px; None is the network's native stride.
        scale: factor by which the photo is resized before it is scored; a window then covers
            window / scale px of the photo.
        border: "cover" extends the photo by reflection so that every pixel lies in a window;
            "valid" takes only windows that lie wholly inside the photo.

    Raises:
        GeometryError: the stride is no whole number, or the scale no number.
    """

    stride: int | None = None
    scale: float = 1.0
    border: Border = "cover"

    def __post_init__(self) -> None:
        if not isinstance(self.stride, numbers.Integral | None):
            raise GeometryError(
                f"stride is {self.stride!r}: give a whole number of px, or None for the native one"
            )
        if not isinstance(self.scale, numbers.Real):
            raise GeometryError(f"scale is {self.scale!r}: give a number above 0")


@dataclass(frozen=True)
class Geometry:
    """One grid of windows over one photo: the one mapping between cells and photo pixels.

    The photo is resized, extended by reflection (or cut) to ``extended_hw``, and tiled with
    windows. Cell (row, column) is the window whose top left lies at
    ``origin + (row, column) * stride``.

    >>> geometry = plan_grid((300, 451), window=224, native_stride=32)
    >>> geometry.grid_hw, geometry.centre_xy(0, 0)
    ((4, 9), (98.0, 102.0))

    Attributes:
        photo_hw: height and width of the photo, px; methods return positions in its pixels.
        scaled_hw: height and width of the resized photo, px.
        window_px: side of a window, in scaled px.
        stride_px: distance between neighbouring windows, in scaled px.
        origin_yx: top and left of the window of cell (0, 0), in scaled px: 0 or negative.
        grid_hw: number of rows (N) and columns (M) of windows.
        border: "cover" or "valid", as in :class:`Placement`.
    """

    photo_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    window_px: int
    stride_px: int
    origin_yx: tuple[int, int]
    grid_hw: tuple[int, int]
    border: Border

    @property
    def scale_yx(self) -> tuple[float, float]:
        """Actual resize factor of each axis, after rounding to whole pixels."""
        return (
            self.scaled_hw[0] / self.photo_hw[0],
            self.scaled_hw[1] / self.photo_hw[1],
        )

    @property
    def extended_hw(self) -> tuple[int, int]:
        """Height and width of the area that the windows cover exactly, in scaled px."""
        rows, columns = self.grid_hw
        return (
            length_of_windows(rows, self.window_px, self.stride_px),
            length_of_windows(columns, self.window_px, self.stride_px),
        )

    @property
    def margins_tblr(self) -> tuple[int, int, int, int]:
        """Pixels to add (positive) or cut (negative) at top, bottom, left, right.

        In scaled px; with border "valid", bottom and right are the rest beyond the last
        window.
        """
        top, left = -self.origin_yx[0], -self.origin_yx[1]
        return (
            top,
            self.extended_hw[0] - top - self.scaled_hw[0],
            left,
            self.extended_hw[1] - left - self.scaled_hw[1],
        )

    def window_xyxy(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of a cell's window, photo px; may extend beyond the photo."""
        scale_y, scale_x = self.scale_yx
        top = self.origin_yx[0] + row * self.stride_px
        left = self.origin_yx[1] + column * self.stride_px
        return (
            left / scale_x,
            top / scale_y,
            (left + self.window_px) / scale_x,
            (top + self.window_px) / scale_y,
        )

    def centre_xy(self, row: float, column: float) -> tuple[float, float]:
        """Centre (x, y) of a cell's window, photo px; row and column may be fractional."""
        scale_y, scale_x = self.scale_yx
        return (
            (self.origin_yx[1] + column * self.stride_px + self.window_px / 2) / scale_x,
            (self.origin_yx[0] + row * self.stride_px + self.window_px / 2) / scale_y,
        )

    def cell_at(self, x: float, y: float) -> tuple[float, float]:
        """The fractional (row, column) whose window is centred on photo point (x, y)."""
        scale_y, scale_x = self.scale_yx
        return (
            (y * scale_y - self.origin_yx[0] - self.window_px / 2) / self.stride_px,
            (x * scale_x - self.origin_yx[1] - self.window_px / 2) / self.stride_px,
        )

    def coverage(self) -> npt.NDArray[np.float32]:
        """Fraction of each window that is real photo, not reflection: float32 (N, M), 0..1."""

        def along(origin: int, cells: int, length: int) -> npt.NDArray[np.float64]:
            start = origin + np.arange(cells) * self.stride_px
            end = np.minimum(start + self.window_px, length)
            # With a stride above the window, windows can lie wholly outside the photo.
            seen = np.maximum(end - np.maximum(start, 0), 0)
            return np.asarray(seen / self.window_px)

        down = along(self.origin_yx[0], self.grid_hw[0], self.scaled_hw[0])
        across = along(self.origin_yx[1], self.grid_hw[1], self.scaled_hw[1])
        return np.outer(down, across).astype(np.float32)


def plan_grid(
    photo_hw: tuple[int, int],
    placement: Placement = Placement(),
    *,
    window: int,
    native_stride: int,
) -> Geometry:
    """Lay a grid of windows over a photo.

    >>> plan_grid((400, 400), Placement(border="valid"), window=224, native_stride=32).grid_hw
    (6, 6)

    Args:
        photo_hw: height and width of the photo, px.
        placement: stride, scale and border.
        window: side of the classifier's input, px.
        native_stride: the network's own stride, px; "cover" extends the photo evenly on both
            sides until windows at this stride cover it exactly.

    Raises:
        GeometryError: no window fits, or a value is out of range.
    """
    scale, border = placement.scale, placement.border
    stride = native_stride if placement.stride is None else placement.stride
    for name, number in (("window", window), ("native stride", native_stride), ("stride", stride)):
        if number < 1:
            raise GeometryError(f"{name} is {number} px: it must be at least 1")
    if not (math.isfinite(scale * max(photo_hw)) and scale > 0):
        raise GeometryError(
            f"scale is {scale:g}: a photo can't be resized by that; give a number above 0"
        )
    if border not in BORDERS:
        raise GeometryError(f"border is {border!r}: choose one of {', '.join(BORDERS)}")
    scaled_hw = (max(1, round(photo_hw[0] * scale)), max(1, round(photo_hw[1] * scale)))
    if border == "valid" and min(scaled_hw) < window:
        raise _too_small(photo_hw, scaled_hw, window, scale)
    axes = [_plan_axis(length, window, native_stride, stride, border) for length in scaled_hw]
    return Geometry(
        photo_hw=photo_hw,
        scaled_hw=scaled_hw,
        window_px=window,
        stride_px=stride,
        origin_yx=(axes[0][0], axes[1][0]),
        grid_hw=(axes[0][1], axes[1][1]),
        border=border,
    )


def _plan_axis(
    length: int, window: int, native: int, stride: int, border: Border
) -> tuple[int, int]:
    """Origin and number of cells along one axis."""
    if border == "valid":
        return 0, whole_windows(length, window, stride)
    # A stride that divides the native one covers the same extended photo; any other
    # (only the crop engine takes them) has an extended photo of its own.
    unit = native if native % stride == 0 else stride
    steps = max(0, -(-(length - window) // unit))
    extra = steps * unit + window - length
    return -(extra // 2), steps * unit // stride + 1


def _too_small(
    photo_hw: tuple[int, int], scaled_hw: tuple[int, int], window: int, scale: float
) -> GeometryError:
    at_scale = "" if scale == 1 else f" ({size_text(scaled_hw)} at scale {scale:g})"
    enough = math.ceil(window / min(photo_hw) * 10) / 10
    return GeometryError(
        f"photo is {size_text(photo_hw)}{at_scale}, the window is {window} px",
        Use("border", "cover"),
        Use("scale", enough),
    )


def iou(box: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1.

    >>> iou((0, 0, 2, 1), (1, 0, 3, 1)) == 1 / 3
    True
    """
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (box, other)]
    return shared / (sum(areas) - shared)


def whole_px(start: float, end: float, length: int) -> tuple[int, int]:
    """First and end (exclusive) of the pixels nearest to a span, at least one of ``length``.

    >>> whole_px(2.4, 6.6, 100), whole_px(5.1, 5.2, 100), whole_px(-3, 200, 100)
    ((2, 7), (5, 6), (0, 100))
    """
    first = min(max(0, round(start)), length - 1)
    return first, min(length, max(first + 1, round(end)))


def scale_of(geometry: Geometry) -> float:
    """Resize factor, measured on the longer side, where rounding to whole pixels matters least."""
    longer = int(geometry.photo_hw[1] > geometry.photo_hw[0])
    return geometry.scale_yx[longer]


def check_size(photo_hw: tuple[int, ...], geometry: Geometry) -> None:
    """Refuse a photo whose size is not that of the scored photo.

    Raises:
        ResultError: the sizes differ.
    """
    if photo_hw != geometry.photo_hw:
        raise ResultError(
            f"photo is {size_text(photo_hw)}, the scored one was {size_text(geometry.photo_hw)}: "
            "give the photo that was scored, or score this one"
        )
