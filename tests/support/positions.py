"""Heads that score positions in a window, and the mean over those of every window."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from tests.support.networks import Function, heads


def slow_mean(positions: np.ndarray, map_hw: tuple[int, int], k: int) -> np.ndarray:
    """Window by window."""
    (n, m), (height, width) = map_hw, positions.shape[:2]
    rows, columns = height - (n - 1) * k, width - (m - 1) * k
    means = np.empty((rows, columns, *positions.shape[2:]))
    for row, column in np.ndindex(rows, columns):
        part = positions[row : row + n * k : k, column : column + m * k : k][:n, :m]
        means[row, column] = part.astype(float).mean(axis=(0, 1))
    return means


def log_sum_exp(maps: torch.Tensor) -> torch.Tensor:
    return ((4 * maps).logsumexp((2, 3)) - math.log(64)) / 4


def around_heads() -> dict[str, nn.Module]:
    """Heads whose positions are scored as parts of the window around them."""
    known = heads()
    names = ("global max pool", "average and maximum", "pool, LayerNorm, linear")
    return {
        **{name: known[name] for name in (*names, "pooled convolutions")},
        "log-sum-exp pool": Function(lambda x, f: f["fc"](log_sum_exp(x)), fc=nn.Linear(8, 5)),
        "two layers": Function(
            lambda x, f: f["last"](f["norm"](nn.functional.gelu(f["first"](x.mean((2, 3)))))),
            first=nn.Linear(8, 12),
            norm=nn.LayerNorm(12),
            last=nn.Linear(12, 5),
        ),
    }
