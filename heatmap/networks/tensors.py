"""Photos as the tensors that networks take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..prepared.preprocessing import Preprocessing


def photo_tensor(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """A network's input for RGB photos, as :meth:`preprocessing.Preprocessing.array` gives it.

    Args:
        pixels: RGB uint8, (H, W, 3) or (B, H, W, 3); not changed.
        preprocessing: that of the network.

    Returns:
        float32 (B, C, H, W) in ``channels_last`` memory format.

    Raises:
        PhotoError: the array has another dtype or shape.
    """
    return torch.from_numpy(preprocessing.array(pixels))
