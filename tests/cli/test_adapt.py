"""`heatmap adapt` and `heatmap train` as commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_main import (
    assert_one_line,
    call,  # noqa: F401 - a fixture
    everything,
)
from tests.support.paths import ROOT
from tests.training.test_train import COLOURS, content, photos  # noqa: F401 - a fixture

NETWORK = ("-m", "training_networks:network", "--window", "20")
QUICK = ("--epochs", "4", "--views", "2", "--rate", "0.01", "--batch", "8")


def test_adapt_prints_the_table_and_writes_a_checkpoint(call, photos):  # noqa: F811
    outcome = call(
        *("adapt", *NETWORK, "--num-classes", 3),
        *("--freeze", "none", "--softmax", "-o", "net.safetensors"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(r"^head.0 +Conv2d +6x6, 6 to 12 ", outcome.out, re.MULTILINE)
    assert "fc head, 1 x 1 x 12 x 3 re-initialised" in outcome.out
    assert outcome.out.endswith("wrote net.safetensors\n")
    told = json.loads(call("summary", "-m", "net.safetensors", "--json").out)
    assert told["trainable"] == told["parameters"]
    assert [row["kind"] for row in told["rows"]][-2:] == ["AdaptiveAvgPool2d", "Softmax"]
    assert call("run", "cat.png", "-m", "net.safetensors", "-c", "class 1").code == 0


def test_adapt_takes_names_from_a_file_and_prints_json(call, photos):  # noqa: F811
    Path("names.txt").write_text("oak\nelm\n")
    told = json.loads(call("adapt", *NETWORK, "--class-names", "names.txt", "--json").out)
    assert told["rows"][-2]["shape"] == [2, 1, 1]
    assert told["trainable"] == 6 * 6 * 6 * 12 + 12 + 2 * 12 + 2
    assert not list(Path().glob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("adapt", *NETWORK, "-o", "net.pt"), ("net.pt", "ends in .safetensors")),
        (("adapt", *NETWORK, "--freeze", "most"), ("freeze is 'most'",)),
        (("adapt", *NETWORK, "--class-names", "none.txt"), ("none.txt",)),
        (("adapt", "-m", "training_networks:network"), ("which window", "--window")),
        (("adapt", "-m", "timm/vit_tiny_patch16_224", "--weights", "random"), ("class token",)),
        (("train", "nowhere"), ("nowhere: no such folder",)),
        (("train", "photos/red/3.png"), ("photos/red/3.png: is a file, not a folder",)),
        (("adapt", *NETWORK, "-o", "taken.safetensors"), ("taken.json", "describes no checkpoint")),
        (("train", "photos/red"), ("holds 0 folders", "at least 2 classes")),
        (("train", "photos", "--validation-split", "1"), ("validation_split is 1",)),
        (("train", "photos", "--boxes", "none.json"), ("none.json",)),
        (("train", "photos", "-o", "net.pt"), ("net.pt", "ends in .safetensors")),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(call, photos, arguments, parts):  # noqa: F811
    Path("taken.json").write_text("{}")
    before = everything()
    outcome = call(*arguments)
    assert_one_line(outcome, *parts)
    assert everything() == before


def test_train_tells_of_each_epoch_and_run_takes_what_it_writes(call, photos):  # noqa: F811
    outcome = call("train", "photos", *NETWORK, *QUICK, "-o", "net.safetensors")
    assert (outcome.code, outcome.err) == (0, "")
    assert "red: 8 training examples, 2 for validation" in outcome.out
    assert (
        len(re.findall(r"^epoch +\d: loss [\d.]+, [\d.]+% right; validation", outcome.out, re.M))
        == 4
    )
    assert re.search(r"kept epoch \d; wrote net.safetensors", outcome.out)
    assert call("run", "cat.png", "-m", "net.safetensors", "-c", "red").code == 0
    told = json.loads(call("train", "photos", *NETWORK, *QUICK, "--json").out)
    assert told["checkpoint"] == "trained.safetensors"
    assert [epoch["number"] for epoch in told["history"]] == [1, 2, 3, 4]
    assert content("trained.safetensors") == content("net.safetensors")


def test_interrupting_says_how_to_go_on(call, photos, monkeypatch):  # noqa: F811
    def interrupted(self, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("heatmap.training.fit.Fit.save", interrupted)
        outcome = call("train", "photos", *NETWORK, *QUICK)
    assert outcome.code == 130
    assert outcome.err == "heatmap: interrupted\n"
    assert outcome.out.endswith("stopped; the same command with --resume goes on\n")
    refused = call("train", "photos", *NETWORK, *QUICK)
    assert_one_line(refused, "trained.training holds a training", "--resume")
    assert call("train", "photos", *NETWORK, *QUICK, "--resume").code == 0


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_checkpoint(photos, tmp_path):  # noqa: F811
    """kill -9 between two epochs, from outside."""
    code = "from heatmap.cli import main; main()"
    given = ["train", "photos", *NETWORK, *QUICK, "--epochs", "60", "--patience", "60"]
    command = [sys.executable, "-u", "-c", code, *given]
    places = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}

    def run(*more):
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    assert run("-o", "whole.safetensors").returncode == 0
    began = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    for line in began.stdout:
        if line.startswith(b"epoch   7"):
            break
    time.sleep(0.05)
    os.kill(began.pid, signal.SIGKILL)
    began.communicate()
    assert not (tmp_path / "trained.safetensors").exists()
    resumed = run("--resume")
    assert re.search(r"going on behind epoch ([789]|[1-5]\d)\n", resumed.stdout)
    assert content("trained.safetensors") == content("whole.safetensors")
    assert sorted(COLOURS) == json.loads(Path("trained.json").read_text())["class_names"]
