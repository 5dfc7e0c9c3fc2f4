"""Exported networks: what the file gives, what it tells, and what is refused."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from torch import nn

import heatmap
from heatmap.cli import main as cli
from heatmap.conversion.check import relative_difference
from heatmap.networks import export as programs
from heatmap.networks import onnx as onnxfiles
from heatmap.networks.export import EXPORT_TOLERANCE, FACTS_NAME
from tests.support.networks import WINDOW, Classifier, Trunk, heads, randomise, scenes, slice_heads
from tests.support.paths import ROOT

# Batch and px beyond the window: none, whole strides, and rests.
BEYOND = ((1, 0, 0), (2, 64, 32), (3, 71, 13))


def seeded(head: str, padding: int = 1) -> nn.Module:
    torch.manual_seed(3)
    return randomise(Classifier({**heads(), **slice_heads()}[head], padding), WINDOW)


def runner(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda photos: torch.from_numpy(session.run(None, {"photos": photos.numpy()})[0])


def torch_runner(path):
    return torch.export.load(path).module()


def assert_same(run, network, beyond=BEYOND) -> None:
    """What a file gives is what the network gives, and depends on the photo."""
    for seed, (batch, down, across) in enumerate(beyond):
        size = (batch, network.window_px + down, network.window_px + across)
        photos, others = scenes(*size, seed=seed), scenes(*size, seed=seed + 10)
        with torch.inference_mode():
            found, expected = run(photos), network(photos)
            assert found.shape == expected.shape
            assert relative_difference(found, expected) < EXPORT_TOLERANCE
            assert relative_difference(network(others), expected) > 10 * EXPORT_TOLERANCE


@pytest.fixture(scope="session")
def default(tmp_path_factory):
    return heatmap.export(path=tmp_path_factory.mktemp("default") / "default.onnx")


@pytest.fixture
def small():
    """A network that is written in a second or two."""
    return seeded("global pool")


def facts_of(path: Path) -> dict:
    if path.suffix == ".onnx":
        (one,) = onnx.load(path, load_external_data=False).metadata_props
        assert one.key == FACTS_NAME
        return json.loads(one.value)
    extra = {FACTS_NAME: ""}
    torch.export.load(path, extra_files=extra)
    return json.loads(extra[FACTS_NAME])


# What the file gives.


def test_the_built_in_model_is_the_same_in_onnx_runtime(default):
    network = heatmap.convert(heatmap.load_classifier().module)
    assert_same(runner(default.path), network)


@pytest.mark.slow
def test_the_built_in_model_is_the_same_in_torch(tmp_path):
    done = heatmap.export(path=tmp_path / "default.pt2", to="torch")
    network = heatmap.convert(heatmap.load_classifier().module)
    assert_same(torch_runner(done.path), network)


def test_vgg16_is_the_same_in_onnx_runtime(tmp_path):
    model = heatmap.load_classifier("vgg16", weights="random")
    done = heatmap.export(model, tmp_path / "vgg16.onnx")
    assert 553e6 < done.path.stat().st_size == done.size < 555e6
    assert_same(runner(done.path), heatmap.convert(model.module), BEYOND[:2])
    done.path.unlink()


@pytest.mark.parametrize(
    ("head", "stride"),
    [
        ("flatten", 1),
        ("adaptive pool to another size", 1),
        pytest.param("pool, LayerNorm, linear", 2, marks=pytest.mark.slow),
        pytest.param("flatten", None, marks=pytest.mark.slow),
        pytest.param("softmax", None, marks=pytest.mark.slow),
        pytest.param("adaptive pool to another size", None, marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_head_at_every_stride(tmp_path, head, stride):
    module = seeded(head)
    network = heatmap.convert(module, WINDOW, stride)
    for to, run in (("onnx", runner), ("torch", torch_runner)):
        path = tmp_path / f"small{programs.PROGRAM_SUFFIXES[to]}"
        heatmap.export(module, path, to=to, stride=stride, window=WINDOW)
        assert_same(run(path), network)


def test_photos_are_scored_without_this_package(default):
    """By what the file says, and nothing else."""
    facts = facts_of(default.path)
    photo = skimage.data.chelsea()
    pixels = (photo / np.float32(255) - facts["mean"]) / facts["std"]
    photos = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))
    grid = heatmap.score(photo, border="valid")
    found = runner(default.path)(photos)[0].permute(1, 2, 0)
    assert relative_difference(found, torch.tensor(grid.scores)) < EXPORT_TOLERANCE
    assert facts["classes"] == list(grid.classes.names)
    assert facts["stride_px"] == grid.geometry.stride_px


@pytest.mark.parametrize("hw", [(31, 40), (40, 28), (4, 4)])
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_photos_below_the_window_are_refused(small, tmp_path, to, hw):
    path = tmp_path / f"small{programs.PROGRAM_SUFFIXES[to]}"
    heatmap.export(small, path, to=to, window=WINDOW)
    run = (runner if to == "onnx" else torch_runner)(path)
    run(torch.zeros(1, 3, WINDOW, WINDOW))
    with pytest.raises(Exception, match=r"Out of range value|[Gg]uard failed|>= ?32"):
        run(torch.zeros(1, 3, *hw))


def test_weights_past_the_limit_lie_beside_the_file(small, tmp_path, monkeypatch):
    monkeypatch.setattr(onnxfiles, "SINGLE_FILE_BYTES", 100)
    done = heatmap.export(small, tmp_path / "small.onnx", window=WINDOW)
    assert done.data == tmp_path / "small.onnx.data"
    assert sorted(tmp_path.iterdir()) == [done.path, done.data]
    assert done.size == done.path.stat().st_size + done.data.stat().st_size
    assert_same(runner(done.path), heatmap.convert(small, WINDOW))
    assert facts_of(done.path) == json.loads(json.dumps(done.facts))


# What it tells.


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_the_file_says_how_to_use_it(small, tmp_path, to):
    path = tmp_path / f"small{programs.PROGRAM_SUFFIXES[to]}"
    given = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "channel_order": "bgr"}
    names = ["a", "b", "é", "d", "e"]
    model = heatmap.load_classifier(small, window=WINDOW, class_names=names, **given)
    done = heatmap.export(model, path, to=to, stride=2)
    facts = facts_of(path)
    assert facts == json.loads(json.dumps(done.facts))
    told = {
        "model": "Classifier",
        "weights": "as given",
        "weights_digest": model.weights_digest,
        "window_px": WINDOW,
        "stride_px": 2,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "channel_order": "bgr",
        "outputs": "logits",
        "classes": names,
    }
    assert {name: facts[name] for name in told} == told
    assert facts["versions"]["heatmap-localizer"] == heatmap.__version__


def test_probabilities_are_called_so(tmp_path):
    done = heatmap.export(seeded("softmax"), tmp_path / "a.pt2", to="torch", window=WINDOW)
    assert done.facts["outputs"] == "probabilities"


def test_axes_have_names_and_the_file_is_a_valid_one(default):
    onnx.checker.check_model(default.path)
    model = onnx.load(default.path)

    def axes(value):
        return [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]

    (photos,), (scores,) = model.graph.input, model.graph.output
    assert (photos.name, axes(photos)) == ("photos", ["batch", 3, "height", "width"])
    assert (scores.name, axes(scores)) == ("scores", ["batch", 1000, "rows", "columns"])
    assert default.opset == next(one.version for one in model.opset_import if not one.domain)


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_no_path_of_this_machine_is_in_the_file(small, tmp_path, to):
    path = tmp_path / f"small{programs.PROGRAM_SUFFIXES[to]}"
    heatmap.export(small, path, to=to, window=WINDOW)
    content = path.read_bytes()
    assert b"conv2d" in content
    for word in ("site-packages", str(ROOT), str(tmp_path), "heatmap/"):
        assert word.encode() not in content


def test_nothing_is_printed(small, tmp_path, capfd, recwarn):
    heatmap.export(small, tmp_path / "small.onnx", window=WINDOW)
    heatmap.export(small, tmp_path / "small.pt2", to="torch", window=WINDOW)
    assert tuple(capfd.readouterr()) == ("", "")
    assert not recwarn.list


def test_the_module_stays_as_it_was(small, tmp_path):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    small.train()
    with torch.inference_mode():
        heatmap.export(small, tmp_path / "small.onnx", window=WINDOW)
    assert small.training
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())


# What is refused.


class Enlarging(nn.Module):
    """Dilation cannot make it denser: a finer stride takes shifted passes."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.fc = Trunk(), nn.Linear(8, 5)

    def forward(self, photos):
        maps = nn.functional.interpolate(self.trunk(photos), scale_factor=2.0)
        return self.fc(nn.functional.max_pool2d(maps, 2).mean((2, 3)))


def test_a_stride_that_takes_a_pass_for_every_shift_is_refused(tmp_path):
    torch.manual_seed(0)
    module = randomise(Enlarging(), WINDOW)
    assert heatmap.convert(module, WINDOW, 2).stitched
    with pytest.raises(heatmap.ConversionError, match=r"a stride of 2 px: .* its own stride is 4"):
        heatmap.export(module, tmp_path / "a.onnx", stride=2, window=WINDOW)
    assert heatmap.export(module, tmp_path / "a.onnx", window=WINDOW).checks


@pytest.mark.parametrize("to", ["onnx", "torch"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scores: scores + 1e-3 * scores.abs().max(), r"differs .* by 1.0e-03 of"),
        (lambda scores: scores * torch.nan, r"differs .* by nan of"),
        (lambda scores: scores[..., :1], r"gives \(2, 5, 2, 1\) scores for 2 x 3 x 36 x 42, the "),
    ],
)
def test_a_file_that_gives_something_else_is_refused(
    small, tmp_path, monkeypatch, to, spoil, message
):
    path = tmp_path / f"small{programs.PROGRAM_SUFFIXES[to]}"
    path.write_text("earlier")
    checked = programs._checked
    monkeypatch.setattr(
        programs, "_checked", lambda network, run: checked(network, lambda p: spoil(run(p)))
    )
    with pytest.raises(heatmap.ConversionError, match=message):
        heatmap.export(small, path, to=to, window=WINDOW)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "earlier"


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("torch.export.export", "torch"),
        ("torch.onnx.export", "onnx"),
        ("torch.export.save", "torch"),
    ],
)
def test_what_torch_raises_is_one_line(small, tmp_path, monkeypatch, where, what):
    # heatmap.convert records too.
    network = heatmap.convert(small, WINDOW)
    monkeypatch.setattr(programs, "convert", lambda *_: network)

    def fail(*_, **__):
        raise RuntimeError("no such operation\nat length")

    monkeypatch.setattr(where, fail)
    with pytest.raises(heatmap.ConversionError) as caught:
        heatmap.export(
            small, tmp_path / f"a{programs.PROGRAM_SUFFIXES[what]}", to=what, window=WINDOW
        )
    assert str(caught.value) == "Classifier cannot be exported: no such operation"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_without_the_extra_the_way_out_is_named(small, tmp_path, monkeypatch, missing):
    real = builtins.__import__

    def absent(name, *given, **named):
        if name == missing:
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(heatmap.ModelError, match=r"pip install onnx onnxruntime onnxscript"):
        heatmap.export(small, tmp_path / "a.onnx", window=WINDOW)
    assert heatmap.export(small, tmp_path / "a.pt2", to="torch", window=WINDOW).opset is None


def test_a_path_that_cannot_be_written_is_refused(small, tmp_path):
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(heatmap.ResultError, match=r"a\.onnx: cannot be written: is a directory"):
        heatmap.export(small, tmp_path / "a.onnx", window=WINDOW)
    with pytest.raises(heatmap.ResultError, match="format is 'xml': choose one of onnx, torch"):
        heatmap.export(small, tmp_path / "a.onnx", to="xml", window=WINDOW)


# The command line.


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "cli_small.py").write_text(NETWORK)
    (tmp_path / "here").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "networks")
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["heatmap", "export", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run


NETWORK = """
from torch import nn

def network():
    trunk = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU())
    return nn.Sequential(trunk, nn.Flatten(), nn.Linear(8 * 64, 7)).eval()
"""
RANDOM = ("--weights", "random", "-o", "a.onnx")
SMALL = ("-m", "cli_small:network", "--window", "64", "--stride", "4")


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_the_command_says_what_json_holds(call, to):
    path = f"out/small{programs.PROGRAM_SUFFIXES[to]}"
    code, out, err = call(*SMALL, "--to", to, "-o", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    code, out, err = call(*SMALL, "--to", to, "-o", path, "--json")
    told = json.loads(out)
    assert (code, err, told["file"]) == (0, "", path)
    assert told["bytes"] == Path(path).stat().st_size
    assert lines[0] == "cli_small:network (as made by cli_small:network) as " + (
        f"ONNX, opset {told['opset']}" if to == "onnx" else "torch.export"
    )
    assert "(batch, 3, height, width), 64 px or more, RGB, (pixel/255 - mean) / std" in lines[1]
    assert "logits" in lines[2]
    assert "(batch, 7, rows, columns), windows of 64 px, 4 px apart" in lines[2]
    for line, check in zip(lines[3:5], told["checks"], strict=True):
        photos, scores = (" x ".join(map(str, check[name])) for name in ("photos", "scores"))
        relative = check["relative"]
        assert line == f"{photos} gives {scores}: {relative:.1e} from the network in torch"
        assert relative < EXPORT_TOLERANCE
    assert [check["scores"][2:] for check in told["checks"]] == [[1, 1], [3, 5]]
    assert re.fullmatch(rf"wrote {path}: \d+\.\d MB", lines[5])
    assert facts_of(Path(path)).items() <= told.items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SMALL, "-o", "a.pt2"), "a.pt2: name it .onnx for onnx and .pt2 for torch"),
        (("-m", "resnet18", "--weights", "random", "--stride", "7", "-o", "a.onnx"), "stride is 7"),
        (("-m", "timm/efficientnet_b0", "--weights", "random", "-o", "a.onnx"), "inexact: "),
        (
            ("-m", "timm/vit_tiny_patch16_224", "--weights", "random", "-o", "a.onnx"),
            "cannot slide",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"heatmap: [^\n]+\n", err)
    assert message in err
    assert "--engine" not in err
    assert list(Path().iterdir()) == []


def test_a_file_must_be_named(call):
    code, out, err = call(*SMALL)
    assert (code, out) == (2, "")
    assert "--output" in err
