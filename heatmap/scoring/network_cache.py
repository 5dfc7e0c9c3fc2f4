"""A cache of the converted forms of a classifier, one per stride."""

from __future__ import annotations

import threading

from ..conversion.convert import convert
from ..conversion.network import FullyConvolutional
from ..conversion.position_network import position_network
from ..networks.classifier import Classifier
from .device import Compute


class NetworkCache:
    """Converted forms of one classifier on one device, by stride in px.

    Making a form takes seconds, and every photo needs one. The cache may be shared by threads;
    each form is made once.
    """

    def __init__(
        self, classifier: Classifier, native: FullyConvolutional, compute: Compute
    ) -> None:
        """Create a cache.

        Args:
            classifier: the original, unconverted classifier.
            native: its converted form at the native stride, on the CPU in float32.
            compute: device and number format of the forms.
        """
        self.classifier, self.native, self.compute = classifier, native, compute
        self._windows: dict[int, FullyConvolutional] = {}
        self._positions: dict[int, FullyConvolutional | None] = {}
        self._lock = threading.RLock()

    def windows(self, stride_px: int) -> FullyConvolutional:
        """The form that scores windows ``stride_px`` apart.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        with self._lock:
            if stride_px not in self._windows:
                self._windows[stride_px] = self.compute.moved(self._converted(stride_px))
            return self._windows[stride_px]

    def positions(self, stride_px: int) -> FullyConvolutional | None:
        """The form that scores single positions of the feature map, or None if there is none.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        with self._lock:
            if stride_px not in self._positions:
                self._positions[stride_px] = self._position_form(stride_px)
            return self._positions[stride_px]

    def _position_form(self, stride_px: int) -> FullyConvolutional | None:
        plain = self.compute.is_plain
        # Checked in float32, whatever format it runs in.
        form = position_network(self.windows(stride_px) if plain else self._converted(stride_px))
        return None if form is None else self.compute.moved(form)

    def _converted(self, stride_px: int) -> FullyConvolutional:
        """The form at a stride, on the CPU in float32."""
        if stride_px == self.native.native_stride_px:
            return self.native
        window = self.classifier.preprocessing.window_px
        return convert(self.classifier.module, window, stride_px, allow_inexact=True)
