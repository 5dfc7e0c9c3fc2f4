"""From cells to pixels: one class of a grid, upsampled onto the photo."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .geometry import Geometry


def upsample(cells: npt.NDArray[np.float32], geometry: Geometry) -> npt.NDArray[np.float32]:
    """Placeholder, see the contract: (N, M) -> (H, W) float32."""
    raise NotImplementedError
