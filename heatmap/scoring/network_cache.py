"""A cache of the converted forms of a classifier, one per stride."""

from __future__ import annotations

import threading

from ..conversion.convert import convert_usable
from ..conversion.heads import NoPool
from ..conversion.network import FullyConvolutional
from ..conversion.position_network import position_network
from ..networks.classifier import Classifier
from .bands.proof import prove_bands
from .device import Compute


class NetworkCache:
    """Converted forms of one classifier on one device, by stride in px.

    Making a form takes seconds, and every photo needs one. The cache may be shared by threads;
    each form is made once, and proven once to give the same in bands as in one pass.
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
        # None, and why, where there is none.
        self._positions: dict[int, tuple[FullyConvolutional | None, str]] = {}
        self._proven: set[FullyConvolutional] = set()
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
        return self._position_form(stride_px)[0]

    def why_no_positions(self, stride_px: int) -> str:
        """Why there is no form that scores single positions; "" if there is one.

        Raises:
            GeometryError: the network cannot slide at this stride.
        """
        return self._position_form(stride_px)[1]

    def _position_form(self, stride_px: int) -> tuple[FullyConvolutional | None, str]:
        with self._lock:
            if stride_px not in self._positions:
                self._positions[stride_px] = self._new_position_form(stride_px)
            return self._positions[stride_px]

    def _new_position_form(self, stride_px: int) -> tuple[FullyConvolutional | None, str]:
        plain = self.compute.is_plain
        # Checked in float32, whatever format it runs in.
        windows = self.windows(stride_px) if plain else self._converted(stride_px)
        try:
            form = position_network(windows)
        except NoPool as reason:
            return None, str(reason)
        if form.around is not None and not form.one_pass:
            form.one_pass = prove_bands(form, self.classifier.preprocessing)
        return self.compute.moved(form), ""

    def _converted(self, stride_px: int) -> FullyConvolutional:
        """The form at a stride, on the CPU in float32, proven in bands when it is first made."""
        network, own = self.native, self.classifier.preprocessing
        if stride_px != network.native_stride_px:
            network = convert_usable(
                self.classifier.module,
                own.window_px,
                stride_px,
                channels=own.channels,
                statistics=network.statistics,
            )
        if network not in self._proven:
            network.one_pass = prove_bands(network, own)
            self._proven.add(network)
        return network
