"""The converted head against the original one, in torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ..conversion.check import SliceReference, relative_difference
from ..geometry import Geometry
from ..grid.score_grid import ScoreGrid
from ..networks.tensors import photo_tensor
from ..scoring.scorer import Scorer
from .verify_cells import sampled
from .verify_report import HeadCheck

# Number of slices on which the original head is run, one by one.
SLICES = 64


def check_head(scorer: Scorer, extended: npt.NDArray[np.uint8], grid: ScoreGrid) -> HeadCheck:
    """Compare the converted head with the original head on slices, in cells of the native grid."""
    network = scorer.network
    assert network is not None
    reference, k = SliceReference(network.plan), network.native_stride_px // grid.geometry.stride_px
    with torch.inference_mode():
        tensor = photo_tensor(extended, scorer.classifier.preprocessing)
        photo = network.whole_windows(tensor).contiguous()
        features = reference.features(photo)
        # At a finer stride the photo can be larger, and a padded network then sees more of it.
        same = photo.shape == tensor.shape
        scores = grid.scores[::k, ::k] if same else network(photo)[0].permute(1, 2, 0).numpy()
        rows, columns = np.nonzero(~np.isnan(scores[..., 0]))
        cells = sampled(list(zip(rows.tolist(), columns.tolist(), strict=True)), SLICES)
        expected = torch.cat([reference.score(features, *cell) for cell in cells])
    slid = torch.from_numpy(np.stack([scores[cell] for cell in cells]))
    return HeadCheck(len(cells), relative_difference(slid, expected))


def slide_once(scorer: Scorer, extended: npt.NDArray[np.uint8], geometry: Geometry) -> None:
    """Slide over the first window of an extended photo, for the cost of first calls."""
    side = geometry.window_px
    with torch.inference_mode():
        network = scorer.network_at(geometry.stride_px)
        network(photo_tensor(extended[:side, :side], scorer.classifier.preprocessing))
