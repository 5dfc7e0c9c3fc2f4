"""Convolution with a large kernel in fewer multiplications: Winograd's F(2 x 2, n x n).

Two by two outputs of an n x n kernel come from one (n + 1) x (n + 1) tile of the input in
(n + 1)^2 multiplications a channel instead of 4 n^2: for fc6's 7 x 7 kernel 16 an output
instead of 49 (Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv
1509.09308, section 4; the matrices after Cook and Toom, as in Blahut, "Fast algorithms for
signal processing", chapter 5). What is left are matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from .packed import PackedWeights

# Outputs of a tile along each axis.
OUTPUTS = 2
# Points at which polynomials are evaluated; small numbers and their inverses keep rounding
# small, and one more lies at infinity.
_POINTS = tuple(Fraction(*p) for p in ((0, 1), (1, 1), (-1, 1), (1, 2), (-1, 2), (2, 1), (-2, 1)))
# The largest kernel for which there are points.
LARGEST_KERNEL = len(_POINTS)
# Channels summed in one chain: chains of 512 round twice as much, and this form has less room
# for it than a plain product.
_CHANNELS = 256
# Tiles at once, and values of each of their products (4 MB): enough that reading all weights
# for them is cheap beside the products, few enough that these stay near the cache.
_TILES, _VALUES = 2**10, 2**20


@cache
def matrices(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """(A^T, G, B^T) of F(2, n) in float64: outputs = A^T ((G kernel) * (B^T input)).

    A^T is (2, n + 1), G (n + 1, n), B^T (n + 1, n + 1). Worked out in fractions: G
    evaluates the kernel's polynomial at the points over the products of their distances,
    B^T holds the coefficients of the polynomials that vanish at all other points.
    """
    points = sorted(_POINTS[:n])
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
    coefficients = [Fraction(1)]
    for point in points:
        shifted = [Fraction(0), *coefficients]
        scaled = [*(-point * value for value in coefficients), Fraction(0)]
        coefficients = [first + second for first, second in zip(shifted, scaled, strict=True)]
    return coefficients


@dataclass(frozen=True)
class TransformedWeights:
    """Weights (K, C, n, n) at all pairs of n + 1 points, row by row, ready for products."""

    points: tuple[tuple[PackedWeights, ...], ...]
    classes: int

    @property
    def kernel(self) -> int:
        return len(self.points) - 1


def transform_weights(weight: Tensor) -> TransformedWeights:
    """Weights (K, C, n, n) as :func:`convolve` takes them."""
    classes, channels, n, _ = weight.shape
    g = matrices(n)[1].to(weight)
    kernels = weight.permute(0, 2, 3, 1).reshape(classes, n, n * channels)
    points = []
    # One row of points at a time: all of them would be there twice.
    for row in g:
        columns = torch.matmul(g, torch.matmul(row, kernels).view(classes, n, channels))
        points.append(tuple(PackedWeights.of(column, _CHANNELS) for column in columns.unbind(1)))
    return TransformedWeights(tuple(points), classes)


def convolve(
    maps: Tensor,
    transformed: TransformedWeights,
    bias: Tensor | None,
    padding_hw: tuple[int, int] = (0, 0),
    dilation: int = 1,
) -> Tensor:
    """The convolution of maps (B, C, h, w) with :func:`transform_weights`' kernels.

    Returns (B, K, h - n + 1, w - n + 1), h and w with the padding (zeros on both sides), the
    channels last in memory. Beside it, only what some ``_TILES`` tiles need is held, or one
    row of them if longer. With a dilation d, the d x d grids of every d-th pixel are convolved
    each by itself: h - (n - 1) d and so on.
    """
    if dilation > 1:
        return _dilated(maps, transformed, bias, padding_hw, dilation)
    n, classes = transformed.kernel, transformed.classes
    (batch, _, height, width), (above, beside) = maps.shape, padding_hw
    rows, columns = height + 2 * above - n + 1, width + 2 * beside - n + 1
    down, across = -(-rows // OUTPUTS), -(-columns // OUTPUTS)
    right, below = beside + across * OUTPUTS - columns, above + down * OUTPUTS - rows
    whole = maps.permute(0, 2, 3, 1)
    if right or below:
        whole = functional.pad(whole, (0, 0, beside, right, above, below))
    strips = whole.unfold(1, n + 1, OUTPUTS)
    outputs = maps.new_empty(batch, down, OUTPUTS, across, OUTPUTS, classes)
    for part in _groups(batch, down, across, min(_TILES, _VALUES // classes)):
        tiles = _transformed_tiles(strips[part], n)
        outputs[part] = _products(tiles, transformed).movedim((0, 1), (2, 4))
    cut = outputs.view(batch, down * OUTPUTS, across * OUTPUTS, classes)[:, :rows, :columns]
    if bias is not None:
        cut += bias
    return cut.permute(0, 3, 1, 2)


def _dilated(
    maps: Tensor,
    transformed: TransformedWeights,
    bias: Tensor | None,
    padding_hw: tuple[int, int],
    dilation: int,
) -> Tensor:
    above, beside = padding_hw
    whole = functional.pad(maps, (beside, beside, above, above)) if any(padding_hw) else maps
    rows, columns = (side - (transformed.kernel - 1) * dilation for side in whole.shape[2:])
    outputs = maps.new_empty(maps.shape[0], rows, columns, transformed.classes).permute(0, 3, 1, 2)
    for first, left in product(range(min(dilation, rows)), range(min(dilation, columns))):
        part = (..., slice(first, None, dilation), slice(left, None, dilation))
        outputs[part] = convolve(whole[part], transformed, bias)
    return outputs


def _groups(batch: int, down: int, across: int, tiles: int) -> Iterator[tuple[slice, slice]]:
    """Maps and strips that go together: about so many tiles, in groups of one height.

    A short group would read all weights as well.
    """
    maps = max(1, tiles // (down * across))
    groups = -(-down * across // max(tiles, across))
    strips = -(-down // groups)
    for first in range(0, batch, maps):
        for top in range(0, down, strips):
            yield slice(first, first + maps), slice(top, top + strips)


def _transformed_tiles(strips: Tensor, n: int) -> Tensor:
    """Strips (B, D, w, C, n + 1) to tiles at all pairs of points: (n + 1, n + 1, B, D, A, C)."""
    bt = matrices(n)[2].tolist()
    down = _combined(strips.unbind(-1), bt)
    return _combined(down.unfold(3, n + 1, OUTPUTS).unbind(-1), bt).transpose(0, 1)


def _combined(parts: Sequence[Tensor], lines: list[list[float]]) -> Tensor:
    """Sums of parts, one for each line of factors: (lines, ...)."""
    sums = parts[0].new_empty(len(lines), *parts[0].shape)
    for out, line in zip(sums, lines, strict=True):
        _sum(parts, line, out)
    return sums


def _sum(terms: Sequence[Tensor], factors: Sequence[float], out: Tensor) -> None:
    """Terms times their factors, added up; in as few passes over memory as there are."""
    used = [(term, factor) for term, factor in zip(terms, factors, strict=True) if factor]
    # One that is taken as it is spares a pass.
    used.sort(key=lambda pair: pair[1] != 1)
    (first, factor), *others = used
    if factor != 1 or not others:
        torch.mul(first, factor, out=out)
    else:
        (second, factor), *others = others
        torch.add(first, second, alpha=factor, out=out)
    for term, factor in others:
        out.add_(term, alpha=factor)


def _products(tiles: Tensor, transformed: TransformedWeights) -> Tensor:
    """Some tiles (n + 1, n + 1, B, D, A, C) to their outputs (2, 2, B, D, A, K)."""
    at = matrices(transformed.kernel)[0].tolist()
    tiles_shape = tiles.shape[2:5]
    sums = tiles.new_zeros(OUTPUTS, OUTPUTS, tiles_shape.numel(), transformed.classes)
    for row, weights in enumerate(transformed.points):
        across = _row_products([tile.flatten(0, 2) for tile in tiles[row]], weights, at[1])
        for outputs, line in zip(sums, at, strict=True):
            if line[row]:
                for output, product_sum in zip(outputs, across, strict=True):
                    output.add_(product_sum, alpha=line[row])
    return sums.view(OUTPUTS, OUTPUTS, *tiles_shape, transformed.classes)


def _row_products(
    tiles: Sequence[Tensor], weights: Sequence[PackedWeights], points: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """The two sums over a row of points: of all products, and of all times their points.

    Every product is added to those before it as it is made, without a pass of its own. The
    second sum comes from these running sums by Abel's summation by parts: sum of p_i a_i =
    s_n a_n + sum of s_i (a_i - a_(i+1)), whose factors are small since points ascend.
    """
    *finite, infinite = zip(tiles, weights, strict=True)
    running: list[Tensor] = []
    for tile, weight in finite:
        running.append(weight.product(tile, plus=running[-1] if running else None))
    *earlier, first = running
    second = first * points[len(earlier)]
    for partial, point, following in zip(earlier, points, points[1:], strict=False):
        second.add_(partial, alpha=point - following)
    tile, weight = infinite
    return first, weight.product(tile, plus=second)
