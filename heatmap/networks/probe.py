"""Find out what a network's outputs mean, by running it on a few windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..choices import Activation
from ..grid.outputs import Outputs, are_surely_logits, outputs_of
from ..prepared.preprocessing import Preprocessing

Floats: TypeAlias = npt.NDArray[np.float32]

# So far beyond photos logits leave 0..1, which probabilities never do.
_BEYOND_PHOTOS = 1e4


def probe(
    run: Callable[[Floats], Floats],
    preprocessing: Preprocessing,
    first: Floats,
    activation: Activation = "auto",
) -> Outputs:
    """What the outputs of a network mean, by :func:`outputs.outputs_of` on a few windows.

    Most networks give logits, which their first scores show already. Only for others are more
    windows run, one at a time.

    Args:
        run: runs the network on a window, (1, C, side, side), and gives its scores (1, K).
        preprocessing: how photos become its input.
        first: its scores (1, K) of a window that was run before.
        activation: as in :func:`heatmap.load_classifier`.

    Raises:
        ModelError: the activation is unknown, or cannot be that of these scores.
    """
    scores = first
    for window in _windows(preprocessing):
        if are_surely_logits(scores):
            break
        try:
            more = run(window)
        except Exception:
            # A network may refuse what is no photo.
            continue
        scores = np.concatenate([scores, more])
    return outputs_of(scores, activation)


def _windows(preprocessing: Preprocessing) -> Iterator[Floats]:
    """Made-up windows, (1, C, side, side): what shows most logits first, then like photos."""
    side = preprocessing.window_px
    noise = np.random.default_rng(0)
    shapes = preprocessing.array(_shapes(noise, side))
    # In both directions, since a ReLU passes on only one.
    yield shapes * np.float32(_BEYOND_PHOTOS)
    yield shapes * np.float32(-_BEYOND_PHOTOS)
    yield shapes
    yield preprocessing.array(noise.integers(0, 256, (side, side, 3), dtype=np.uint8))
    yield preprocessing.array(np.full((side, side, 3), 255, dtype=np.uint8))


def _shapes(noise: np.random.Generator, side: int) -> npt.NDArray[np.uint8]:
    """Smooth random shapes, as broad as those of photos: RGB uint8 (side, side, 3)."""
    walks = noise.normal(size=(side, side, 3)).cumsum(0).cumsum(1)
    lowest, highest = walks.min(), walks.max()
    return np.asarray((walks - lowest) / (highest - lowest) * 255, dtype=np.uint8)
