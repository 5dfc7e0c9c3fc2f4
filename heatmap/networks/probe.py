"""Find out what a network's outputs mean, by running it on a few windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..choices import Activation
from ..errors import ModelError
from ..grid.outputs import Outputs, are_surely_logits, outputs_of
from ..prepared.preprocessing import Preprocessing
from .classifier import Classifier
from .tensors import photo_tensor

# So far beyond photos logits leave 0..1, which probabilities never do.
_BEYOND_PHOTOS = 1e4


def probe(classifier: Classifier, first: Tensor, activation: Activation = "auto") -> Outputs:
    """What the outputs of a network mean, by :func:`outputs.outputs_of` on a few windows.

    Most networks give logits, which their first scores show already. Only for others are more
    windows run, one at a time.

    Args:
        classifier: the network; what its ``outputs`` say is not read.
        first: its scores (1, K) of a window that was run before.
        activation: as in :func:`heatmap.load_classifier`.

    Raises:
        ModelError: the activation is unknown, or cannot be that of these scores.
    """
    scores = first.float().cpu().numpy()
    for window in _windows(classifier.preprocessing):
        if are_surely_logits(scores):
            break
        try:
            with torch.no_grad():
                more = classifier.module(window.to(first.device)).float().cpu().numpy()
        except Exception:
            # A network may refuse what is no photo.
            continue
        scores = np.concatenate([scores, more])
    try:
        return outputs_of(scores, activation)
    except ModelError as error:
        raise error.about(classifier.name) from error


def _windows(preprocessing: Preprocessing) -> Iterator[Tensor]:
    """Made-up windows, (1, C, side, side): what shows most logits first, then like photos."""
    side = preprocessing.window_px
    noise = np.random.default_rng(0)
    shapes = photo_tensor(_shapes(noise, side), preprocessing)
    # In both directions, since a ReLU passes on only one.
    yield shapes * _BEYOND_PHOTOS
    yield shapes * -_BEYOND_PHOTOS
    yield shapes
    yield photo_tensor(noise.integers(0, 256, (side, side, 3), dtype=np.uint8), preprocessing)
    yield photo_tensor(np.full((side, side, 3), 255, dtype=np.uint8), preprocessing)


def _shapes(noise: np.random.Generator, side: int) -> npt.NDArray[np.uint8]:
    """Smooth random shapes, as broad as those of photos: RGB uint8 (side, side, 3)."""
    walks = noise.normal(size=(side, side, 3)).cumsum(0).cumsum(1)
    lowest, highest = walks.min(), walks.max()
    return np.asarray((walks - lowest) / (highest - lowest) * 255, dtype=np.uint8)
