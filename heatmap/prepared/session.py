"""Run a prepared network's file in ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelError, Use, reason_of

Floats = npt.NDArray[np.float32]

# Outputs of a prepared network: the scores of windows (B, N, M, K) and of single positions, and
# the feature map (B, C, h, w).
SCORES, POSITIONS, FEATURES = "scores", "positions", "features"


class Session:
    """A prepared network loaded into ONNX Runtime, on the CPU; may be used by several threads.

    It is loaded at the first run. Memory of activations is returned after each run: ONNX Runtime's
    own pool would keep the largest size it ever had, and grow with every new size of photo.
    """

    def __init__(self, network: Path | bytes, threads: int) -> None:
        """
        Args:
            network: the ONNX file, or its content.
            threads: number of threads that compute one run.
        """
        self._network, self._threads = network, threads
        self._session: Any = None
        self._lock = threading.Lock()

    def run(self, photos: npt.NDArray[np.uint8], outputs: Sequence[str]) -> Mapping[str, Floats]:
        """Run the network on photos.

        Args:
            photos: RGB uint8 (B, H, W, 3), of one size, which has to be window + k * native
                stride px.
            outputs: which outputs to compute.

        Returns:
            The outputs by name, float32 (B, rows, columns, values).

        Raises:
            ModelError: ONNX Runtime cannot load the file, or fails.
        """
        # Moved here, since ONNX Runtime takes twenty times as long.
        return self.compute(np.ascontiguousarray(photos.transpose(0, 3, 1, 2)), outputs)

    def compute(self, photos: npt.NDArray[Any], outputs: Sequence[str]) -> Mapping[str, Floats]:
        """Run the network on its input (B, C, H, W), of the type that its file takes.

        Raises:
            ModelError: as :meth:`run`.
        """
        loaded = self._loaded()
        try:
            first, *others = (each.name for each in loaded.get_inputs())
            requested = {request_of(name) for name in outputs}
            requests = {name: np.array(name in requested) for name in others}
            computed = loaded.run(list(outputs), {first: photos, **requests}, _quiet())
        # It has a class of its own for each kind of failure, all of them plain exceptions.
        except Exception as error:
            raise _failed(error) from error
        return dict(zip(outputs, computed, strict=True))

    def load(self) -> None:
        """Load the network now, not at the first run.

        Raises:
            ModelError: ONNX Runtime cannot load the file.
        """
        self._loaded()

    def example(self, shape: Sequence[int]) -> npt.NDArray[Any]:
        """Some photos of this shape (B, H, W), as :meth:`compute` takes them."""
        given = self._loaded().get_inputs()[0]
        kind = np.uint8 if given.type == "tensor(uint8)" else np.float32
        return np.ones((shape[0], given.shape[1], *shape[1:]), kind)

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = _load(self._network, self._threads)
            return self._session


def _load(network: Path | bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = False
    # A plan of memory is only good for one size of photo.
    options.enable_mem_pattern = False
    # Threads that spin while they wait slow down whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Errors are raised as well.
    options.log_severity_level = 4
    source = network if isinstance(network, bytes) else str(network)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _failed(error) from error


def request_of(output: str) -> str:
    """Name of the boolean input of a file that says whether to compute this output."""
    return f"{output}_requested"


def _quiet() -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    # Errors are raised as well.
    options.log_severity_level = 4
    return options


def _failed(error: Exception) -> ModelError:
    return ModelError(
        f"ONNX Runtime cannot run the network: {reason_of(error)}", Use("backend", "torch")
    )
