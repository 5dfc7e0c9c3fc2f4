"""A small network as exported files: made once in a run of the tests, and how they are run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import heatmap
from heatmap.conversion.check import relative_difference
from heatmap.networks import export as programs
from heatmap.networks.export import EXPORT_TOLERANCE, FACTS_NAME, PROGRAM_SUFFIXES
from heatmap.prepared.exported import ExportedSession
from tests.support.networks import WINDOW, Classifier, heads, randomise, scenes, slice_heads

# Batch and px beyond the window: none, whole strides, and rests.
BEYOND = ((1, 0, 0), (2, 64, 32), (3, 71, 13))
NAMES = ["a", "b", "é", "d", "e"]
PREPROCESSING = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "channel_order": "bgr"}
STRIDE = 2
# Preprocessing that leaves pixel / 255.
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def seeded(head: str, padding: int = 1) -> nn.Module:
    torch.manual_seed(3)
    return randomise(Classifier({**heads(), **slice_heads()}[head], padding), WINDOW)


def onnx_file(path: Path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda photos: torch.from_numpy(session.run(None, {"photos": photos.numpy()})[0])


@cache
def torch_file(path: Path):
    return torch.export.load(path).module()


OPEN = {"onnx": onnx_file, "torch": torch_file}


def assert_same(run, network, beyond=BEYOND) -> None:
    """What a file gives is what the network gives, and depends on the photo."""
    for seed, (batch, down, across) in enumerate(beyond):
        size = (batch, network.window_px + down, network.window_px + across)
        photos, others = scenes(*size, seed=seed), scenes(*size, seed=seed + 10)
        with torch.inference_mode():
            scores, expected = run(photos), network(photos)
            assert scores.shape == expected.shape
            assert relative_difference(scores, expected) < EXPORT_TOLERANCE
            assert relative_difference(network(others), expected) > 10 * EXPORT_TOLERANCE


def facts_of(path: Path) -> dict:
    if path.suffix == ".onnx":
        (entry,) = onnx.load(path, load_external_data=False).metadata_props
        assert entry.key == FACTS_NAME
        return json.loads(entry.value)
    extra = {FACTS_NAME: ""}
    torch.export.load(path, extra_files=extra)
    return json.loads(extra[FACTS_NAME])


@dataclass(frozen=True)
class Exported:
    """A written file, and what became visible while it was written."""

    model: heatmap.Classifier
    program: heatmap.Program
    onnx_model: object
    printed: str
    warnings: list


@contextlib.contextmanager
def everything_printed() -> Iterator[list[str]]:
    """What is printed by Python, and past it by libraries."""
    lines: list[str] = []
    kept = [os.dup(number) for number in (1, 2)]
    text = io.StringIO()
    with tempfile.TemporaryFile() as file:
        try:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield lines
        finally:
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            lines += [text.getvalue(), file.read().decode()]


def exported(folder: Path, to: str) -> Exported:
    """A small network with names and preprocessing of its own, at half its stride."""
    model = heatmap.load_classifier(
        seeded("flatten"), window=WINDOW, class_names=NAMES, **PREPROCESSING
    )
    made = []
    real = programs.onnx_model

    def onnx_model(*given):
        made.append(real(*given))
        return made[-1]

    programs.onnx_model = onnx_model
    try:
        with everything_printed() as printed, warnings.catch_warnings(record=True) as warned:
            path = folder / f"small{PROGRAM_SUFFIXES[to]}"
            program = heatmap.export(model, path, to=to, stride=STRIDE)
    finally:
        programs.onnx_model = real
    return Exported(model, program, made[0] if made else None, "".join(printed), warned)


def other_program(
    path: Path,
    taken: tuple = ("batch", 3, 8, 8),
    given: tuple | None = ("batch", 2),
    *,
    operation: str = "Flatten",
    domain: str = "",
    last: str | None = None,
    types: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
    outputs: int = 1,
) -> np.ndarray:
    """Write a network as another program would, and return its weights (C * 8 * 8, 2).

    Its scores are of the pixels of a window times these weights.
    """
    noise = np.random.default_rng(0)
    weights = noise.normal(size=(int(taken[1]) * 64, 2)).astype(np.float32)
    ending = "product" if last else "scores"
    nodes = [
        helper.make_node(operation, ["pixels"], ["flat"], domain=domain),
        helper.make_node("MatMul", ["flat", "weights"], [ending]),
    ]
    if last:
        nodes.append(helper.make_node(last, [ending], ["scores"]))
    names = ["scores", *[ending, "flat"][: outputs - 1]]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pixels", types[0], taken)],
        [helper.make_tensor_value_info(name, types[1], given) for name in names],
        [numpy_helper.from_array(weights, "weights")],
    )
    domains = [helper.make_opsetid("", 17), *[helper.make_opsetid(domain, 1)] * bool(domain)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=9), path)
    return weights


def scores_of(file, windows: np.ndarray) -> np.ndarray:
    """What an exported network gives for windows (B, side, side, 3): (B, K)."""
    session = ExportedSession(file.file, file.facts.preprocessing, 1)
    return session.run(windows)["scores"].reshape(len(windows), -1)


def product(weights: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """What :func:`other_program` gives for windows, if they are not preprocessed further."""
    return (windows.transpose(0, 3, 1, 2).reshape(len(windows), -1) / 255) @ weights
