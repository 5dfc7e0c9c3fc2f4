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
from ..errors import ConversionError, HeatmapError, ModelError, ResultError, Use, reason_of
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
        # Before the network is loaded: its files may be replaced at any time.
        self._typed_first = typed(None) if typed and self.store.folder is not None else None
        self._found: dict[Stride, PreparedNetwork | None] = {}
        self._recorded: dict[Stride, str | None] = {}
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
        forms = PreparedForms(self.name, "onnx", self._typed, self._in_torch)
        forms._typed_first = self._typed_first
        return forms

    def at(self, stride: Stride) -> PreparedNetwork | None:
        """The form at a stride; None where torch is to score."""
        with self._lock:
            if stride not in self._found:
                self._found[stride] = self._kept(stride)
                if self._found[stride] is None and self.backend == "onnx":
                    self.prepare(stride)
            network = self._found[stride]
            # Another process may have cleared the cache before it was loaded.
            return network if network is None or network.is_there else None

    def typed_at(self, stride: Stride) -> PreparedNetwork | None:
        """As :meth:`at`, but None where torch is needed to know."""
        return None if self._typed is None else self.at(stride)

    @property
    def unprepared(self) -> list[Stride]:
        """The strides that torch scored although it may be the slower one on this machine.

        None where nothing is kept: it would be prepared in vain, again at each start.
        """
        if self.store.folder is None:
            return []
        with self._lock:
            left = [stride for stride, network in self._found.items() if network is None]
            return [stride for stride in left if self._may_win(stride)]

    def prepare(self, stride: Stride) -> PreparedNetwork | None:
        """Prepare the form at a stride now, and keep it; None where torch is the faster one.

        Raises:
            ModelError: the network does not run in ONNX Runtime, and that was insisted on.
            ResultError: its file cannot be written.
        """
        with self._lock:
            # What is wrong with the network itself is no matter of ONNX Runtime.
            self._in_torch.get()
            try:
                self._found[stride] = self._made(stride)
            except (ConversionError, ModelError) as error:
                self._found[stride] = None
                if self.backend == "onnx":
                    raise ModelError(
                        f"{self.name} does not run in ONNX Runtime: {error.message}",
                        Use("backend", "torch"),
                    ) from error
            # A full disk, say.
            except OSError as error:
                self._found[stride] = None
                raise ResultError(
                    f"{self.name} cannot be kept in {self.store.folder}: {reason_of(error)}",
                    Use("backend", "torch"),
                ) from error
            return self._found[stride]

    def _key(self, stride: Stride) -> str | None:
        """The key of a form: of what was typed as far as it is known, else by recording it."""
        if self._typed is not None:
            return self.store.key_of(self._typed(stride)) if self._typed_is_the_same() else None
        if stride not in self._recorded:
            try:
                self._recorded[stride] = self._preparation(stride).key()
            except ConversionError:
                self._recorded[stride] = None
        return self._recorded[stride]

    def _may_win(self, stride: Stride) -> bool:
        """Whether nothing is known of a form on this machine yet, or it is no longer kept."""
        key = self._key(stride)
        if key is None:
            # What was typed was not recorded yet; others cannot be.
            return self._typed_is_the_same()
        return self.store.winner(key) != "torch"

    def _kept(self, stride: Stride) -> PreparedNetwork | None:
        if self.store.is_empty or (key := self._key(stride)) is None:
            return None
        if self.backend == "auto" and self.store.winner(key) != "onnx":
            return None
        network = self.store.find(key)
        return None if network is None else self._named(network)

    def _named(self, network: PreparedNetwork) -> PreparedNetwork:
        """The network by the name that it has here: it is kept once, however it was named."""
        typed = self._typed is not None
        name = self.name if typed else self._in_torch.get().classifier.name
        return replace(network, facts=replace(network.facts, name=name))

    def _made(self, stride: Stride) -> PreparedNetwork | None:
        started = time.perf_counter()
        preparation = self._preparation(stride)
        # What cannot be recorded is known by what was typed.
        key = typed = None if self._typed is None else self._typed(stride)
        try:
            key = preparation.key()
            network = self._named(self.store.find(key) or self._written(preparation, key))
            if self.backend == "auto" or self.store.winner(key) is None:
                winner = preparation.winner(network, time.perf_counter() - started)
                self.store.remember(key, winner)
                return network if winner == "onnx" or self.backend == "onnx" else None
            return network
        except HeatmapError:
            # Not tried again at every start.
            if key is not None:
                self.store.remember(key, "torch")
            raise
        finally:
            # What is loaded is of the files as they were: others must not lead to it.
            if typed and key is not None and self._typed_is_the_same():
                self.store.leads_to(typed, key)

    def _typed_is_the_same(self) -> bool:
        """Whether it is known what was typed, and none of its files was replaced since."""
        return self._typed is not None and self._typed(None) == self._typed_first

    def _written(self, preparation: Preparation, key: str) -> PreparedNetwork:
        """The network in the cache or, where nothing is kept, in a temporary folder."""
        try:
            if (kept := self.store.add(key, preparation.write)) is not None:
                return kept
        except OSError:
            # In vain, again at each start.
            if self.backend == "auto":
                raise
        self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="heatmap-")
        path = Path(self._temporary.name) / key / NETWORK
        path.parent.mkdir(exist_ok=True)
        return replace(preparation.write(path), digest=key)

    def _preparation(self, stride: Stride) -> Preparation:
        from .preparation import Preparation

        loaded = self._in_torch.get()
        if loaded.engine == "crop":
            return Preparation(loaded, None)
        return Preparation(loaded, stride or loaded.slides.native_stride_px)
