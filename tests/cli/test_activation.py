"""--activation: what the outputs of a network mean, said on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import heatmap
from tests.support.command_line import POOLED, assert_one_line

WORDS = {
    "auto": "logits, made probabilities by softmax",
    "softmax": "logits, made probabilities by softmax",
    "sigmoid": "independent logits, made probabilities by sigmoid",
}


@pytest.mark.parametrize(
    ("command", "activation"),
    [
        *((("summary",), activation) for activation in WORDS),
        (("verify", "cat.png", "--windows", 4), "sigmoid"),
    ],
)
def test_verify_and_summary_say_what_the_outputs_are(call, command, activation):
    outcome = call(*command, *POOLED, "--activation", activation)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"outputs: {WORDS[activation]}" in outcome.out.splitlines()


def test_json_says_it_too(call):
    sigmoid = (*POOLED, "--activation", "sigmoid", "--json")
    assert json.loads(call("summary", *sigmoid).out)["outputs"] == "independent logits"
    told = json.loads(call("verify", "cat.png", *sigmoid, "--windows", 4).out)
    assert (told["scores"], told["activation"]) == ("independent logits", "sigmoid")


def test_run_finds_each_independent_class_and_maps_it(call):
    outcome = call(
        *("run", "cat.png", *POOLED, "--activation", "sigmoid", "--json", "-o", "out"),
        *("--confirm", 0, "--save-grid"),
    )
    found = json.loads(outcome.out)["detections"]
    grid = heatmap.load("out/cat.grid.npz")
    assert grid.kind == "independent logits"
    exact = 1 / (1 + np.exp(-grid.scores.astype(float)))
    np.testing.assert_allclose(grid.probabilities(), exact, rtol=1e-5)
    reached = {grid.classes.names[index] for index in np.flatnonzero(exact.max((0, 1)) >= 0.35)}
    assert len(reached) > 1
    assert {one["class"] for one in found} == reached
    for one in found:
        assert one["confidence"] == pytest.approx(exact[(*one["cell"], *one["indices"])], abs=1e-5)
    assert {one["class"] for one in json.loads(outcome.out)["maps"]} == reached


def test_stored_independent_classes_stay_so(call):
    stored = ("--store-classes", "class 1", "--store-classes", "class 2")
    call("run", "cat.png", *POOLED, "--activation", "sigmoid", *stored, "-o", "out", "--save-grid")
    assert heatmap.load("out/cat.grid.npz").kind == "independent probabilities"


def test_an_activation_that_cannot_be_is_refused_in_one_line(call):
    assert_one_line(
        call("run", "cat.png", *POOLED, "--activation", "none"),
        "pooled: outputs are logits, not probabilities in 0..1: use --activation softmax for "
        "classes that exclude each other or --activation sigmoid for independent ones\n",
    )


def test_adapt_keeps_the_activation_in_its_checkpoint(call):
    name = POOLED[1]
    meant = ("--activation", "sigmoid", "-o", "net.safetensors")
    outcome = call("adapt", "-m", name, "--window", 32, "--num-classes", 3, *meant)
    assert f"outputs: {WORDS['sigmoid']}" in outcome.out
    again = call("summary", "-m", "net.safetensors", "--architecture", name)
    assert f"outputs: {WORDS['sigmoid']}" in again.out
