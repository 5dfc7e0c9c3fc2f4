"""The crop engine: each window is cut out and scored by the original classifier.

This is the definition of a score grid, only slow: the reference for ``verify``, and the engine for
networks that cannot slide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..conversion.network import FullyConvolutional
from ..geometry import Geometry
from ..networks.classifier import Classifier
from ..networks.tensors import photo_tensor
from ..prepared.preprocessing import Preprocessing
from .boxes import CropNetwork
from .cells import CROP_BATCH, Cell, cut
from .device import Compute


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
    network = crop_network(compute.moved(classifier.module), classifier.preprocessing, compute)
    for start in range(0, len(cells), batch):
        yield network(cut(extended, geometry, cells[start : start + batch]), False)[0]


def crop_network(module: nn.Module, preprocessing: Preprocessing, compute: Compute) -> CropNetwork:
    """Runs a network in torch on windows.

    Args:
        module: the classifier or, which is faster, its converted form; on the device of
            ``compute``. Only a converted one gives feature maps.
        preprocessing: of the classifier.
        compute: device and number format.
    """

    @torch.inference_mode()
    def run(
        windows: npt.NDArray[np.uint8], wants_features: bool
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        with compute.running():
            batch, features = compute.tensor(photo_tensor(windows, preprocessing)), None
            if wants_features:
                assert isinstance(module, FullyConvolutional)
                maps = module.trunk(batch)
                features, outputs = maps.float().cpu().numpy(), module.head(maps)
            else:
                outputs = module(batch)
            # A converted network gives a grid of one cell for each.
            return outputs.flatten(1).float().cpu().numpy(), features

    return run
