"""The crop engine: each window is cut out and scored by the original classifier.

This is the definition of a score grid, only slow: the reference for ``verify``, and the engine for
networks that cannot slide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..geometry import Geometry
from ..networks.classifier import Classifier
from .device import Compute

# Windows per forward pass; more gained nothing on two cores (benchmarks/cropping.py).
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
        classifier: the original, unconverted classifier.
        extended: the extended photo, uint8 (*geometry.extended_hw, 3), from
            :func:`extended.extend`.
        geometry: the geometry of the photo.
        cells: (row, column) of the windows, in the order of the result.
        compute: device and number format; by default the CPU and float32.
        batch: windows per forward pass.

    Yields:
        The scores of each batch, float32 (up to batch, K).
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
