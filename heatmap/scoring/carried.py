"""Prepared networks on their way to workers elsewhere, which then score without torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..contents import read_bytes
from ..errors import ModelError
from ..prepared.network import PreparedNetwork, described, read_described
from .device import Compute
from .in_torch import InTorch
from .prepared_forms import PreparedForms
from .scorer import Scorer

if TYPE_CHECKING:
    from .loaded import Loaded


@dataclass(frozen=True)
class CarriedNetwork:
    """A prepared network as plain values, which any process can read.

    Attributes:
        described: all but the file, JSON of :func:`network.described`.
        content: the ONNX file.
    """

    described: str
    content: bytes = field(repr=False)

    def network(self) -> PreparedNetwork:
        """The network, run from memory."""
        return read_described(json.loads(self.described), self.content)


def carried_networks(scorer: Scorer, stride_px: int) -> tuple[CarriedNetwork, ...]:
    """All that ONNX Runtime needs to score at a stride, and to confirm by cropping.

    None at all where torch scores, or where weights are too large for one file.
    """
    strides = dict.fromkeys((scorer.native_stride_px, stride_px))
    networks = [scorer.prepared_at(stride) for stride in strides]
    carried = [_carried(network) for network in networks if network is not None]
    return tuple(each for each in carried if each) if all(networks) and all(carried) else ()


def _carried(network: PreparedNetwork) -> CarriedNetwork | None:
    file = network.file
    if isinstance(file, Path):
        # Of bytes, ONNX Runtime would look for a file beside them in the working folder.
        if file.with_name(f"{file.name}.data").exists():
            return None
        file = read_bytes(file, ModelError)
    return CarriedNetwork(json.dumps(described(network)), file)


def carried_scorer(
    carried: tuple[CarriedNetwork, ...], name: str, load: Callable[[], Loaded]
) -> Scorer:
    """A scorer of :func:`carried_networks`, at least one.

    Args:
        carried: the networks; the first is that of the native stride.
        name: name of the model.
        load: loads the network in torch, which is only done for photos too large for the memory.
    """
    networks = [each.network() for each in carried]
    in_torch, native = InTorch(load), networks[0]
    forms = PreparedForms.of(name, networks, in_torch)
    return Scorer(native.facts, native.form, native.slides, in_torch, forms, Compute())
