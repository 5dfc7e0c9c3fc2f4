"""The bare network, in the forms a user would pick instead of this package.

It takes a photo that is already extended to whole windows and preprocessed, and gives scores;
reading, resizing, extending, preprocessing and all that follows the scores are left out. The
network is what `heatmap.convert` gives, or the file that `heatmap.export` writes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import heatmap
from heatmap.photo.extended import extend

Input: TypeAlias = npt.NDArray[np.float32]
Scores: TypeAlias = npt.NDArray[np.float32]
# Holds the input (1, 3, H, W) in its own form, and gives what computes the scores (1, K, N, M).
BareNetwork: TypeAlias = Callable[[Input], Callable[[], Scores]]

ONNX_RUNTIME = "ONNX Runtime"
TORCH = "torch"
OPENVINO = "OpenVINO"
# Targets are over the fastest of these; OpenVINO is shown beside them.
COUNTED = (ONNX_RUNTIME, TORCH)
SHOWN = (*COUNTED, OPENVINO)

# Two ways to the same scores may differ so much, relative to the largest score.
SAME = 1e-4
# Processors take many times as long for numbers below 2^-126: at most this share may be so.
SUBNORMAL_SHARE = 1e-4


def weights_of(name: str) -> str:
    """Those that ship with the built-in network, random ones for others: time is the same."""
    return "default" if name == heatmap.load_classifier().name else "random"


def prepared_scorer(name: str, **options: Any) -> heatmap.Scorer:
    """A scorer as at a second start: prepared, with the faster backend."""
    scorer = heatmap.prepare(name, weights=weights_of(name), **options)
    scorer.ready_at(scorer.native_stride_px, keep=True)
    return scorer


def network_input(
    scorer: heatmap.Scorer,
    photo: npt.NDArray[np.uint8],
    placement: heatmap.Placement = heatmap.Placement(),  # noqa: B008
) -> Input:
    """What the scorer's network gets for a photo: resized, extended and preprocessed."""
    extended = extend(photo, scorer.plan(photo.shape[:2], placement))
    preprocessing = scorer.facts.preprocessing
    mean, std = (np.array(each, np.float32) for each in (preprocessing.mean, preprocessing.std))
    values = (extended.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def bare_networks(
    classifier: heatmap.Classifier,
    stride: int | None,
    folder: Path,
    ways: Iterable[str] = COUNTED,
) -> dict[str, BareNetwork]:
    """The network at a stride in several forms, by name.

    Args:
        classifier: the original network.
        stride: distance between windows, px; None is the native stride.
        folder: where its ONNX file is, or is written.
        ways: names of the forms.
    """
    return {way: _bare_network(way, classifier, stride, folder) for way in ways}


def _bare_network(
    way: str, classifier: heatmap.Classifier, stride: int | None, folder: Path
) -> BareNetwork:
    window = classifier.preprocessing.window_px
    if way == TORCH:
        converted = heatmap.convert(classifier.module, window=window, stride=stride)
        _require_normal(converted, torch.randn(1, 3, window + 32, window + 32))
        return in_torch(converted)
    path = folder / f"{classifier.name}-{stride or 'native'}.onnx"
    if not path.exists():
        heatmap.export(classifier, path, stride=stride)
    return in_onnx_runtime(path) if way == ONNX_RUNTIME else in_openvino(path)


def in_torch(network: torch.nn.Module) -> BareNetwork:
    """The converted network in inference mode, its input in channels_last."""

    def held(values: Input) -> Callable[[], Scores]:
        photos = torch.from_numpy(values).contiguous(memory_format=torch.channels_last)

        def scores() -> Scores:
            with torch.inference_mode():
                return network(photos).numpy()

        return scores

    return held


def in_onnx_runtime(path: Path) -> BareNetwork:
    """A session with default options, apart from as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda values: lambda: session.run(None, {"photos": values})[0]


def in_openvino(path: Path) -> BareNetwork:
    """The file compiled for latency, with as many threads as torch has, and in float32.

    Where the processor has bfloat16, OpenVINO would use that: its scores differ by 1 % then.
    """
    import openvino

    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(path, "CPU", options)

    def held(values: Input) -> Callable[[], Scores]:
        request = compiled.create_infer_request()
        return lambda: request.infer({0: values}, share_inputs=True)[0]

    return held


def require_same(what: str, scores: Scores, expected: Scores) -> None:
    """Refuse to compare times of what does not give the same scores."""
    if scores.shape != expected.shape:
        raise SystemExit(f"{what}: {scores.shape} instead of {expected.shape}")
    difference = float(np.abs(scores - expected).max() / np.abs(expected).max())
    if not difference < SAME:
        raise SystemExit(f"{what}: scores differ by {difference:.1e} of the largest")


def _require_normal(network: torch.nn.Module, photos: torch.Tensor) -> None:
    """Refuse random weights whose activations vanish: their time would be no network's."""
    with torch.inference_mode(), _CountSubnormal() as counted:
        network(photos)
    if counted.subnormal > SUBNORMAL_SHARE * counted.all:
        raise SystemExit(f"{counted.subnormal} of {counted.all} activations are subnormal")


class _CountSubnormal(TorchDispatchMode):
    """Counts the values that operations give, and the subnormal ones among them."""

    def __init__(self) -> None:
        super().__init__()
        self.subnormal = self.all = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if isinstance(given, torch.Tensor) and given.is_floating_point():
            size = given.abs()
            least = torch.finfo(given.dtype).smallest_normal
            self.subnormal += int(((size > 0) & (size < least)).sum())
            self.all += given.numel()
        return given
