"""Benchmarks, samples and drawings import what is there, and measure what they say."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import heatmap
from heatmap.conversion.plan import plan_conversion
from heatmap.conversion.trace import trace
from tests.support.networks import WINDOW, scenes, small_classifier
from tests.support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
# What only the environment of `make benchmarks` has.
PEERS = ("monai", "sahi", "openvino")
SCRIPTS = [
    path
    for folder in ("benchmarks", "samples", "docs")
    for path in sorted((ROOT / folder).glob("*.py"))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_takes_from_heatmap_is_there(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "heatmap"
        for alias in node.names
        if not hasattr(importlib.import_module(node.module), alias.name)
    ]
    missing += [
        f"heatmap.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "heatmap"
        and not hasattr(importlib.import_module("heatmap"), node.attr)
    ]
    assert missing == []


@pytest.fixture
def script(monkeypatch):
    """A function that imports a benchmark by name, as Python does when it is started."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    imported_before = set(sys.modules)

    def imported(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name.split(".")[0] not in PEERS:
                raise
            return pytest.skip(f"needs {error.name}, which `make benchmarks` installs")

    yield imported
    scripts = {path.stem for path in SCRIPTS}
    for name in (set(sys.modules) - imported_before) & scripts:
        del sys.modules[name]


@pytest.fixture(scope="module")
def classifier():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return heatmap.load_classifier(small_classifier(head), window=WINDOW)


@pytest.fixture(scope="module")
def photo():
    """RGB uint8, no whole number of strides high and wide."""
    values = scenes(1, WINDOW + 13, WINDOW + 22, seed=0)[0].permute(1, 2, 0).numpy()
    return np.clip(128 + 60 * values, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_can_be_imported(script, path):
    assert script(path.stem).__doc__


@pytest.mark.parametrize("ways", [["torch"], pytest.param(None, marks=pytest.mark.slow)])
def test_bare_networks_give_the_scores_of_the_scorer(script, classifier, photo, tmp_path, ways):
    bare = script("bare")
    # All take an export to ONNX.
    ways = ways or bare.COUNTED
    scorer, placement = heatmap.prepare(classifier), heatmap.Placement(stride=2, scale=1.3)
    expected = scorer.score(photo, placement).scores.transpose(2, 0, 1)[None]
    values = bare.network_input(scorer, photo, placement)
    networks = bare.bare_networks(classifier, 2, tmp_path, ways)
    assert set(networks) == set(ways)
    for name, network in networks.items():
        bare.require_same(name, network(values)(), expected)
    with pytest.raises(SystemExit, match="differ by"):
        bare.require_same("others", expected[::-1] + 1e-3 * np.abs(expected).max(), expected)
    with pytest.raises(SystemExit, match="instead of"):
        bare.require_same("others", expected[..., 1:], expected)


def test_weights_under_which_activations_vanish_are_refused(script, tmp_path):
    bare = script("bare")
    vanishing = small_classifier(nn.Sequential(nn.Flatten(), nn.Linear(512, 5)))
    for weights in vanishing.trunk[3].parameters():
        weights.data *= 1e-39
    faint = heatmap.load_classifier(vanishing, window=WINDOW, activation="softmax")
    with pytest.raises(SystemExit, match="subnormal"):
        bare.bare_networks(faint, None, tmp_path, [bare.TORCH])


def test_ways_are_measured_in_turn(script):
    machine, called = script("machine"), []
    ways = {name: lambda name=name: called.append(name) for name in "ab"}
    assert set(machine.in_turn(ways, 2)) == {"a", "b"}
    assert called == ["a", "b"] * 3
    called.clear()
    machine.in_turn(ways, 2, budget_s=10)
    assert called == ["a", "b"] * (machine.MOST_ROUNDS + 1)


def test_a_process_that_ends_otherwise_than_expected_is_not_measured(script, tmp_path):
    start = script("start")
    python = (sys.executable, "-c")
    commands = {"done": ((*python, ""), 0), "failing": ((*python, "raise SystemExit(1)"), 1)}
    seconds = start.measure(commands, tmp_path, 1)
    assert {name: len(taken) for name, taken in seconds.items()} == dict.fromkeys(commands, 3)
    with pytest.raises(SystemExit, match="failing ends with 1"):
        start.measure({"failing": (commands["failing"][0], 0)}, tmp_path, 1)


def test_a_run_is_measured_beside_every_network(script, classifier, photo, tmp_path, monkeypatch):
    run, sampling = script("run"), script("sampling")
    monkeypatch.setattr(run, "ROUNDS", 1)
    monkeypatch.setattr(run, "BUDGET_S", 0)
    scorer, path = heatmap.prepare(classifier), sampling.write_jpeg(tmp_path / "photo.jpg", photo)
    scaled = []
    networks = {"bare": lambda values: lambda: scaled.append(values.shape)}
    seconds = run.measure(scorer, path, networks)
    assert set(seconds) == {run.RUN, "bare"}
    assert list((tmp_path / "results").iterdir())
    # At every scale, in the unmeasured round and in the other.
    assert len(scaled) == 2 * len(scorer.classifier.scale_rule.scales(photo.shape[:2], WINDOW))


def test_the_largest_photo_comes_first(script):
    memory = script("memory")
    sizes = list(memory.sizes(200))
    assert len(sizes) == 200
    assert sizes[0] == tuple(map(max, zip(*sizes, strict=True)))
    assert min(map(min, sizes)) >= memory.LEAST_PX


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets peaks")
def test_the_peak_is_that_of_what_came_after_forgetting(script):
    machine = script("machine")
    np.ones(50_000_000, np.uint8)
    before = machine.peak_bytes()
    machine.forget_peak()
    after = machine.peak_bytes()
    np.ones(200_000_000, np.uint8)
    assert after <= before
    assert machine.peak_bytes() - after > 150_000_000


@pytest.mark.parametrize(("width", "height"), [(640, 480), (3000, 100)])
def test_photos_have_the_size_asked_for(script, width, height):
    assert script("sampling").sample_photo(width, height).shape == (height, width, 3)


class Squeezed(nn.Module):
    """Without padding, with squeeze-and-excitation: windows of 16 px, 4 px apart."""

    def __init__(self):
        super().__init__()
        self.stem, self.gate = nn.Conv2d(3, 8, 4, stride=4), nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, photo):
        maps = self.stem(photo)
        gate = self.gate(maps.mean((2, 3), keepdim=True)).sigmoid()
        return self.fc((maps * gate).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def squeezed():
    torch.manual_seed(0)
    return heatmap.load_classifier(Squeezed(), window=16, activation="softmax")


def test_every_form_of_local_statistics_is_exact_on_one_window(script, squeezed, photo):
    forms, window = script("statistics_forms"), photo[:16, :16]
    expected = heatmap.prepare(squeezed, engine="crop").score(window).scores
    for form in forms.FORMS:
        assert np.allclose(forms.score_in(form, squeezed, window), expected, atol=1e-6), form.name


def test_each_windows_own_statistics_are_those_of_its_crop(script, squeezed, photo):
    forms, valid = script("statistics_forms"), heatmap.Placement(border="valid")
    expected = heatmap.prepare(squeezed, engine="crop").score(photo, valid).scores
    *others, own = forms.FORMS
    assert np.allclose(forms.score_in(own, squeezed, photo), expected, atol=1e-6)
    for form in others:
        scores = forms.score_in(form, squeezed, photo)
        assert scores.shape == expected.shape
        assert not np.allclose(scores, expected, atol=1e-6), form.name


def test_digits_are_where_their_boxes_say_and_in_one_split_only(script, tmp_path):
    digits = script("digits")
    split, other = digits.digits("validation"), digits.digits("training")
    shown = {shape.tobytes() for shape in other.shapes}
    assert not any(shape.tobytes() in shown for shape in split.shapes)
    windows, labels = split.windows(40, np.random.default_rng(0))
    assert windows.shape == (40, 64, 64, 3)
    assert 0 < (labels == digits.BACKGROUND).mean() < 1
    photo, boxes = split.scene(0, np.random.default_rng(0))
    changed = (photo != split.photos[0]).any(2)
    for box in boxes:
        rows, columns = slice(box["ymin"], box["ymax"]), slice(box["xmin"], box["xmax"])
        assert changed[rows, columns].mean() > 0.3
        changed[rows, columns] = False
    assert changed.mean() < 0.02


@pytest.mark.slow
def test_small_networks_are_trained_and_measured(script, tmp_path):
    local, networks = script("local_statistics"), script("small_networks")
    kind = next(kind for kind in networks.KINDS if kind.name == "ConvNeXt with GRN")
    module = networks.train(kind, 0, epochs=1, windows=networks.BATCH)
    assert 0 <= networks.accuracy(module, 20) <= 1
    photo = script("digits").digits("validation").photos[2][:96, :112]
    classifier = local.as_classifier(module)
    grids = [heatmap.prepare(classifier, **how).score(photo).scores for how in local.WAYS.values()]
    crops, slid, _ = grids
    same = local.agreement([crops], [crops])
    assert same == pytest.approx([1, 1, same[2], 0], nan_ok=True)
    assert local.agreement([slid], [crops])[3] > 0


@pytest.mark.slow
def test_every_small_network_has_statistics_if_and_only_if_it_is_compared(script):
    networks = script("small_networks")
    names = {kind.name for kind in networks.KINDS}
    for kind in networks.KINDS:
        inexact = bool(plan_conversion(trace(kind.made().eval(), 64)).whole_input)
        assert inexact == bool(kind.beside), kind.name
        assert kind.beside in {"", *names}


def test_the_report_names_scripts_that_are_there(script):
    for section in script("report").SECTIONS:
        assert (BENCHMARKS / section.script).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        "start.py 1",
        "scoring.py mobilenet_v2",
        "run.py",
        "batch.py 3",
        "growth.py 512",
        "memory.py 2",
        "local.py regnet_y_400mf",
    ],
)
def test_a_benchmark_runs(arguments):
    name, *given = arguments.split()
    if name in ("scoring.py", "run.py"):
        pytest.importorskip("openvino")
    command = [sys.executable, str(BENCHMARKS / name), *given]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "| ---: |" in printed
