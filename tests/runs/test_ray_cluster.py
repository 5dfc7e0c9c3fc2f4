"""Batches on a Ray cluster that was started elsewhere: whose files are where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatmap.errors import ResultError
from heatmap.grid.skip import Skip
from heatmap.names import MANIFEST
from heatmap.networks.checkpoint import save_checkpoint
from heatmap.networks.load import load_classifier
from heatmap.runs import ray_runner as clusters
from heatmap.runs.batch import BatchSources, LocalRunner, run_batch
from heatmap.runs.ray_runner import RayRunner
from heatmap.runs.request import Display, Limits, Request
from heatmap.runs.settings import ScorerRecipe
from tests.support.batches import MODEL, WINDOW, files, write_photo
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes, started in folders of their own."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    home, before = os.getcwd(), os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    made = Cluster()
    for number in range(2):
        os.chdir(tmp_path_factory.mktemp(f"node{number}"))
        made.add_node(num_cpus=1, include_dashboard=False)
    os.chdir(home)
    os.environ["PYTHONPATH"] = before
    yield made
    made.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Where the command runs: a network, its classes and groups, a mask and photos."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        write_photo(tmp_path / "in" / f"{number}.png", 4)
    shown = np.zeros((140, 100, 3), np.uint8)
    shown[:60] = 255
    cv2.imwrite("mask.png", shown)
    Path("names.txt").write_text("\n".join("abcde"))
    Path("groups.json").write_text(json.dumps({"vowel": ["a", "e"]}))
    # Imported from the folder in which the command runs.
    Path("own_network.py").write_text("from tests.support.batches import pooled\n")
    return tmp_path


OPTIONS = {"window": WINDOW, "class_names": "names.txt", "groups": "groups.json"}
REQUEST = Request(Display(classes=("vowel",), conf=0.5), limits=Limits(skip=Skip(mask="mask.png")))


def run(out, recipe, runner, request=REQUEST):
    return run_batch(BatchSources(["in"]), Path(out), recipe, request, threads=1, runner=runner)


@pytest.mark.slow
def test_paths_are_those_of_the_command_wherever_ray_was_started(cluster, here):
    recipe = ScorerRecipe("own_network:pooled", options=OPTIONS)
    done = run("out", recipe, RayRunner(cluster.address, 2))
    assert [record.state for record in done.records] == ["done"] * 6
    serial = run_batch(BatchSources(["in"]), Path("serial"), recipe, REQUEST, threads=1)
    assert serial.failed == ()
    found, expected = files(here / "out"), files(here / "serial")
    del found[MANIFEST], expected[MANIFEST]
    assert found == expected
    assert sum(name.endswith(".maps.npz") for name in found) == 6


@pytest.mark.slow
def test_a_checkpoint_and_weights_are_those_of_the_command(cluster, here):
    classifier = load_classifier(MODEL, window=WINDOW)
    save_checkpoint(classifier, Path("net.safetensors"))
    plain = Request(Display(conf=0.5))
    for number, (model, options) in enumerate(
        [
            ("net.safetensors", {"architecture": MODEL}),
            (MODEL, {"weights": "net.safetensors", "window": WINDOW}),
        ]
    ):
        recipe = ScorerRecipe(model, options=options)
        done = run(f"out{number}", recipe, RayRunner(cluster.address, 2), plain)
        assert [record.state for record in done.records] == ["done"] * 6


@pytest.mark.slow
def test_results_that_are_not_where_they_should_be_have_failed_and_are_made_again(
    cluster, here, monkeypatch
):
    class Elsewhere(clusters._RayWorker):
        """On a machine whose disk is not that of the command."""

        def do(self, task):
            record, sizes = super().do(task)
            if task.item.name in ("0.png", "3.png"):
                task.folder.rename(f"{task.folder}.away")
            return record, sizes

    recipe = ScorerRecipe(MODEL, options=OPTIONS)
    with monkeypatch.context() as patched:
        patched.setattr(clusters, "_RayWorker", Elsewhere)
        done = run("out", recipe, RayRunner(cluster.address, 2))
    assert [record.name for record in done.failed] == ["0.png", "3.png"]
    for record in done.failed:
        folder = here / "out/photos" / record.name
        assert record.message == (
            f"its worker wrote the results to another disk: {folder} does not hold them here"
        )
        assert record.ways[0]["parameter"] == "output"
    again = run("out", recipe, RayRunner(cluster.address, 2))
    assert {task.item.name: task.why for task in again.work.todo} == {
        "0.png": "results missing",
        "3.png": "results missing",
    }
    assert again.failed == ()


class InAnotherFolder(LocalRunner):
    """As workers that were started elsewhere, in this process."""

    def run(self, setup, tasks):
        home = os.getcwd()
        os.chdir("/")
        try:
            yield from super().run(setup, tasks)
        finally:
            os.chdir(home)


def test_what_a_runner_gets_does_not_depend_on_its_working_folder(here):
    recipe = ScorerRecipe("own_network:pooled", options=OPTIONS)
    done = run("out", recipe, InAnotherFolder())
    assert [record.state for record in done.records] == ["done"] * 6
    assert sum(name.endswith(".maps.npz") for name in files(here / "out")) == 6


def test_only_paths_are_made_absolute(here):
    options = {**OPTIONS, "weights": "w.pth", "window": 32}
    found = ScorerRecipe("net.safetensors", options=options).absolute
    assert found.model == str(here / "net.safetensors")
    assert found.options == {
        "weights": str(here / "w.pth"),
        "class_names": str(here / "names.txt"),
        "groups": str(here / "groups.json"),
        "window": 32,
    }
    for model in ("vgg16", "timm/beit3_base_patch16_224.pt", "a.b:c", "https://there/net.pt"):
        options = {"weights": "random", "class_names": ["a", "b"], "groups": None}
        assert ScorerRecipe(model, options=options).absolute == ScorerRecipe(model, options=options)


def test_a_worker_that_sees_another_output_folder_is_refused(tmp_path):
    with pytest.raises(ResultError, match=r"out: is another folder on the machine .*manifest"):
        clusters._check_shared(tmp_path / "out")


@pytest.mark.slow
def test_why_a_worker_failed_is_told(cluster, here, monkeypatch):
    class Failing(clusters._RayWorker):
        def do(self, task):
            if task.item.name == "2.png":
                raise ZeroDivisionError("by nought")
            return super().do(task)

    monkeypatch.setattr(clusters, "_RayWorker", Failing)
    done = run("out", ScorerRecipe(MODEL, options=OPTIONS), RayRunner(cluster.address, 2))
    assert [(one.name, one.message) for one in done.failed] == [
        ("2.png", "its worker failed: by nought")
    ]


@pytest.mark.slow
def test_a_worker_elsewhere_is_refused_before_anything_is_scored(cluster, here, monkeypatch):
    class Elsewhere(clusters._RayWorker):
        def __init__(self, recipe, request, settings, output, carried):
            super().__init__(recipe, request, settings, Path("/on/another/disk"), carried)

    monkeypatch.setattr(clusters, "_RayWorker", Elsewhere)
    with pytest.raises(ResultError, match="a worker cannot begin: /on/another/disk: is another"):
        run("out", ScorerRecipe(MODEL, options=OPTIONS), RayRunner(cluster.address, 2))
    assert not (here / "out/photos").exists()


CONNECT = """
import sys
from heatmap.errors import ModelError
from heatmap.runs.ray_connection import connected, imported_ray
try:
    with connected(imported_ray(), sys.argv[1], 1):
        pass
except ModelError as error:
    print(error)
"""
ASKS = (
    "asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH, a "
    "file) to the cluster's token\n"
)


def said_by(address: str, home: Path, **environment: str) -> str:
    """What a process says that connects, whose user has no token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    kept |= {"HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-c", CONNECT, address],
        capture_output=True, text=True, check=True, env=kept,
    ).stdout  # fmt: skip


def test_without_a_token_where_one_is_needed_the_way_out_is_named(tmp_path):
    pytest.importorskip("ray")
    said = said_by("127.0.0.1:9", tmp_path, RAY_AUTH_MODE="token")
    assert said == f"Ray at 127.0.0.1:9 {ASKS}"


@pytest.mark.slow
def test_a_cluster_that_asks_for_a_token_is_told_as_such(tmp_path):
    pytest.importorskip("ray")
    program = """
import sys, time
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    ) as head:  # fmt: skip
        address = head.stdout.readline().strip()
        for given in ({"RAY_AUTH_MODE": "disabled"}, {**environment, "RAY_AUTH_TOKEN": "b" * 64}):
            assert said_by(address, tmp_path, **given) == f"Ray at {address} {ASKS}"
        assert said_by(address, tmp_path, **environment) == ""
        head.stdin.close()
