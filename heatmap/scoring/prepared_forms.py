"""The prepared forms of one network, by stride: found in the cache, or made and kept there."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..choices import Backend
from ..errors import ConversionError, HeatmapError, ModelError, Use
from ..prepared.network import PreparedNetwork
from ..prepared.store import NETWORK, Store
from .in_torch import InTorch

if TYPE_CHECKING:
    from .preparation import Preparation

# Distance between windows, px; None is the native one, or single windows for the crop engine.
Stride = int | None


class Forms(Protocol):
    """What scores in ONNX Runtime, by stride."""

    @property
    def backend(self) -> Backend:
        """What was asked to run it."""

    @property
    def alone(self) -> bool:
        """Whether nothing of the network is in torch."""

    @property
    def note(self) -> str:
        """Why nothing is kept, for the user, if that was not asked for; else ""."""

    @property
    def unprepared(self) -> list[Stride]:
        """The strides that could be prepared, and are not."""

    def insisting(self) -> Forms:
        """The same for the backend "onnx"."""

    def at(self, stride: Stride) -> PreparedNetwork | None:
        """The form at a stride; None where torch is to score."""

    def prepare(self, stride: Stride) -> PreparedNetwork | None:
        """Prepare the form at a stride now; None where torch is to score."""


class PreparedForms:
    """Forms of a network for ONNX Runtime, as far as they are kept and the faster ones here.

    Attributes:
        name: name of the network.
        backend: "auto" takes those that are faster on this machine, "onnx" all.
        store: the cache.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        typed: Callable[[Stride], str] | None,
        in_torch: InTorch,
    ) -> None:
        """
        Args:
            name, backend: as the attributes.
            typed: the digest of what was typed, for a stride; None for modules and factories,
                which have to be recorded to know whether they are the same.
            in_torch: the network in torch.
        """
        self.name, self.backend, self.store = name, backend, Store()
        self.alone = False
        self._typed, self._in_torch = typed, in_torch
        self._found: dict[Stride, PreparedNetwork | None] = {}
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.RLock()

    @classmethod
    def of(cls, name: str, networks: Sequence[PreparedNetwork], in_torch: InTorch) -> PreparedForms:
        """Forms that were prepared elsewhere, the first at the native stride."""
        forms = cls(name, "onnx", None, in_torch)
        native = networks[0].slides.native_stride_px
        for network in networks:
            forms._found[None if network.stride_px == native else network.stride_px] = network
        return forms

    @property
    def note(self) -> str:
        """Why nothing is kept, for the user, if that was not asked for; else ""."""
        return self.store.note

    def insisting(self) -> PreparedForms:
        """The same for the backend "onnx"."""
        return PreparedForms(self.name, "onnx", self._typed, self._in_torch)

    def at(self, stride: Stride) -> PreparedNetwork | None:
        """The form at a stride; None where torch is to score."""
        with self._lock:
            if stride not in self._found:
                self._found[stride] = self._kept(stride)
                if self._found[stride] is None and self.backend == "onnx":
                    self.prepare(stride)
            return self._found[stride]

    def typed_at(self, stride: Stride) -> PreparedNetwork | None:
        """As :meth:`at`, but None where torch is needed to know."""
        return None if self._typed is None else self.at(stride)

    @property
    def unprepared(self) -> list[Stride]:
        """The strides that torch scored because nothing is known of them on this machine yet."""
        if self.store.folder is None:
            return []
        return [
            stride
            for stride, network in self._found.items()
            if network is None and self._winner(stride) is None
        ]

    def prepare(self, stride: Stride) -> PreparedNetwork | None:
        """Prepare the form at a stride now, and keep it; None where torch is the faster one.

        Raises:
            ModelError: the network does not run in ONNX Runtime, and that was insisted on.
        """
        with self._lock:
            try:
                self._found[stride] = self._made(stride)
            except (ConversionError, ModelError) as error:
                self._found[stride] = None
                if self.backend == "onnx":
                    raise ModelError(
                        f"{self.name} does not run in ONNX Runtime: {error.message}",
                        Use("backend", "torch"),
                    ) from error
            return self._found[stride]

    def _key(self, stride: Stride) -> str | None:
        """The key of a form, as far as it is known without torch; of modules always."""
        if self._typed is not None:
            return self.store.key_of(self._typed(stride))
        # What does not slide would have to be recorded only for this.
        slides = self._in_torch.get().engine == "slide"
        return self._preparation(stride).key() if slides else None

    def _winner(self, stride: Stride) -> str | None:
        key = self._key(stride)
        return None if key is None else self.store.winner(key)

    def _kept(self, stride: Stride) -> PreparedNetwork | None:
        if self.store.is_empty or (key := self._key(stride)) is None:
            return None
        if self.backend == "auto" and self.store.winner(key) != "onnx":
            return None
        return self.store.find(key)

    def _made(self, stride: Stride) -> PreparedNetwork | None:
        started = time.perf_counter()
        preparation = self._preparation(stride)
        key = preparation.key()
        if self._typed is not None:
            self.store.leads_to(self._typed(stride), key)
        try:
            network = self.store.find(key) or self._written(preparation, key)
        except HeatmapError:
            # Not tried again at every start.
            self.store.remember(key, "torch")
            raise
        if self.backend == "auto" or self.store.winner(key) is None:
            winner = preparation.winner(network, time.perf_counter() - started)
            self.store.remember(key, winner)
            return network if winner == "onnx" or self.backend == "onnx" else None
        return network

    def _written(self, preparation: Preparation, key: str) -> PreparedNetwork:
        """The network in the cache or, where nothing is kept, in a temporary folder."""
        if (kept := self.store.add(key, preparation.write)) is not None:
            return kept
        self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="heatmap-")
        path = Path(self._temporary.name) / key / NETWORK
        path.parent.mkdir()
        return replace(preparation.write(path), digest=key)

    def _preparation(self, stride: Stride) -> Preparation:
        from .preparation import Preparation

        loaded = self._in_torch.get()
        if loaded.engine == "crop":
            return Preparation(loaded, None)
        return Preparation(loaded, stride or loaded.slides.native_stride_px)
