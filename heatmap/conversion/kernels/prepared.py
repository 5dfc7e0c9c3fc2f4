"""Weights in the form in which they are fastest, made once they have paid for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from .packed import PackedWeights
from .winograd import TransformedWeights, transform_weights

Form: TypeAlias = TransformedWeights | PackedWeights


# Preparing takes as long as it saves on about so many outputs of fc6 (benchmarks/fc6.py), and
# more memory than the weights, so it is done for layers that have given more than these.
PAYS_FROM = 1024


# From so many outputs of a call and pairs of channels on, Winograd's form of a 3 x 3
# convolution is the faster one (benchmarks/conv.py).
WINOGRAD_OUTPUTS = 512


_MAKING = threading.RLock()


# Weights that are looked at to see whether they are still the same.
SAMPLED_VALUES = 2**16


class PreparedWeights:
    """The weights (K, C, n, n) of one layer: for Winograd's form, or for products where n is 1."""

    def __init__(self) -> None:
        self._seen = 0
        self._made: _Made | None = None

    @property
    def made(self) -> bool:
        """Whether they have been prepared, if only for weights that were others then."""
        return self._made is not None

    def at_once(self) -> None:
        """Prepare them when they are next asked for, whatever they have given so far."""
        self._seen = PAYS_FROM

    def form(self, weight: Tensor, maps: Tensor, outputs: int) -> Form | None:
        """What to use for so many outputs of maps (B, C, h, w); None is the weights as they are.

        Prepared anew where the weights have changed.
        """
        if not _may_prepare(weight, maps):
            return None
        made = self._made
        if made is not None and made.holds_for(weight):
            return made.form
        # Once, though several photos may ask at a time.
        with _MAKING:
            if made is not self._made:
                return self.form(weight, maps, outputs)
            # Let go of stale ones first: two would take 1.1 GB for fc6.
            made = self._made = None
            self._seen += outputs
            if self._seen > PAYS_FROM:
                made = self._made = _Made.of(weight)
        return None if made is None else made.form


def _may_prepare(weight: Tensor, maps: Tensor) -> bool:
    # Neither gradients nor made-up tensors (FakeTensor, meta) go that way; and weights made
    # in inference mode would not tell when they are changed.
    made_up = type(maps) is not Tensor or maps.is_meta
    plain = maps.dtype == weight.dtype == torch.float32 and not torch.is_grad_enabled()
    return plain and not made_up and not weight.is_inference()


@dataclass(frozen=True)
class _Made:
    """Prepared weights, and what tells whether they still hold."""

    form: Form
    # Shares the weights' memory, so that no others can come to lie at the same address.
    source: Tensor
    version: int
    # Some of the values: writes through ``.data`` leave the version alone.
    sample: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> _Made:
        source = weight.detach()
        single = weight.shape[2:] == (1, 1)
        form = PackedWeights.of(source[:, :, 0, 0]) if single else transform_weights(source)
        return cls(form, source, source._version, _sample(source).clone())

    def holds_for(self, weight: Tensor) -> bool:
        return (
            weight.device == self.source.device
            and weight.data_ptr() == self.source.data_ptr()
            and weight._version == self.version
            and torch.equal(_sample(weight), self.sample)
        )


def _sample(weight: Tensor) -> Tensor:
    """Every so many of the channels in the middle of every kernel: (K, some C), a view."""
    centres = weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2]
    return centres[:, :: -(-centres.numel() // SAMPLED_VALUES)]
