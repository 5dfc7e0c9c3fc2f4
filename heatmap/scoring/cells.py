"""Windows cut out of a photo, for scoring them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry

# Windows per forward pass; more gained nothing on two cores (benchmarks/cropping.py).
CROP_BATCH = 16

Cell: TypeAlias = tuple[int, int]


def all_cells(geometry: Geometry) -> list[Cell]:
    """Every cell (row, column), row by row."""
    rows, columns = geometry.grid_hw
    return [(row, column) for row in range(rows) for column in range(columns)]


def cut(
    extended: npt.NDArray[np.uint8], geometry: Geometry, cells: Sequence[Cell]
) -> npt.NDArray[np.uint8]:
    """The windows of some cells, (B, window, window, 3), out of the extended photo."""
    window, stride = geometry.window_px, geometry.stride_px
    starts = ((row * stride, column * stride) for row, column in cells)
    return np.stack([extended[top : top + window, left : left + window] for top, left in starts])
