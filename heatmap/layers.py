"""Layers of the converted head that torch has no module for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from .winograd import LARGEST_KERNEL, convolve, transform_weights

# Up to this many outputs a kernel larger than 1 x 1 runs faster as a matrix product:
# conv2d re-orders fc6's 411 MB of weights at each call, a matrix product copies the
# windows instead (benchmarks/fc6.py).
MATRIX_PRODUCT_OUTPUTS = 729

# From this many outputs a call on, Winograd's form is the fastest, once the weights are
# transformed for it; that takes as long as it saves on so many (benchmarks/fc6.py), and
# 1.3 times the weights' memory, so it is done for layers that have seen more than these.
WINOGRAD_OUTPUTS = 128
WINOGRAD_PAYS_FROM = 1024

# A head that runs slice by slice takes at most this many values at once (256 MiB).
SLICE_VALUES = 2**26


@dataclass(frozen=True)
class WinogradWeights:
    """Weights transformed for Winograd's form, and what tells whether they still hold."""

    values: Tensor
    # Shares the weights' memory, so that no others can come to lie at the same address.
    source: Tensor
    version: int
    # One value of each class and channel: writes through ``.data`` leave the version alone.
    centres: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> WinogradWeights:
        source = weight.detach()
        centres = _centres(source).clone()
        return cls(transform_weights(source), source, source._version, centres)

    def hold_for(self, weight: Tensor) -> bool:
        return (
            weight.device == self.source.device
            and weight.data_ptr() == self.source.data_ptr()
            and weight._version == self.version
            and torch.equal(_centres(weight), self.centres)
        )


def _centres(weight: Tensor) -> Tensor:
    """The middle of every kernel: (K, C), a view."""
    return weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2]


class SlidingLinear(nn.Conv2d):
    """A fully connected layer as a convolution, computed the fastest of three ways.

    (B, C, h, w) -> (B, K, h - n + 1, w - m + 1) with an n x m kernel: the same
    weights as ``nn.Linear`` on the flattened n x m slice, applied to every slice
    (Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic
    Segmentation", CVPR 2015, section 3.1). Few outputs are a matrix product, many go
    by Winograd's form (winograd.py) and the rest by ``conv2d``; all agree to rounding.
    """

    # Outputs given so far, and the weights transformed once they have paid for it.
    _seen = 0
    _transformed: WinogradWeights | None = None

    @classmethod
    def from_weights(cls, weight: Tensor, bias: Tensor | None) -> SlidingLinear:
        """Take weights (K, C, n, m) as they are, without a copy where memory order allows."""
        made = cls(
            weight.shape[1],
            weight.shape[0],
            (weight.shape[2], weight.shape[3]),
            bias=bias is not None,
            device="meta",
        )
        kept = weight.detach().contiguous(memory_format=torch.channels_last)
        made.weight = nn.Parameter(kept, requires_grad=weight.requires_grad)
        if bias is not None:
            made.bias = nn.Parameter(bias.detach(), requires_grad=bias.requires_grad)
        return made

    def forward(self, maps: Tensor) -> Tensor:
        n, m = cast(tuple[int, int], self.kernel_size)
        if torch.compiler.is_exporting():
            return super().forward(maps)
        outputs = maps.shape[0] * (maps.shape[2] - n + 1) * (maps.shape[3] - m + 1)
        if (n, m) == (1, 1):
            return self._matrix_product(maps, n, m)
        transformed = self._winograd_weights(maps, outputs)
        if transformed is not None:
            return convolve(maps, transformed, self.bias)
        if outputs > MATRIX_PRODUCT_OUTPUTS:
            return super().forward(maps)
        return self._matrix_product(maps, n, m)

    def _winograd_weights(self, maps: Tensor, outputs: int) -> Tensor | None:
        """Weights for Winograd's form, where it has one and it pays."""
        n, m = cast(tuple[int, int], self.kernel_size)
        if n != m or not 3 <= n <= LARGEST_KERNEL or outputs < WINOGRAD_OUTPUTS:
            return None
        # Neither gradients nor made-up tensors (FakeTensor, meta) go that way.
        made_up = type(maps) is not Tensor or maps.is_meta
        if made_up or maps.dtype != torch.float32 or torch.is_grad_enabled():
            return None
        if self.weight.is_inference():
            # It would not tell when it is changed.
            return None
        if self._transformed is not None and self._transformed.hold_for(self.weight):
            return self._transformed.values
        # Let go of stale ones first: two would take 1.1 GB for fc6.
        self._transformed = None
        self._seen += outputs
        if self._seen <= WINOGRAD_PAYS_FROM:
            return None
        self._transformed = WinogradWeights.of(self.weight)
        return self._transformed.values

    def __getstate__(self) -> dict[str, object]:
        """Without what can be worked out again: copies and files stay small."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("_transformed", "_seen")
        }

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


class SliceHead(nn.Module):
    """Any head at all, run as it is on every n x m slice of a feature map.

    The slow and plain meaning of "head slide": (B, C, h, w) -> (B, K, N, M) by
    cutting the map into slices and giving them to the original head as a batch.
    Used where a head has an operation that has no convolutional form.
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
        per_row = batch * columns * slices[0, 0, 0].numel()
        at_once = max(1, SLICE_VALUES // per_row)
        done = [
            self.head(slices[:, top : top + at_once].flatten(0, 2)).unflatten(
                0, (batch, -1, columns)
            )
            for top in range(0, rows, at_once)
        ]
        return torch.cat(done, dim=1).permute(0, 3, 1, 2)
