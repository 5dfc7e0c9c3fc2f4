"""Weights on the command line: which are taken, what is said of them, and whose code runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from tests.support import command_networks
from tests.support.command_line import NETWORKS, PADDED, assert_one_line

PREFIX = "prefix 'module.' taken off the names of the weights"


@pytest.fixture
def wrapped(call):
    """Weights as two processes leave them, with averaged ones beside them."""
    state = {f"module.{name}": v for name, v in command_networks.padded().state_dict().items()}
    torch.save({"model": state, "model_ema": state}, "wrapped.pth")
    return call


AVERAGED = "averaged weights (EMA) taken from 'model_ema', those in 'model' left aside"
GIVEN = (*PADDED, "--weights", "wrapped.pth")
NOTES = [AVERAGED, PREFIX]
TOLD = "".join(f"note: {note}\n" for note in NOTES)


def test_notes_are_on_the_terminal_in_the_result_and_on_the_page(wrapped):
    outcome = wrapped("run", "cat.png", *GIVEN, "-o", "out", "--html", "--json")
    assert (outcome.code, outcome.err) == (0, TOLD)
    origin = json.loads(outcome.out)["origin"]
    assert origin["notes"][: len(NOTES)] == NOTES
    assert origin["weights"]["text"] == "file wrapped.pth (model_ema)"
    assert PREFIX in Path("out/cat.html").read_text()


@pytest.mark.parametrize(
    "command",
    [
        ("verify", "cat.png", "-o", "out"),
        ("summary",),
        ("adapt", "--num-classes", "2"),
    ],
)
def test_every_command_tells_them(wrapped, command):
    outcome = wrapped(*command, *GIVEN, "--json")
    assert (outcome.code, outcome.err) == (0, TOLD)
    told = json.loads(outcome.out)
    assert told.get("notes", told.get("origin", {}).get("notes")) == NOTES


def test_a_batch_tells_them_once(wrapped):
    outcome = wrapped("batch", "cat.png", *GIVEN, "-o", "out")
    assert outcome.code == 0
    assert outcome.err.count(TOLD) == outcome.err.count("note: averaged") == 1
    result = json.loads(next(Path("out").rglob("cat.json")).read_text())
    assert result["origin"]["notes"][: len(NOTES)] == NOTES
    assert "note" not in wrapped("batch", "cat.png", *GIVEN, "-o", "quiet", "--quiet").err


def test_a_key_chooses(wrapped):
    outcome = wrapped("run", "cat.png", *GIVEN, "--weights-key", "model", "--json")
    assert outcome.err == f"note: {PREFIX}\n"
    refused = wrapped("run", "cat.png", *GIVEN, "--weights-key", "best")
    assert_one_line(refused, "no weights under 'best': there are 'model', 'model_ema'")
    refused = wrapped("run", "cat.png", *PADDED, "--weights-key", "best")
    assert_one_line(refused, "use --weights FILE or leave --weights-key out")


def test_what_does_not_fit_names_the_way_out(call):
    state = command_networks.padded().state_dict()
    state["5.weight"] = state["5.weight"][:3]
    torch.save(state, "head.pth")
    outcome = call("run", "cat.png", *PADDED, "--weights", "head.pth")
    assert_one_line(
        outcome,
        "5.weight is (5, 512) in the network and (3, 512) in the weights",
        "the head was replaced: build that network in a function of yours and give it as "
        "--model package.module:factory",
    )


class TestWhoseCodeRuns:
    @pytest.fixture
    def mine(self, call, tmp_path):
        """A checkpoint of a factory in this folder, which leaves a mark when it is imported."""
        Path("own_factory.py").write_text(
            f"from pathlib import Path\nfrom {NETWORKS} import padded\nPath('imported').touch()\n"
        )
        made = call(
            *("adapt", "-m", "own_factory:padded", "--window", "32", "--num-classes", "2"),
            *("-o", "net.safetensors"),
        )
        assert (made.code, made.err) == (0, "")
        del sys.modules["own_factory"]
        Path("imported").unlink()
        yield call
        sys.modules.pop("own_factory", None)

    def test_never_a_factory_that_only_a_file_names(self, mine, photos):
        for command in (
            ("run", "cat.png"),
            ("batch", "cat.png", "-o", "out"),
            ("verify", "cat.png"),
            ("evaluate", ".", "boxes.json"),
            ("summary",),
            ("adapt",),
            ("train", "photos"),
            ("export", "-o", "net.onnx"),
        ):
            refused = mine(*command, "-m", "net.safetensors")
            assert_one_line(refused, "if you trust it, add --architecture own_factory:padded")
            other = mine(*command, "-m", "net.safetensors", "--architecture", "os:abort")
            assert_one_line(other, "is of 'own_factory:padded'")
            assert "own_factory" not in sys.modules, command
            assert not Path("imported").exists(), command

    def test_the_factory_that_is_named(self, mine):
        named = ("-m", "net.safetensors", "--architecture", "own_factory:padded")
        assert mine("run", "cat.png", *named, "-c", "class 1").code == 0
        assert mine("batch", "cat.png", *named, "-o", "out").code == 0
        assert json.loads(mine("summary", *named, "--json").out)["model"] == "net.safetensors"

    def test_names_in_files_cannot_write_to_the_terminal(self, mine):
        described = json.loads(Path("net.json").read_text())
        described["architecture"] = "own:\x1b[31mred\n; touch x"
        Path("net.json").write_text(json.dumps(described))
        refused = mine("run", "cat.png", "-m", "net.safetensors")
        assert_one_line(refused, "no model is called")
        assert "\x1b" not in refused.err
        described["architecture"] = "own:red; touch x"
        Path("net.json").write_text(json.dumps(described))
        refused = mine("run", "cat.png", "-m", "net.safetensors")
        assert_one_line(refused, "--architecture 'own:red; touch x'")
