"""A network in torch that is loaded when it is first needed, which may be never."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..prepared.facts import NetworkFacts
from ..threads import apply_to_torch

if TYPE_CHECKING:
    from .loaded import Loaded


class InTorch:
    """Loads and converts a network in torch once, for all threads that ask for it."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._held: Loaded | None = None
        self._facts: NetworkFacts | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, loaded: Loaded) -> InTorch:
        """A network that is loaded already."""
        return cls(lambda: loaded)

    def expect(self, facts: NetworkFacts) -> None:
        """Refuse other weights than these, which photos may have been scored with already."""
        self._facts = facts

    def get(self) -> Loaded:
        """The network.

        Raises:
            HeatmapError: as :func:`heatmap.prepare`.
            ModelError: its weights were replaced since it was prepared.
        """
        with self._lock:
            if self._held is None:
                loaded = self._load()
                apply_to_torch()
                self._check(loaded)
                self._held = loaded
            return self._held

    def _check(self, loaded: Loaded) -> None:
        digest = loaded.classifier.weights_digest
        if self._facts is not None and self._facts.weights_digest != digest:
            raise ModelError(
                f"the weights of {self._facts.name} were replaced since it was prepared: "
                "prepare it again"
            )
