"""From cells to pixels: one class of a grid, upsampled onto the photo.

An affine warp puts the centre of every cell on its place in the photo; a plain
resize would be off by up to half a window. It needs OpenCV 5: up to 4.13 the
warp rounds positions to 1/32 of a cell, one pixel at stride 32 (measured: off by
0.021 between cells of 0 and 1), and takes no side above 32767 px. OpenCV 5 keeps
positions in float32, so a value between cells of 0 and 1 is off by at most 1.2e-7
for each cell along the axis (measured: 4e-5 at 400 cells, 6e-4 at 13 700). Rows of
a photo count from the first cell they touch and are nearer (250 rows at a time:
3e-6, where all 4601 cells at once gave 3e-4).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ResultError
from ..geometry import Geometry


def upsample(
    cells: npt.NDArray[np.float32], geometry: Geometry, rows: tuple[int, int] | None = None
) -> npt.NDArray[np.float32]:
    """Interpolate cells linearly between their centres: (N, M) to float32 (H, W).

    With ``rows`` only the photo rows from the first up to the second: (second - first, W).

    ``cells`` are finite values of any range; the result stays within it. Past the
    outermost centres the edge value goes on, so an axis of one cell is flat. Each
    pixel takes the value at its centre: where the stride is under one photo pixel,
    cells that lie between pixel centres are passed over, not averaged.

    Raises:
        ResultError: cells of another shape than the geometry's grid.
    """
    if cells.shape != geometry.grid_hw:
        raise ResultError(f"cells are {cells.shape}, the geometry says {geometry.grid_hw}")
    first, end = rows or (0, geometry.photo_hw[0])
    low, touched = _touched(cells, geometry, first, end)
    to_cell = _pixel_to_cell(geometry)
    to_cell[1, 2] += first * to_cell[1, 1] - low
    heat = cv2.warpAffine(
        touched,
        to_cell,
        (geometry.photo_hw[1], end - first),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
        hint=cv2.ALGO_HINT_ACCURATE,
    )
    # Rounding may step over the largest cell by one bit.
    return np.asarray(np.clip(heat, touched.min(), touched.max(), out=heat), dtype=np.float32)


def _touched(
    cells: npt.NDArray[np.float32], geometry: Geometry, first: int, end: int
) -> tuple[int, npt.NDArray[np.float32]]:
    """The rows of cells that photo rows ``first`` to ``end`` lie between, and the first's index.

    A few rows then cost the same in a grid of any height, and positions stay small.
    """
    top, bottom = (geometry.cell_at(0.5, row + 0.5)[0] for row in (first, end - 1))
    # One more on either side than is needed: positions are rounded to float32.
    low, high = (min(max(0, int(row)), len(cells) - 1) for row in (top - 1, bottom + 2))
    return low, cells[low : high + 1]


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
