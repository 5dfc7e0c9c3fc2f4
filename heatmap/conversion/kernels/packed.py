"""Matrix products with weights that are packed for the processor once, not at each call.

oneDNN works on blocks of weights in its own order. With plain weights, every product first
reorders them, which for a few hundred rows takes a third of its time (benchmarks/fc6.py). These
are the operations into which torch's compiler freezes linear layers; if they are not available, or
for other dtypes than float32, torch's plain products are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Channels that are summed in one chain. oneDNN adds all of them one after the other, and the
# error of a sum grows with its chain: a few chains added up round less than a long one.
CHANNELS = 1024
# Rows that the layout is chosen for; others work as well.
_ROWS = 256


@dataclass(frozen=True)
class PackedWeights:
    """Weights (K, C) made ready for products with (M, C): in parts of some channels, or whole."""

    parts: tuple[Tensor, ...]
    channels: int
    packed: bool

    @classmethod
    def of(cls, weight: Tensor, channels: int = CHANNELS) -> PackedWeights:
        """Lay out a copy of weights (K, C), to sum so many channels in one chain.

        Plain weights where they can't be packed.
        """
        if not can_pack(weight):
            return cls((weight.contiguous(),), channels, packed=False)
        pack = torch.ops.mkldnn._reorder_linear_weight
        parts = torch.split(weight.detach(), channels, dim=1)
        return cls(tuple(pack(part.contiguous(), _ROWS) for part in parts), channels, packed=True)

    def product(
        self, rows: Tensor, bias: Tensor | None = None, plus: Tensor | None = None
    ) -> Tensor:
        """(M, C) -> (M, K): rows times the transposed weights, plus a bias (K,), plus (M, K)."""
        if not self.packed:
            product = functional.linear(rows, self.parts[0], bias)
            return product if plus is None else product.add_(plus)
        linear = torch.ops.mkldnn._linear_pointwise
        for part, weight in zip(torch.split(rows, self.channels, dim=1), self.parts, strict=True):
            if plus is None:
                plus = linear(part, weight, bias, "none", [], "")
            else:
                plus = linear.binary(part, plus, weight, bias, "add")
            bias = None
        assert plus is not None
        return plus


def can_pack(weight: Tensor) -> bool:
    """Whether oneDNN takes weights of this kind on this machine."""
    return (
        weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
