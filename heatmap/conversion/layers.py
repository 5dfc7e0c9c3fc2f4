"""Layers of the converted head that torch has no module for."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from .box import Box
from .box_statistics import MAP, BoxSide, Statistic
from .kernels.packed import PackedWeights
from .kernels.prepared import FastWeights, PreparedWeights
from .kernels.winograd import LARGEST_KERNEL, TransformedWeights, convolve

# Up to this many outputs a kernel larger than 1 x 1 runs faster as a matrix product:
# conv2d re-orders fc6's 411 MB of weights at each call, a matrix product copies the
# windows instead (benchmarks/fc6.py).
MATRIX_PRODUCT_OUTPUTS = 729

# From this many outputs a call on, weights that were prepared are the fastest: transformed for
# Winograd's form, or laid out for products (benchmarks/fc6.py).
PREPARED_OUTPUTS = 128

# A head that runs slice by slice takes at most this many values at once (256 MiB).
SLICE_VALUES = 2**26


class SlidingLinear(nn.Conv2d):
    """A fully connected layer as a convolution, computed in the fastest of three ways.

    (B, C, h, w) -> (B, K, h - n + 1, w - m + 1) with an n x m kernel: the same
    weights as ``nn.Linear`` on the flattened n x m slice, applied to every slice
    (Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic
    Segmentation", CVPR 2015, section 3.1). Few outputs are a matrix product, many go
    by Winograd's form (winograd.py) and the rest by ``conv2d``; all agree to rounding.
    """

    _prepared: PreparedWeights | None = None

    @property
    def prepared(self) -> PreparedWeights:
        """The weights in a faster form, where it pays."""
        if self._prepared is None:
            self._prepared = PreparedWeights()
        return self._prepared

    @classmethod
    def from_weights(cls, weight: Tensor, bias: Tensor | None) -> SlidingLinear:
        """Take weights (K, C, n, m) as they are, without a copy where memory order allows."""
        layer = cls(
            weight.shape[1],
            weight.shape[0],
            (weight.shape[2], weight.shape[3]),
            bias=bias is not None,
            device="meta",
        )
        last = weight.detach().contiguous(memory_format=torch.channels_last)
        layer.weight = nn.Parameter(last, requires_grad=weight.requires_grad)
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach(), requires_grad=bias.requires_grad)
        return layer

    def forward(self, maps: Tensor) -> Tensor:
        n, m = cast(tuple[int, int], self.kernel_size)
        if torch.compiler.is_exporting():
            if (n, m) != (1, 1):
                return super().forward(maps)
            # torch's convolution distinguishes one position from several, and would record
            # which it was.
            cells = maps.permute(0, 2, 3, 1)
            return functional.linear(cells, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        outputs = maps.shape[0] * (maps.shape[2] - n + 1) * (maps.shape[3] - m + 1)
        form = self._form(maps, outputs)
        if isinstance(form, TransformedWeights):
            return convolve(maps, form, self.bias)
        if isinstance(form, PackedWeights):
            rows = maps.permute(0, 2, 3, 1)
            product = form.product(rows.flatten(0, 2), self.bias)
            return product.view(*rows.shape[:3], self.out_channels).permute(0, 3, 1, 2)
        if outputs > MATRIX_PRODUCT_OUTPUTS and (n, m) != (1, 1):
            return super().forward(maps)
        return self._matrix_product(maps, n, m)

    def _form(self, maps: Tensor, outputs: int) -> FastWeights | None:
        """The prepared weights, where they can be had and pay."""
        n, m = cast(tuple[int, int], self.kernel_size)
        if n != m or n == 2 or n > LARGEST_KERNEL or outputs < PREPARED_OUTPUTS:
            return None
        return self.prepared.form(self.weight, maps, outputs)

    def __getstate__(self) -> dict[str, object]:
        """Leave out prepared weights, which can be computed again, so that copies stay small."""
        return {name: value for name, value in vars(self).items() if name != "_prepared"}

    def _matrix_product(self, maps: Tensor, n: int, m: int) -> Tensor:
        """One row a slice, in (row, column, channel) order: the order both lie in memory."""
        slices = maps.permute(0, 2, 3, 1).unfold(1, n, 1).unfold(2, m, 1)
        rows = slices.permute(0, 1, 2, 4, 5, 3).reshape(*slices.shape[:3], -1)
        weight = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)
        return functional.linear(rows, weight, self.bias).permute(0, 3, 1, 2)


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of every position: (B, C, h, w) -> the same shape."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class MeanOfWindow(nn.Module):
    """The mean over the n x m positions of each window.

    (B, C, h, w) -> (B, C, h - n + 1, w - m + 1). First down, then across: n + m additions instead
    of n x m. No library's average pool does so by itself, and at a stride of 8 px it would take as
    long as half of the trunk.
    """

    def __init__(self, map_hw: tuple[int, int]) -> None:
        super().__init__()
        self.map_hw = map_hw

    def forward(self, maps: Tensor) -> Tensor:
        n, m = self.map_hw
        return functional.avg_pool2d(functional.avg_pool2d(maps, (n, 1), 1), (1, m), 1)


class LogSumExpOfWindow(nn.Module):
    """The logarithm of the sum of exponentials over the positions of each window.

    (B, C, h, w) -> (B, C, h - n + 1, w - m + 1).
    """

    def __init__(self, map_hw: tuple[int, int]) -> None:
        super().__init__()
        self.map_hw = map_hw

    def forward(self, maps: Tensor) -> Tensor:
        statistic = Statistic("logsumexp", MAP, maps.shape[1], 1)
        for side in (1, 0):
            part = BoxSide(statistic, Box(self.map_hw[side]), side)
            total, before = maps.shape[2 + side], part.box.before
            # The positions that windows have in their middle.
            middles = (before, total - self.map_hw[side] + 1 + before)
            maps = part.part(maps, middles, 0, total)
        return maps


class PoolOfOne(nn.Identity):
    """A pool over the single position that a window has left, which changes nothing.

    ``kind`` is the pool's operation ("adaptive_avg_pool2d").
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind


class SliceHead(nn.Module):
    """The original head, run on every n x m slice of a feature map.

    (B, C, h, w) -> (B, K, N, M) by cutting the feature map into slices and giving them to the
    head as a batch: the definition of sliding a head, only slow. Used for heads with an
    operation that has no convolutional form.
    """

    def __init__(self, head: fx.GraphModule, map_hw: tuple[int, int], letters: str) -> None:
        super().__init__()
        self.head = head
        self.map_hw = map_hw
        self.channels_last = letters == "bhwc"

    def forward(self, maps: Tensor) -> Tensor:
        slices = maps.unfold(2, self.map_hw[0], 1).unfold(3, self.map_hw[1], 1)
        order = (0, 2, 3, 4, 5, 1) if self.channels_last else (0, 2, 3, 1, 4, 5)
        slices = slices.permute(order)
        batch, rows, columns = slices.shape[:3]
        if torch.compiler.is_exporting():
            # A program has no loop over a number of rows that it learns only when it runs.
            scores = self.head(slices.flatten(0, 2)).unflatten(0, (batch, rows, columns))
            return scores.permute(0, 3, 1, 2)  # type: ignore[no-any-return]
        per_row = batch * columns * slices[0, 0, 0].numel()
        at_once = max(1, SLICE_VALUES // per_row)
        done = [
            self.head(slices[:, top : top + at_once].flatten(0, 2)).unflatten(
                0, (batch, -1, columns)
            )
            for top in range(0, rows, at_once)
        ]
        return torch.cat(done, dim=1).permute(0, 3, 1, 2)
