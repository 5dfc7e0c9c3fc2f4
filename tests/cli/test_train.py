"""`heatmap train`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from heatmap.cli.training_printer import print_outcome
from heatmap.training.fit import Schedule
from tests.support.command_line import assert_one_line, everything, without_colours
from tests.support.paths import ROOT
from tests.support.training import COLOURS, boxed_squares, content
from tests.support.training import NETWORK as SMALL
from tests.support.trainings import logits_of, make_examples, make_trained

NETWORK = ("-m", SMALL, "--window", "20")
QUICK = ("--epochs", "4", "--views", "2", "--rate", "0.01", "--batch", "8")


def test_train_tells_of_each_epoch_and_run_takes_what_it_writes(call, photos):
    outcome = call("train", "photos", *NETWORK, *QUICK, "-o", "net.safetensors")
    assert (outcome.code, outcome.err) == (0, "")
    assert "boxes" not in outcome.out
    assert "red: 8 training examples, 2 for validation" in outcome.out
    epochs = re.findall(r"^epoch +\d: loss [\d.]+, [\d.]+% right; validation", outcome.out, re.M)
    assert len(epochs) == 4
    last = outcome.out.splitlines()[-1]
    assert last == "wrote net.safetensors, and net.html with curves and mistakes"
    given = ("-m", "net.safetensors", "--architecture", SMALL)
    assert call("run", "cat.png", *given, "-c", "red").code == 0
    refused = call("run", "cat.png", "-m", "net.safetensors")
    assert_one_line(refused, f"if you trust it, add --architecture {SMALL}")
    told = json.loads(call("train", "photos", *NETWORK, *QUICK, "--json").out)
    assert told["checkpoint"] == "trained.safetensors"
    assert [epoch["number"] for epoch in told["history"]] == [1, 2, 3, 4]
    assert content("trained.safetensors") == content("net.safetensors")
    assert told["page"] == "trained.html"
    # The same network, so the same mistakes, in the tables of the first call too.
    validation = told["validation"]
    assert (validation["examples"], told["resumed_after"], told["stopped_early"]) == (6, [], False)
    for figures in validation["classes"]:
        shares = [figures[name] for name in ("precision", "recall", "f1")]
        cells = [
            figures["name"],
            "8",
            "2",
            *(f"{share:.1%}" for share in shares if share is not None),
        ]
        assert cells in [line.split() for line in outcome.out.splitlines()]
    assert validation["wrong"] == sum(pair["count"] for pair in validation["confusions"])
    assert len(validation["worst"]) == validation["wrong"]
    for wrong in validation["worst"]:
        assert max(wrong["probabilities"], key=wrong["probabilities"].get) == wrong["predicted"]


@pytest.mark.parametrize("classes", [2, 12, 13, 300])
def test_the_outcome_fits_a_terminal_of_80_columns_and_one_screen(tmp_path, classes):
    examples = make_examples(tmp_path, classes, validation=4)
    long = tuple(f"{name} of [/] a rather long name" for name in examples.classes)
    examples = replace(examples, classes=long)
    trained = make_trained(
        tmp_path,
        examples=examples,
        logits=logits_of(examples, sure=1),
        schedule=Schedule(epochs=40, patience=8),
        resumed_after=(2, 8),
    )
    trained = replace(trained, path=Path("net.safetensors"))
    written = StringIO()
    # A terminal, on which the next command is told.
    print_outcome(Console(file=written, width=80, force_terminal=True), trained)
    lines = without_colours(written.getvalue()).splitlines()
    assert lines[-1].startswith("next: heatmap run PHOTO -m net.safetensors")
    assert max(map(len, lines)) <= 80
    assert len(lines) < 75
    said = " ".join(" ".join(lines).split())
    assert ("classes of" in said) == (classes > 12)
    assert "[/]" in said
    for text in (
        "resumed after epochs 2 and 8",
        "epoch 8 of 12 is kept",
        "stopped early: no lower",
    ):
        assert text in said
    assert said.count("taken for") == 2


def test_without_mistakes_or_a_validation_split_no_empty_table_is_printed(tmp_path):
    right = make_examples(tmp_path)
    alone = make_examples(tmp_path, validation=0)
    for examples in (right, alone):
        trained = make_trained(tmp_path, examples=examples, logits=logits_of(examples, sure=99))
        written = StringIO()
        print_outcome(Console(file=written, width=80), trained)
        assert "taken for" not in written.getvalue()
        assert ("precision" in written.getvalue()) == (examples is right)


def test_a_page_of_somebody_else_is_refused_before_training(call, photos):
    Path("trained.html").write_text("<p>my own</p>")
    before = everything()
    outcome = call("train", "photos", *NETWORK, *QUICK)
    assert_one_line(
        outcome, "trained.html: exists, and was not written by this tool", "--overwrite"
    )
    assert (everything(), Path("trained.html").read_text()) == (before, "<p>my own</p>")


def test_train_and_summary_say_that_boxes_are_refined(call, tmp_path):
    boxes = boxed_squares(tmp_path / "whole")
    given = ("train", "whole", "--boxes", boxes, *NETWORK, *QUICK, "--epochs", "1")
    outcome = call(*given)
    assert outcome.code == 0
    (count,) = re.findall(r"^boxes refined by (\d+) examples$", outcome.out, re.M)
    summary = ("summary", "-m", "trained.safetensors", "--architecture", SMALL)
    assert f"\nboxes: refined by {count} examples\n" in call(*summary).out
    assert json.loads(call(*summary, "--json").out)["box_examples"] == int(count)


@pytest.mark.slow
def test_train_notes_boxes_that_were_cut(call, tmp_path):
    boxes = boxed_squares(tmp_path / "whole")
    listed = json.loads(boxes.read_text())
    listed[0]["boxes"].append({"label": "red", "xmin": 100, "ymin": 0, "xmax": 122, "ymax": 20})
    boxes.write_text(json.dumps(listed))
    given = ("train", "whole", "--boxes", boxes, *NETWORK, *QUICK, "--epochs", "1")
    note = "1 box that reached a little outside the photo: cut to it"
    outcome = call(*given)
    assert (outcome.code, f"note: {note}" in outcome.err.splitlines()) == (0, True)
    told = json.loads(call(*given, "--json").out)
    assert note in told["notes"]
    assert f"boxes refined by {told['box_examples']} examples" in outcome.out.splitlines()


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
    once = ("train", "photos", *NETWORK, *QUICK, "--epochs", "1", "--skip-broken")
    outcome = call(*once)
    assert outcome.code == 0
    notes = outcome.err.splitlines()
    assert notes[0] == "note: left out: photos/blue/2.png: is empty"
    assert notes[1].startswith("note: left out: photos/red/1.png: is cut short")
    assert "blue: 7 training examples, 2 for validation" in outcome.out
    described = json.loads(Path("trained.json").read_text())
    assert described["training"]["left_out"] == ["blue/2.png", "red/1.png"]
    told = json.loads(call(*once, "--json").out)
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
