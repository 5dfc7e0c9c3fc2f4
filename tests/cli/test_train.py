"""`heatmap train`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import assert_one_line, everything
from tests.support.paths import ROOT
from tests.support.training import COLOURS, boxed_squares, content
from tests.support.training import NETWORK as SMALL

NETWORK = ("-m", SMALL, "--window", "20")
QUICK = ("--epochs", "4", "--views", "2", "--rate", "0.01", "--batch", "8")


def test_train_tells_of_each_epoch_and_run_takes_what_it_writes(call, photos):
    outcome = call("train", "photos", *NETWORK, *QUICK, "-o", "net.safetensors")
    assert (outcome.code, outcome.err) == (0, "")
    assert "boxes" not in outcome.out
    assert "red: 8 training examples, 2 for validation" in outcome.out
    epochs = re.findall(r"^epoch +\d: loss [\d.]+, [\d.]+% right; validation", outcome.out, re.M)
    assert len(epochs) == 4
    assert re.search(r"kept epoch \d; wrote net.safetensors", outcome.out)
    (command,) = re.findall(r"`heatmap run PHOTO (-m .*)`", outcome.out)
    assert call("run", "cat.png", *command.split(), "-c", "red").code == 0
    refused = call("run", "cat.png", "-m", "net.safetensors")
    assert_one_line(refused, f"if you trust it, add --architecture {SMALL}")
    told = json.loads(call("train", "photos", *NETWORK, *QUICK, "--json").out)
    assert told["checkpoint"] == "trained.safetensors"
    assert [epoch["number"] for epoch in told["history"]] == [1, 2, 3, 4]
    assert content("trained.safetensors") == content("net.safetensors")


def test_train_and_summary_say_that_boxes_are_refined(call, tmp_path):
    boxes = boxed_squares(tmp_path / "whole")
    given = ("train", "whole", "--boxes", boxes, *NETWORK, *QUICK)
    outcome = call(*given)
    assert outcome.code == 0
    (count,) = re.findall(r"^boxes refined by (\d+) examples$", outcome.out, re.M)
    summary = ("summary", "-m", "trained.safetensors", "--architecture", SMALL)
    assert f"\nboxes: refined by {count} examples\n" in call(*summary).out
    assert json.loads(call(*summary, "--json").out)["box_examples"] == int(count)
    assert json.loads(call(*given, "--json").out)["box_examples"] == int(count)


def test_train_notes_boxes_that_were_cut(call, tmp_path):
    boxes = boxed_squares(tmp_path / "whole")
    listed = json.loads(boxes.read_text())
    listed[0]["boxes"].append({"label": "red", "xmin": 100, "ymin": 0, "xmax": 122, "ymax": 20})
    boxes.write_text(json.dumps(listed))
    given = ("train", "whole", "--boxes", boxes, *NETWORK, *QUICK, "--epochs", "1")
    note = "1 box that reached a little outside the photo: cut to it"
    outcome = call(*given)
    assert (outcome.code, f"note: {note}" in outcome.err.splitlines()) == (0, True)
    assert note in json.loads(call(*given, "--json").out)["notes"]


def test_interrupting_says_how_to_go_on(call, photos, monkeypatch):
    def interrupted(self, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("heatmap.training.fit.Fit.save", interrupted)
        outcome = call("train", "photos", *NETWORK, *QUICK)
    assert outcome.code == 130
    assert outcome.err == "heatmap: interrupted\n"
    assert outcome.out.endswith("stopped; the same command with --resume continues\n")
    refused = call("train", "photos", *NETWORK, *QUICK)
    assert_one_line(refused, "trained.training holds a training", "--resume")
    assert call("train", "photos", *NETWORK, *QUICK, "--resume").code == 0


def test_train_lists_all_broken_photos_before_it_starts_or_leaves_them_out(call, photos):
    whole = Path("photos/red/1.png").read_bytes()
    # Whole by its header; found only by decoding.
    Path("photos/red/1.png").write_bytes(whole[:-300])
    Path("photos/blue/2.png").write_bytes(b"")
    before = everything()
    outcome = call("train", "photos", *NETWORK, *QUICK)
    assert_one_line(
        outcome,
        "2 of 30 photos cannot be used",
        "photos/blue/2.png: is empty; photos/red/1.png: is cut short",
        "leave them out with --skip-broken, which lists all",
    )
    assert everything() == before
    outcome = call("train", "photos", *NETWORK, *QUICK, "--skip-broken")
    assert outcome.code == 0
    notes = outcome.err.splitlines()
    assert notes[0] == "note: left out: photos/blue/2.png: is empty"
    assert notes[1].startswith("note: left out: photos/red/1.png: is cut short")
    assert "blue: 7 training examples, 2 for validation" in outcome.out
    described = json.loads(Path("trained.json").read_text())
    assert described["training"]["left_out"] == ["blue/2.png", "red/1.png"]
    told = json.loads(call("train", "photos", *NETWORK, *QUICK, "--skip-broken", "--json").out)
    assert [each["file"] for each in told["left_out"]] == ["blue/2.png", "red/1.png"]
    assert told["left_out"][0]["reason"] == "photos/blue/2.png: is empty"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # The work folder has a shorter name, so that this showed after the last epoch only.
        (("photos", "-o", f"{'y' * 244}.safetensors"), "a name may have 255 bytes"),
        (("photos", "-o", f"{'y' * 300}/net.safetensors"), "a name may have 255 bytes"),
        (("x" * 300,), "no such folder"),
        (("photos", "--background", "x" * 300), "no such folder"),
    ],
)
def test_a_name_that_is_too_long_is_refused_before_anything_begins(
    call, photos, arguments, message
):
    before = everything()
    assert_one_line(call("train", *arguments, *NETWORK, *QUICK), message)
    assert everything() == before


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_checkpoint(photos, tmp_path, monkeypatch):
    """kill -9 between two epochs, from outside."""
    monkeypatch.chdir(tmp_path)
    code = "from heatmap.cli.main import main; main()"
    given = ["train", "photos", *NETWORK, *QUICK, "--epochs", "60", "--patience", "60"]
    command = [sys.executable, "-u", "-c", code, *given]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

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
    assert re.search(r"continuing after epoch ([789]|[1-5]\d)\n", resumed.stdout)
    assert content("trained.safetensors") == content("whole.safetensors")
    assert sorted(COLOURS) == json.loads(Path("trained.json").read_text())["class_names"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("train", "nowhere"), ("nowhere: no such folder",)),
        (("train", "photos/red/3.png"), ("photos/red/3.png: is a file, not a folder",)),
        (("train", "photos/red"), ("holds 0 folders", "at least 2 classes")),
        (("train", "photos", "--validation-split", "1"), ("validation_split is 1",)),
        (("train", "photos", "--boxes", "none.json"), ("none.json",)),
        (("train", "photos", "-o", "net.pt"), ("net.pt", "ends in .safetensors")),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(call, photos, arguments, parts):
    Path("taken.json").write_text("{}")
    before = everything()
    outcome = call(*arguments)
    assert_one_line(outcome, *parts)
    assert everything() == before
