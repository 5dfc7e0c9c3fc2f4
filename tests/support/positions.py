"""The mean over the positions of every window, by slow loops."""

from __future__ import annotations

import numpy as np


def slow_mean(positions: np.ndarray, map_hw: tuple[int, int], k: int) -> np.ndarray:
    """Window by window."""
    (n, m), (height, width) = map_hw, positions.shape[:2]
    rows, columns = height - (n - 1) * k, width - (m - 1) * k
    means = np.empty((rows, columns, *positions.shape[2:]))
    for row, column in np.ndindex(rows, columns):
        part = positions[row : row + n * k : k, column : column + m * k : k][:n, :m]
        means[row, column] = part.astype(float).mean(axis=(0, 1))
    return means
