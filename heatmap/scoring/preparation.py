"""Prepare a network for ONNX Runtime, keep it, and find out which backend is faster here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from ..conversion.graph import read_attribute
from ..conversion.network import FullyConvolutional
from ..conversion.trace import trace
from ..memory import kept_memory
from ..networks.prepared_form import write_cropping, write_sliding
from ..networks.state_dict import digest_of_weights
from ..networks.tensors import photo_tensor
from ..prepared.facts import SlidingFacts, described_facts, described_sliding
from ..prepared.network import Form, PreparedNetwork
from ..prepared.peak import Shape, measured_peak
from ..prepared.session import POSITIONS, SCORES
from ..prepared.store import Winner
from ..prepared.typed import digest_of_json, made_with
from ..threads import thread_count
from .loaded import Loaded

Pixels: TypeAlias = npt.NDArray[np.uint8]

# Timing takes at most this share of the preparation; torch is taken where it is as fast as this.
_SHARE, _CLOSE = 0.1, 1.1
# Sides of the larger of both inputs, in native strides beyond one window; and windows a batch.
_LARGER, _WINDOWS = 8, 4
# Side of the input whose memory is measured, px, at least.
_MEASURED_PX = 768


class Preparation:
    """One form of a network, at one stride, on its way into the cache."""

    def __init__(self, loaded: Loaded, stride_px: int | None) -> None:
        """
        Args:
            loaded: the network in torch, on the CPU in float32.
            stride_px: distance between windows, px; None is single windows, for the crop engine.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        self._loaded, self._stride_px = loaded, stride_px
        self._network: FullyConvolutional | None = None
        self._positions: FullyConvolutional | None = None
        if stride_px is not None:
            assert loaded.networks is not None
            self._network = loaded.networks.windows(stride_px)
            self._positions = loaded.networks.positions(stride_px)

    @property
    def form(self) -> Form:
        """Whether it takes photos of any size, or single windows."""
        return "crop" if self._network is None else "slide"

    def key(self) -> str:
        """A digest of everything that the file depends on: 64 hex digits."""
        classifier = self._loaded.classifier
        if self._network is None:
            own = classifier.preprocessing
            bodies = [trace(classifier.module, own.window_px, own.channels).body]
        else:
            bodies = [self._network.plan.traced.body]
        return digest_of_json(
            [
                # The same network under another name is kept once.
                described_facts(replace(classifier.bare, name="")),
                described_sliding(self._sliding()),
                self.form,
                self._stride_px,
                [_digest_of_graph(body) for body in bodies],
                made_with(),
            ]
        )

    def write(self, path: Path) -> PreparedNetwork:
        """Write the file, compare it with the network in torch, and measure the memory it takes.

        Raises:
            ConversionError: it cannot be exported, or gives other scores in ONNX Runtime.
            ModelError: it does not run in ONNX Runtime.
        """
        classifier = self._loaded.classifier
        if self._network is None:
            write_cropping(classifier, path)
        else:
            write_sliding(classifier, self._network, self._positions, path)
        output = POSITIONS if self._positions is not None else SCORES
        peak = measured_peak(path, output, self._measured())
        sliding = self._sliding()
        return PreparedNetwork(classifier.bare, sliding, self.form, self._stride_px, peak, "", path)

    def winner(self, prepared: PreparedNetwork, seconds: float) -> Winner:
        """The faster backend on this machine, by both inputs in turn.

        Args:
            prepared: the network in ONNX Runtime.
            seconds: how long the preparation took; timing takes a tenth of it, half for each
                input, or one round.
        """
        ways: dict[Winner, Callable[[Pixels], object]] = {
            "torch": self._in_torch,
            "onnx": lambda pixels: prepared.timed(pixels, thread_count()),
        }
        best = dict.fromkeys(ways, 0.0)
        inputs = [np.zeros((*shape, 3), np.uint8) for shape in self._shapes()]
        with kept_memory():
            # Loads the network in ONNX Runtime, which does not count.
            _in_turn(ways, inputs[0], 0)
            for pixels in inputs:
                for name, taken in _in_turn(ways, pixels, _SHARE * seconds / len(inputs)).items():
                    best[name] += taken
        return "torch" if best["torch"] <= _CLOSE * best["onnx"] else "onnx"

    def _in_torch(self, pixels: Pixels) -> None:
        """Run the network as :class:`photo_pass.PhotoPass` does on inputs of these sizes."""
        classifier, network = self._loaded.classifier, self._positions or self._network
        with torch.inference_mode():
            photos = photo_tensor(pixels, classifier.preprocessing)
            if network is None:
                classifier.module(photos)
            elif network.statistics == "whole" or network.one_pass:
                network(photos)
            else:
                network.head(network.fast_trunk(photos))

    def _sliding(self) -> SlidingFacts:
        map_hw = None if self._positions is None else self._positions.plan.map_hw
        why_not = ""
        if map_hw is None and self._stride_px is not None:
            assert self._loaded.networks is not None
            why_not = self._loaded.networks.why_no_positions(self._stride_px)
        return replace(self._loaded.slides, map_hw=map_hw, why_no_positions=why_not)

    def _measured(self) -> tuple[Shape, Shape]:
        """Two inputs large enough for their memory not to be lost in what was freed before."""
        few, more = self._shapes()
        if self._network is None:
            return few, more
        window, step = self._network.window_px, self._network.native_stride_px
        side = window + step * max(2 * _LARGER, math.ceil((_MEASURED_PX - window) / step))
        return more, (1, side, side)

    def _shapes(self) -> tuple[Shape, Shape]:
        """Photos, height and width of one window, and of a larger input."""
        window = self._loaded.classifier.preprocessing.window_px
        if self._network is None:
            return (1, window, window), (_WINDOWS, window, window)
        side = window + _LARGER * self._network.native_stride_px
        return (1, window, window), (1, side, side)


def _in_turn(
    ways: Mapping[Winner, Callable[[Pixels], object]], pixels: Pixels, seconds: float
) -> dict[Winner, float]:
    """The least seconds that each way takes, in as many rounds as there is time for, at least one.

    ``seconds`` is how long the rounds may take.
    """
    best: dict[Winner, float] = {}
    until = time.perf_counter() + seconds
    while True:
        for name, way in ways.items():
            started = time.perf_counter()
            way(pixels)
            taken = time.perf_counter() - started
            best[name] = min(taken, best.get(name, taken))
        if time.perf_counter() > until:
            return best


def _digest_of_graph(body: fx.GraphModule) -> list[str]:
    """Digests of a recorded graph, and of all values that it reads."""
    reads = [node.target for node in body.graph.nodes if node.op == "get_attr"]
    values = {str(target): read_attribute(body, str(target)) for target in reads}
    return [str(body.graph), digest_of_weights(values)]
