"""Matrix products with weights that are laid out for the processor once, not at each call.

oneDNN works on blocks of weights in an order of its own. Given plain ones, every product
starts by re-ordering them, which for a few hundred rows takes a third of its time
(benchmarks/fc6.py). These are the operations that torch's own compiler freezes linear layers
into; without them, or in other numbers than float32, products are torch's plain ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Channels that are summed in one chain. oneDNN adds all of them one after the other, which
# for 512 rounds twice as much as chains of 256 added up do.
CHANNELS = 256
# Rows that the layout is chosen for; others work as well.
_ROWS = 256


@dataclass(frozen=True)
class PackedWeights:
    """Weights (K, C) made ready for products with (M, C): in parts of ``CHANNELS``, or whole."""

    parts: tuple[Tensor, ...]
    packed: bool

    @classmethod
    def of(cls, weight: Tensor) -> PackedWeights:
        """Lay out a copy of weights (K, C); plain ones where they can't be packed."""
        if not can_pack(weight):
            return cls((weight.contiguous(),), packed=False)
        pack = torch.ops.mkldnn._reorder_linear_weight
        parts = torch.split(weight.detach(), CHANNELS, dim=1)
        return cls(tuple(pack(part.contiguous(), _ROWS) for part in parts), packed=True)

    def product(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """(M, C) -> (M, K): rows times the transposed weights, plus a bias (K,)."""
        if not self.packed:
            return functional.linear(rows, self.parts[0], bias)
        linear = torch.ops.mkldnn._linear_pointwise
        first, *others = torch.split(rows, CHANNELS, dim=1)
        found: Tensor = linear(first, self.parts[0], bias, "none", [], "")
        for part, weight in zip(others, self.parts[1:], strict=True):
            found = linear.binary(part, found, weight, None, "add")
        return found


def can_pack(weight: Tensor) -> bool:
    """Whether oneDNN takes weights of this kind on this machine."""
    return (
        weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
