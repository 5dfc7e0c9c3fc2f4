"""A network in torch that is loaded when it is first needed, which may be never."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..threads import apply_to_torch

if TYPE_CHECKING:
    from .loaded import Loaded


class InTorch:
    """Loads and converts a network in torch once, for all threads that ask for it."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._held: Loaded | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, loaded: Loaded) -> InTorch:
        """A network that is loaded already."""
        return cls(lambda: loaded)

    def get(self) -> Loaded:
        """The network.

        Raises:
            HeatmapError: as :func:`heatmap.prepare`.
        """
        with self._lock:
            if self._held is None:
                self._held = self._load()
                apply_to_torch()
            return self._held
