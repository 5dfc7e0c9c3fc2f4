"""Photos and prepared networks of the kinds that tests of scores need."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

import heatmap
from tests.support.networks import WINDOW, Classifier, heads, randomise


def photo(height: int, width: int) -> np.ndarray:
    """Smooth random shapes, RGB uint8."""
    noise = np.random.default_rng(0).normal(size=(height, width, 3)).cumsum(0).cumsum(1)
    low, high = noise.min(), noise.max()
    return ((noise - low) / (high - low) * 255).astype(np.uint8)


# Made and converted once for all tests, none of which changes them.
@cache
def padding_free() -> nn.Module:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 5))
    return randomise(Classifier(head, padding=0), WINDOW)


@cache
def padded(head: str = "flatten") -> nn.Module:
    torch.manual_seed(0)
    return randomise(Classifier(heads()[head]), WINDOW)


@cache
def prepare(module: nn.Module, **options) -> heatmap.Scorer:
    return heatmap.prepare(module, window=WINDOW, **options)
