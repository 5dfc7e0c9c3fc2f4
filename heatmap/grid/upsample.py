"""Upsample one class of a grid to the pixels of the photo.

An affine warp puts the centre of each cell at its position in the photo; a plain resize would be
off by up to half a window. This needs OpenCV 5: up to 4.13 the warp rounds positions to 1/32 of a
cell, one pixel at stride 32 (measured error between cells of 0 and 1: 0.021), and is limited to
32767 px a side. OpenCV 5 computes positions in float32, so a value between cells of 0 and 1 is off
by at most 1.2e-7 times the number of cells along the axis (measured: 4e-5 at 400 cells, 6e-4 at
13 700). Upsampling a few rows at a time starts from the first cell they touch and is more precise
(250 rows at a time: 3e-6, where all 4601 cells at once gave 3e-4).
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ResultError
from ..geometry import Geometry

# First and end (exclusive) of photo rows, and of photo columns.
Part: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
_Value = TypeVar("_Value", bound=np.generic)


def upsample(
    cells: npt.NDArray[np.float32], geometry: Geometry, rows: tuple[int, int] | None = None
) -> npt.NDArray[np.float32]:
    """Interpolate cells linearly between their centres: (N, M) to float32 (H, W).

    Beyond the outermost centres the nearest value is used, so an axis of one cell is flat. Each
    pixel takes the value at its centre: where the stride is below one photo pixel, cells between
    pixel centres are skipped, not averaged.

    Args:
        cells: finite values, float32 (N, M); the result stays within their range.
        geometry: the geometry of the cells.
        rows: first and end (exclusive) of the photo rows to compute; None is all. The result
            is then (end - first, W).

    Raises:
        ResultError: the shape of the cells is not that of the geometry's grid.
    """
    if cells.shape != geometry.grid_hw:
        raise ResultError(f"cells are {cells.shape}, the geometry says {geometry.grid_hw}")
    height, width = geometry.photo_hw
    part = (rows or (0, height), (0, width))
    return upsample_part(cells[touched_cells(geometry, part)], geometry, part)


def upsample_part(
    touched: npt.NDArray[np.float32], geometry: Geometry, part: Part
) -> npt.NDArray[np.float32]:
    """As :func:`upsample`, of a part of the photo, given the cells of :func:`touched_cells`.

    Returns:
        float32 (rows, columns) of the part.
    """
    to_cell = _pixel_to_cell(geometry)
    first_cells = (span.start for span in touched_cells(geometry, part))
    for axis, (span, first_cell) in enumerate(zip(part, first_cells, strict=True)):
        # The matrix has x before y.
        row = 1 - axis
        to_cell[row, 2] += span[0] * to_cell[row, row] - first_cell
    heat = cv2.warpAffine(
        touched,
        to_cell,
        (part[1][1] - part[1][0], part[0][1] - part[0][0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
        hint=cv2.ALGO_HINT_ACCURATE,
    )
    # Rounding may exceed the range of the cells by one bit.
    return np.asarray(np.clip(heat, touched.min(), touched.max(), out=heat), dtype=np.float32)


def touched_cells(geometry: Geometry, part: Part) -> tuple[slice, slice]:
    """The rows and columns of cells needed for a part of the photo.

    So the cost does not depend on the size of the grid, and positions stay small.
    """
    rows, columns = (_touched(geometry, axis, span) for axis, span in enumerate(part))
    return rows, columns


def _touched(geometry: Geometry, axis: int, span: tuple[int, int]) -> slice:
    ends = (geometry.cell_at(at + 0.5, at + 0.5)[axis] for at in (span[0], span[1] - 1))
    last = geometry.grid_hw[axis] - 1
    # One more than needed on either side, since positions are rounded to float32.
    low, high = (
        min(max(0, int(cell + more)), last) for cell, more in zip(ends, (-1, 2), strict=True)
    )
    return slice(low, high + 1)


def nearest(
    cells: npt.NDArray[_Value], geometry: Geometry, rows: tuple[int, int] | None = None
) -> npt.NDArray[_Value]:
    """The value of the cell whose centre is nearest, for each pixel: (N, M) to (H, W).

    With ``rows`` (first, end) only for these rows of the photo.
    """
    height, width = geometry.photo_hw
    spans = (range(*(rows or (0, height))), range(width))
    places = [
        np.array([geometry.cell_at(p + 0.5, p + 0.5)[axis] for p in span])
        for axis, span in enumerate(spans)
    ]
    chosen = [
        np.clip(np.floor(place + 0.5).astype(int), 0, count - 1)
        for place, count in zip(places, geometry.grid_hw, strict=True)
    ]
    return cells[np.ix_(*chosen)]


def _pixel_to_cell(geometry: Geometry) -> npt.NDArray[np.float64]:
    """The 2 x 3 matrix from pixel indices (x, y) to fractional cells (column, row)."""
    first_row, first_column = geometry.cell_at(0.5, 0.5)
    next_row, next_column = geometry.cell_at(1.5, 1.5)
    return np.array(
        [
            [next_column - first_column, 0.0, first_column],
            [0.0, next_row - first_row, first_row],
        ]
    )
