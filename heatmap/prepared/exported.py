"""Networks in ONNX files that are for any program: they take floats, and give scores as they are.

They are run as prepared networks are, so that photos are scored with them in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cache_folder import cache_folder
from ..errors import ModelError
from ..geometry import whole_windows
from ..threads import thread_count
from ..versions import package_versions
from .facts import NetworkFacts, SlidingFacts
from .machine import machine
from .network import Form, PreparedNetwork
from .onnx_file import read_onnx_file
from .peak import Peak, measured_peak
from .preprocessing import Preprocessing
from .session import SCORES, Floats, Session

# Sides of the larger input that is measured, in strides beyond one window; and windows a batch.
_LARGER, _WINDOWS = 8, 4


@dataclass(frozen=True)
class ExportedFile:
    """What to give a network in an ONNX file, and what it gives.

    Attributes:
        path: the file.
        output: name of its output: (B, K, N, M) of photos, or (B, K) of windows.
        batch: how many windows it takes at once; None is any number.
        digest: SHA-256 of the file, 64 hex digits.
    """

    path: Path
    output: str
    batch: int | None
    digest: str


class ExportedSession(Session):
    """An exported network in ONNX Runtime that takes photos as a prepared one does."""

    def __init__(self, file: ExportedFile, preprocessing: Preprocessing, threads: int) -> None:
        """
        Args:
            file: the file.
            preprocessing: how photos become its input.
            threads: number of threads that compute one run.
        """
        super().__init__(file.path, threads)
        self._file, self._preprocessing = file, preprocessing

    def load(self) -> None:
        """Load the network now.

        Raises:
            ModelError: ONNX Runtime cannot load the file.
        """
        try:
            super().load()
        except ModelError as error:
            raise self._without_way_out(error) from error

    def run(
        self, photos: npt.NDArray[np.uint8], outputs: Sequence[str] = (SCORES,)
    ) -> Mapping[str, Floats]:
        """The scores (B, N, M, K) of photos, or of windows with N = M = 1.

        Args:
            photos: RGB uint8 (B, H, W, 3), of one size.
            outputs: only "scores".

        Raises:
            ModelError: ONNX Runtime cannot load the file, or fails; it gives no such scores.
        """
        scores = self.computed(self._preprocessing.array(photos))
        if scores.ndim == 2:
            scores = scores[:, :, None, None]
        return {SCORES: scores.transpose(0, 2, 3, 1)}

    def computed(self, photos: npt.NDArray[np.float32]) -> Floats:
        """What the network gives for its input (B, C, H, W), whatever number it takes at once.

        Raises:
            ModelError: as :meth:`run`.
        """
        size = self._file.batch or len(photos)
        parts = []
        for start in range(0, len(photos), size):
            part = photos[start : start + size]
            # The last ones are repeated where only a certain number will do.
            missing = size - len(part)
            whole = np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing else part
            parts.append(self._given(whole)[: len(part)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _given(self, photos: npt.NDArray[np.float32]) -> Floats:
        try:
            whole = np.ascontiguousarray(photos)
            (given,) = self.compute(whole, (self._file.output,)).values()
        except ModelError as error:
            raise self._without_way_out(error) from error
        if given.ndim not in (2, 4) or len(given) != len(photos):
            raise ModelError(
                f"{self._file.path}: its output {self._file.output!r} is {given.shape} for an "
                f"input of {photos.shape}: export a network that gives (B, K), a score for each "
                "class"
            )
        return given

    def _without_way_out(self, error: ModelError) -> ModelError:
        """That of prepared networks, torch, is none here."""
        return ModelError(f"{self._file.path}: {error.message}")


@dataclass(frozen=True, eq=False)
class ExportedNetwork(PreparedNetwork):
    """A network in an exported file, with all that scoring asks of a prepared one.

    Attributes beside those of :class:`network.PreparedNetwork`:
        exported: its file.
    """

    exported: ExportedFile

    def crops(
        self, windows: npt.NDArray[np.uint8], threads: int, *, features: bool = False
    ) -> tuple[Floats, Floats | None]:
        """As :meth:`network.PreparedNetwork.crops`; it has no feature maps."""
        scores, _ = super().crops(windows, threads)
        self._check(scores, ())
        return scores, None

    def _run(self, photos: npt.NDArray[np.uint8], output: str, threads: int) -> Floats:
        scores = super()._run(photos, output, threads)
        window, stride = self.facts.preprocessing.window_px, self.stride_px or 1
        self._check(
            scores, tuple(whole_windows(side, window, stride) for side in photos.shape[1:3])
        )
        return scores

    def _check(self, scores: Floats, grid_hw: tuple[int, ...]) -> None:
        """Refuse scores that are of other windows or classes than the file says.

        Raises:
            ModelError: they are.
        """
        expected = (*grid_hw, len(self.facts.classes))
        if scores.shape[1:] != expected:
            raise ModelError(
                f"{self.facts.name} gives {scores.shape[1:]} scores where it should give "
                f"{expected}: it is not what its metadata says"
            )

    def _new_session(self, threads: int) -> Session:
        # It is loaded again, for another number of threads, maybe long afterwards.
        if read_onnx_file(self.exported.path).digest != self.exported.digest:
            raise ModelError(
                f"{self.facts.name} was replaced since it was prepared: prepare it again"
            )
        return ExportedSession(self.exported, self.facts.preprocessing, threads)


def exported_network(
    file: ExportedFile, facts: NetworkFacts, slides: SlidingFacts, form: Form
) -> ExportedNetwork:
    """The network of a file; its memory is measured the first time.

    Args:
        file: the file.
        facts, slides: what is known of it.
        form: whether photos of any size go through it, or single windows.

    Raises:
        ModelError: ONNX Runtime cannot run it.
    """
    stride = slides.native_stride_px if form == "slide" else None
    threads = thread_count()
    session = ExportedSession(file, facts.preprocessing, threads)
    session.load()
    peak = _peak(file, facts.preprocessing.window_px, stride)
    network = ExportedNetwork(
        facts, slides, form, stride, peak, file.digest, file.path, exported=file
    )
    network._sessions[threads] = session
    return network


def _peak(file: ExportedFile, window: int, stride: int | None) -> Peak:
    """The memory that a photo takes, or a batch of windows; kept for later calls."""
    folder = cache_folder("prepared")
    kept_in = f"peak-{file.digest}-{window}-{stride or 'windows'}-{machine()}.json"
    versions = package_versions()
    held: Any = folder.kept(kept_in, versions)
    try:
        return Peak(int(held["fixed"]), float(held["per_px"]))
    # There is nothing kept, or it is damaged.
    except (TypeError, KeyError, ValueError):
        pass
    try:
        peak = _measured(file, window, stride)
    except ModelError as error:
        raise ModelError(f"{file.path}: {error.message}") from error
    folder.keep(kept_in, versions, {"fixed": peak.fixed, "per_px": peak.per_px})
    return peak


def _measured(file: ExportedFile, window: int, stride: int | None) -> Peak:
    shapes = [(file.batch or 1, window, window)]
    if stride is not None:
        side = window + _LARGER * stride
        shapes.append((1, side, side))
    elif file.batch is None:
        shapes.append((_WINDOWS, window, window))
    return measured_peak(file.path, file.output, shapes)
