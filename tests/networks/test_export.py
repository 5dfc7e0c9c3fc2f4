"""Exported networks: what the file gives, and what it says of itself."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import skimage.data
import torch

import heatmap
from heatmap.conversion.check import relative_difference
from heatmap.networks import onnx as onnx_files
from heatmap.networks.export import EXPORT_TOLERANCE, PROGRAM_SUFFIXES
from tests.support.exports import (
    BEYOND,
    NAMES,
    OPEN,
    STRIDE,
    assert_same,
    facts_of,
    onnx_file,
    seeded,
    torch_file,
)
from tests.support.networks import WINDOW
from tests.support.paths import ROOT
from tests.support.runs import Recorder

# What the file gives.


def test_the_file_gives_what_the_network_gives(small_file):
    network = heatmap.convert(small_file.model.module, WINDOW, STRIDE)
    assert_same(OPEN[small_file.program.to](small_file.program.path), network)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_the_built_in_model_is_the_same(tmp_path, to):
    written = heatmap.export(output=tmp_path / f"default{PROGRAM_SUFFIXES[to]}", to=to)
    network = heatmap.convert(heatmap.load_classifier().module)
    assert_same(OPEN[to](written.path), network)
    if to == "onnx":
        assert_scores_without_this_package(written.path, skimage.data.chelsea(), heatmap.score)
        assert_names_axes(written, classes=1000)


@pytest.mark.slow
def test_vgg16_is_the_same_in_onnx_runtime(tmp_path):
    model = heatmap.load_classifier("vgg16", weights="random")
    written = heatmap.export(model, tmp_path / "vgg16.onnx")
    assert 553e6 < written.path.stat().st_size == written.size < 555e6
    assert_same(onnx_file(written.path), heatmap.convert(model.module), BEYOND[:2])
    written.path.unlink()


@pytest.mark.slow
def test_a_head_that_runs_slice_by_slice_is_exported_too(tmp_path):
    assert_exported_alike(tmp_path, "adaptive pool to another size", None, "torch")


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
@pytest.mark.parametrize(
    ("head", "stride"),
    [
        ("adaptive pool to another size", 1),
        ("flatten", 1),
        ("pool, LayerNorm, linear", 2),
        ("flatten", None),
        ("softmax", None),
        ("adaptive pool to another size", None),
    ],
)
def test_every_kind_of_head_at_every_stride(tmp_path, head, stride, to):
    assert_exported_alike(tmp_path, head, stride, to)


def assert_exported_alike(folder, head, stride, to):
    module = seeded(head)
    network = heatmap.convert(module, WINDOW, stride)
    path = folder / f"small{PROGRAM_SUFFIXES[to]}"
    heatmap.export(module, path, to=to, stride=stride, window=WINDOW)
    assert_same(OPEN[to](path), network)


def assert_scores_without_this_package(path, photo, score):
    """By what the file says, and nothing else."""
    facts = facts_of(path)
    pixels = (photo / np.float32(255))[:, :, :: -1 if facts["channel_order"] == "bgr" else 1]
    pixels = (pixels - facts["mean"]) / facts["std"]
    photos = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))
    grid = score(photo, border="valid")
    scores = onnx_file(path)(photos)[0].permute(1, 2, 0)
    assert relative_difference(scores, torch.tensor(grid.scores)) < EXPORT_TOLERANCE
    assert facts["classes"] == list(grid.classes.names)
    assert facts["stride_px"] == grid.geometry.stride_px


def test_photos_are_scored_without_this_package(small_onnx):
    scorer = heatmap.prepare(small_onnx.model)
    assert_scores_without_this_package(
        small_onnx.program.path,
        skimage.data.chelsea()[:111, :95],
        lambda photo, border: heatmap.score(photo, scorer, stride=STRIDE, border=border),
    )


@pytest.mark.few(2)
@pytest.mark.parametrize("hw", [(31, 40), (40, 28), (4, 4)])
def test_photos_below_the_window_are_refused(small_file, hw):
    run = OPEN[small_file.program.to](small_file.program.path)
    run(torch.zeros(1, 3, WINDOW, WINDOW))
    with pytest.raises(Exception, match=r"Out of range value|[Gg]uard failed|>= ?32"):
        run(torch.zeros(1, 3, *hw))


@pytest.mark.slow
@pytest.mark.usefixtures("_written_at_once")
def test_weights_past_the_limit_lie_beside_the_file(small_onnx, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "SINGLE_FILE_BYTES", 100)
    written = heatmap.export(small_onnx.model, tmp_path / "small.onnx", stride=STRIDE)
    assert written.data == tmp_path / "small.onnx.data"
    assert sorted(tmp_path.iterdir()) == [written.path, written.data]
    assert written.size == written.path.stat().st_size + written.data.stat().st_size
    network = heatmap.convert(small_onnx.model.module, WINDOW, STRIDE)
    assert_same(onnx_file(written.path), network)
    assert facts_of(written.path) == json.loads(json.dumps(written.facts))


# What it says.


def test_the_file_says_how_to_use_it(small_file):
    facts = facts_of(small_file.program.path)
    assert facts == json.loads(json.dumps(small_file.program.facts))
    expected = {
        "model": "Classifier",
        "weights": "as given",
        "weights_digest": small_file.model.weights_digest,
        "window_px": WINDOW,
        "stride_px": STRIDE,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "channel_order": "bgr",
        "outputs": "logits",
        "activation": "softmax",
        "classes": NAMES,
    }
    assert {name: facts[name] for name in expected} == expected
    assert facts["versions"]["heatmap-localizer"] == heatmap.__version__


def test_probabilities_are_called_so_and_stages_are_told(tmp_path):
    path, told = tmp_path / "a.pt2", Recorder()
    written = heatmap.export(seeded("softmax"), path, to="torch", window=WINDOW, progress=told)
    stages = [event[1] for event in told.events if event[0] == "stage"]
    assert stages == ["loading the network", "converting Classifier", f"writing {path}"]
    facts = facts_of(written.path)
    assert (facts["outputs"], facts["activation"]) == ("probabilities", "none")


def assert_names_axes(program, classes):
    onnx.checker.check_model(program.path)
    model = onnx.load(program.path)

    def axes(value):
        return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]

    (photos,), (scores,) = model.graph.input, model.graph.output
    assert (photos.name, axes(photos)) == ("photos", ["batch", 3, "height", "width"])
    assert (scores.name, axes(scores)) == ("scores", ["batch", classes, "rows", "columns"])
    assert program.opset == next(one.version for one in model.opset_import if not one.domain)


def test_axes_have_names_and_the_file_is_a_valid_one(small_onnx):
    assert_names_axes(small_onnx.program, classes=5)


def test_no_path_of_this_machine_is_in_the_file(small_file):
    content = small_file.program.path.read_bytes()
    assert b"conv2d" in content
    folder = str(small_file.program.path.parent)
    for word in ("site-packages", str(ROOT), folder, "heatmap/"):
        assert word.encode() not in content


def test_nothing_is_printed(small_file):
    assert small_file.printed == ""
    assert not small_file.warnings


@pytest.mark.parametrize("to", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_the_module_stays_as_it_was(tmp_path, to):
    module = seeded("global pool")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    with torch.inference_mode():
        path = tmp_path / f"small{PROGRAM_SUFFIXES[to]}"
        heatmap.export(module, path, to=to, window=WINDOW)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_torch_file_has_no_opset(small_torch):
    assert small_torch.program.opset is None
    assert torch_file(small_torch.program.path) is not None
