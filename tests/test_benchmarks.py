"""Benchmarks, samples and drawings import what is there, and measure what they say."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import heatmap
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
    ],
)
def test_a_benchmark_runs(arguments):
    name, *given = arguments.split()
    if name in ("scoring.py", "run.py"):
        pytest.importorskip("openvino")
    command = [sys.executable, str(BENCHMARKS / name), *given]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "| ---: |" in printed
