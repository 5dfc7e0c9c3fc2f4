"""Weights prepared in their fastest form, once that pays off."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from .packed import PackedWeights, can_pack
from .winograd import TransformedWeights, transform_weights

# The two forms of prepared weights.
FastWeights: TypeAlias = TransformedWeights | PackedWeights

# Preparing takes as long as it saves on about so many outputs of fc6 (benchmarks/fc6.py), and
# more memory than the weights, so it is done for layers that have given more than these.
PAYS_FROM = 1024

# From so many outputs of a call, and so many pairs of channels, on, Winograd's form of a 3 x 3
# convolution is the faster one (benchmarks/conv.py).
WINOGRAD_OUTPUTS = 512
WINOGRAD_CHANNEL_PAIRS = 128 * 256

# Weights that are looked at to see whether they are still the same.
SAMPLED_VALUES = 2**16

_PREPARING = threading.RLock()


class PreparedWeights:
    """The weights (K, C, n, n) of one layer: for Winograd's form, or for products where n is 1."""

    def __init__(self) -> None:
        self._outputs = 0
        self._prepared: _Prepared | None = None

    @property
    def made(self) -> bool:
        """Whether weights have been prepared, even if they have changed since."""
        return self._prepared is not None

    def at_once(self) -> None:
        """Prepare the weights at the next call, without waiting until it pays off."""
        self._outputs = PAYS_FROM

    def form(self, weight: Tensor, maps: Tensor, outputs: int) -> FastWeights | None:
        """The form to use for this number of outputs; None is the plain weights.

        Weights that have changed are prepared again. Safe to call from several threads.

        Args:
            weight: the layer's current weights, (K, C, n, n).
            maps: the layer's input, (B, C, h, w).
            outputs: number of output positions, B * rows * columns.
        """
        if not _may_prepare(weight, maps):
            return None
        prepared = self._prepared
        if prepared is not None and prepared.holds_for(weight):
            return prepared.form
        # Once, though several photos may ask at a time.
        with _PREPARING:
            if prepared is not self._prepared:
                return self.form(weight, maps, outputs)
            # Let go of stale ones first: two would take 1.1 GB for fc6.
            prepared = self._prepared = None
            self._outputs += outputs
            if self._outputs > PAYS_FROM:
                prepared = self._prepared = _Prepared.of(weight)
        return None if prepared is None else prepared.form


def winograd_pays(weight: Tensor) -> bool:
    """Whether a convolution of stride 1, without groups, is worth preparing for Winograd's form.

    A 3 x 3 kernel with many channels is: ``weight`` is (K, C, n, m).
    """
    pairs = weight.shape[0] * weight.shape[1]
    return weight.shape[2:] == (3, 3) and pairs >= WINOGRAD_CHANNEL_PAIRS and can_pack(weight)


def _may_prepare(weight: Tensor, maps: Tensor) -> bool:
    # Neither gradients nor made-up tensors (FakeTensor, meta) go that way; and weights made
    # in inference mode would not tell when they are changed.
    made_up = type(maps) is not Tensor or maps.is_meta
    plain = maps.dtype == weight.dtype == torch.float32 and not torch.is_grad_enabled()
    if made_up or not plain or weight.is_inference():
        return False
    # Prepared, they would not be computed in another format.
    return not torch.is_autocast_enabled(maps.device.type)


@dataclass(frozen=True)
class _Prepared:
    """Prepared weights, and what is needed to detect that the weights have changed."""

    form: FastWeights
    # Shares the weights' memory, so that no others can come to lie at the same address.
    source: Tensor
    version: int
    # Some of the values: writes through ``.data`` leave the version alone.
    sample: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> _Prepared:
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
