"""Commands with an exported network as the model: what is told of it, and what refuses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import assert_one_line
from tests.support.exports import other_program

# The memory that a file takes is measured once.
pytestmark = pytest.mark.usefixtures("shared_cache")


def test_run_says_that_maps_are_of_windows(call, small_onnx):
    outcome = call("run", "cat.png", "-m", small_onnx.program.path, "-o", "out", "--json")
    assert outcome.code == 0
    assert "note: maps are of windows: " in outcome.err
    assert json.loads(outcome.out)["origin"]["computation"]["backend"] == "onnx"


def test_run_takes_files_of_other_programs(call):
    other_program(Path("a.onnx"))
    Path("two.txt").write_text("cat\ndog")
    options = ("--mean", "0,0,0", "--std", "1,1,1", "--class-names", "two.txt", "--stride", "8")
    outcome = call("run", "cat.png", "-m", "a.onnx", *options, "-o", "out", "-c", "dog", "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["origin"]["engine"] == "crop"
    assert "note: scored crop by crop: another program exported it" in outcome.err


def test_verify_says_that_the_head_was_not_checked(call, small_onnx):
    arguments = ("verify", "cat.png", "-m", small_onnx.program.path, "--windows", "9")
    outcome = call(*arguments)
    assert outcome.code == 0
    assert "\nconverted head: not checked, the original network is not in the file\n" in outcome.out
    assert "Sliding was compared with the file's own crops" in outcome.out
    told = json.loads(call(*arguments, "--json", "--overwrite").out)
    assert [scale["head"] for scale in told["scales"]] == [None] * len(told["scales"])
    assert (told["passed"], told["padded_layers"]) == (True, None)


def test_verify_of_a_folder_says_so_too(call, small_onnx):
    outcome = call("verify", ".", "-m", small_onnx.program.path, "--windows", "9")
    assert (outcome.code, outcome.err.count("not compared")) == (0, 0)
    assert "1 photos, " in outcome.out
    assert "windows: head not checked\n" in outcome.out


def test_a_difference_that_is_too_large_still_exits_with_1(call, small_onnx):
    file = small_onnx.program.path
    outcome = call("verify", "cat.png", "-m", file, "--windows", "9", "--max-difference", "1e-9")
    assert outcome.code == 1
    assert "error: sliding differs from cropping by" in outcome.err


@pytest.mark.parametrize(
    "command",
    [
        ("summary",),
        ("export", "-o", "again.onnx"),
        ("adapt", "--num-classes", "2", "-o", "mine.safetensors"),
    ],
)
def test_what_takes_a_network_apart_refuses_it(call, small_onnx, command):
    outcome = call(*command, "-m", small_onnx.program.path)
    assert_one_line(outcome, "small.onnx is an exported network", "--model Classifier")


def test_evaluate_has_no_class_activation_maps_of_it(call, small_onnx):
    box = {"label": "b", "xmin": 10, "ymin": 10, "xmax": 60, "ymax": 60}
    Path("boxes.json").write_text(json.dumps([{"file": "cat.png", "boxes": [box]}]))
    outcome = call("evaluate", ".", "boxes.json", "-m", small_onnx.program.path)
    assert outcome.code == 1
    assert outcome.err.endswith("which has no class activation maps: use --no-cam\n")


def test_another_stride_is_refused(call, small_onnx):
    file = small_onnx.program.path
    outcome = call("run", "cat.png", "-m", file, "-o", "out", "--stride", "1")
    assert (outcome.code, outcome.out) == (1, "")
    assert "was exported for a stride of 2 px, not 1 px: leave --stride out" in outcome.err
    assert not Path("out").exists()
