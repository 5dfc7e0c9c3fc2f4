"""Crop by crop: every window cut out and given to the original classifier.

The slow and plain meaning of a score grid: the reference that ``verify``
compares with, and the engine for networks that cannot slide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..geometry import Geometry
from ..networks.classifier import Classifier
from .device import Compute

# Windows a forward pass; more gained nothing on two cores (benchmarks/cropping.py).
CROP_BATCH = 16

Cell = tuple[int, int]


def all_cells(geometry: Geometry) -> list[Cell]:
    """Every cell (row, column), row by row."""
    rows, columns = geometry.grid_hw
    return [(row, column) for row in range(rows) for column in range(columns)]


def crop_scores(
    classifier: Classifier,
    extended: npt.NDArray[np.uint8],
    geometry: Geometry,
    cells: Sequence[Cell],
    compute: Compute | None = None,
    *,
    batch: int = CROP_BATCH,
) -> Iterator[npt.NDArray[np.float32]]:
    """Score windows by cropping, a batch at a time.

    Args:
        classifier: the original, unconverted.
        extended: uint8 (extended_h, extended_w, 3), as :func:`extended.extend` gives it.
        geometry: of ``extended``.
        cells: which windows, in the order of the result.
        compute: device and number format; the CPU and float32 by default.
        batch: windows a forward pass.

    Yields:
        float32 (up to batch, K) each.
    """
    compute = compute or Compute()
    module = compute.moved(classifier.module)
    window, stride = geometry.window_px, geometry.stride_px
    for start in range(0, len(cells), batch):
        crops = np.stack(
            [
                extended[
                    row * stride : row * stride + window, column * stride : column * stride + window
                ]
                for row, column in cells[start : start + batch]
            ]
        )
        with torch.inference_mode():
            photos = compute.tensor(classifier.preprocessing.tensor(crops))
            yield module(photos).float().cpu().numpy()
