"""Convolution with a large kernel in fewer multiplications: Winograd's F(2 x 2, n x n).

Two by two outputs of an n x n kernel come from one (n + 1) x (n + 1) tile of the input in
(n + 1)^2 multiplications a channel instead of 4 n^2: for fc6's 7 x 7 kernel 16 an output
instead of 49 (Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv
1509.09308, section 4; the matrices after Cook and Toom, as in Blahut, "Fast algorithms for
signal processing", chapter 5). What is left are matrix products.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

# Outputs of a tile along each axis.
OUTPUTS = 2
# Points at which polynomials are evaluated; small numbers and their inverses keep rounding
# small, and one more lies at infinity.
_POINTS = tuple(Fraction(*p) for p in ((0, 1), (1, 1), (-1, 1), (1, 2), (-1, 2), (2, 1), (-2, 1)))
# The largest kernel for which there are points.
LARGEST_KERNEL = len(_POINTS)
# Tiles at once: enough that reading all weights for them is cheap beside the products,
# few enough that the products of one row of points (34 MB for fc6) stay near the cache.
_TILES = 256
_CLASSES = 32


@cache
def matrices(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """(A^T, G, B^T) of F(2, n) in float64: outputs = A^T ((G kernel) * (B^T input)).

    A^T is (2, n + 1), G (n + 1, n), B^T (n + 1, n + 1). Worked out in fractions: G
    evaluates the kernel's polynomial at the points over the products of their distances,
    B^T holds the coefficients of the polynomials that vanish at all other points.
    """
    points = _POINTS[:n]
    at = [[point**power for point in points] + [Fraction(power == OUTPUTS - 1)] for power in (0, 1)]
    g, bt = [], []
    for point in points:
        others = [other for other in points if other != point]
        distances = math.prod((point - other for other in others), start=Fraction(1))
        g.append([point**power / distances for power in range(n)])
        bt.append([*_vanishing_at(others), Fraction(0)])
    g.append([Fraction(power == n - 1) for power in range(n)])
    bt.append(_vanishing_at(points))
    exact = (at, g, bt)
    first, second, third = (
        torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)
        for rows in exact
    )
    return first, second, third


def _vanishing_at(points: list[Fraction] | tuple[Fraction, ...]) -> list[Fraction]:
    """Coefficients of the product of (x - point), lowest power first."""
    found = [Fraction(1)]
    for point in points:
        shifted, scaled = [Fraction(0), *found], [-point * value for value in found] + [Fraction(0)]
        found = [one + other for one, other in zip(shifted, scaled, strict=True)]
    return found


def transform_weights(weight: Tensor) -> Tensor:
    """Weights (K, C, n, n) at all pairs of points: (n + 1, n + 1, K, C)."""
    classes, channels, n, _ = weight.shape
    g = matrices(n)[1].to(weight)
    transformed = weight.new_empty(n + 1, n + 1, classes, channels)
    # A few classes at a time stay in the cache: all weights are read and written once.
    for first in range(0, classes, _CLASSES):
        part = weight[first : first + _CLASSES]
        kernels = part.permute(2, 3, 0, 1).reshape(n, -1)
        rows = (g @ kernels).view(n + 1, n, -1)
        transformed[:, :, first : first + _CLASSES] = torch.matmul(g, rows).view(
            n + 1, n + 1, len(part), channels
        )
    return transformed


def convolve(maps: Tensor, transformed: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of maps (B, C, h, w) with :func:`transform_weights`' kernels.

    Returns (B, K, h - n + 1, w - n + 1), the channels last in memory. Beside it and four
    times the maps, only what some _TILES tiles need is held, or one row of them if longer.
    """
    n = transformed.shape[0] - 1
    classes = transformed.shape[2]
    batch, _, height, width = maps.shape
    rows, columns = height - n + 1, width - n + 1
    by_rows = _transform_rows(maps, n)
    strips, across = by_rows.shape[1], -(-columns // OUTPUTS)
    outputs = maps.new_empty(strips, OUTPUTS, across, OUTPUTS, classes)
    # Groups of one height, over all maps at once: a short one would read all weights as well.
    together = -(-strips // -(-strips * across // _TILES))
    for first in range(0, strips, together):
        part = slice(first, first + together)
        products = _products(_transform_columns(by_rows[:, part], n), transformed)
        tiled = products.view(-1, across, OUTPUTS, OUTPUTS, classes)
        outputs[part] = tiled.transpose(1, 2)
    whole = outputs.view(batch, -1, across * OUTPUTS, classes)[:, :rows, :columns]
    if bias is not None:
        whole += bias
    return whole.permute(0, 3, 1, 2)


def _transform_rows(maps: Tensor, n: int) -> Tensor:
    """Strips of n + 1 rows of all maps at all points: (n + 1, B x tiles down, w, C)."""
    odd = [(side - n + 1) % OUTPUTS for side in maps.shape[-2:]]
    padded = functional.pad(maps.permute(0, 2, 3, 1), (0, 0, 0, odd[1], 0, odd[0]))
    bt = matrices(n)[2].to(maps)
    return torch.einsum("pi,btwci->pbtwc", bt, padded.unfold(1, n + 1, OUTPUTS)).flatten(1, 2)


def _transform_columns(by_rows: Tensor, n: int) -> Tensor:
    """Strips (n + 1, S, w, C) to tiles at all pairs of points: (n + 1, T, n + 1, C)."""
    tiles = by_rows.unfold(2, n + 1, OUTPUTS).transpose(3, 4)
    return torch.matmul(matrices(n)[2].to(by_rows), tiles).flatten(1, 2)


def _products(tiles: Tensor, transformed: Tensor) -> Tensor:
    """Some tiles (n + 1, T, n + 1, C) to their outputs (T, 2, 2, K)."""
    at = matrices(transformed.shape[0] - 1)[0].to(tiles)
    count, points, classes = tiles.shape[1], transformed.shape[1], transformed.shape[2]
    outputs = tiles.new_zeros(OUTPUTS, OUTPUTS, count, classes)
    products = tiles.new_empty(points, count, classes)
    for row in range(points):
        for column in range(points):
            torch.mm(tiles[row, :, column], transformed[row, column].T, out=products[column])
        across = (at @ products.flatten(1)).view(OUTPUTS, count, classes)
        for down in range(OUTPUTS):
            outputs[down].add_(across, alpha=float(at[down, row]))
    return outputs.permute(2, 0, 1, 3)
