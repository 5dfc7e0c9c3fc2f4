"""`heatmap adapt`."""

import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import ATTENDING, assert_one_line, everything, without_colours
from tests.support.training import NETWORK as SMALL

NETWORK = ("-m", SMALL, "--window", "20")
MADE = ("-m", "net.safetensors", "--architecture", SMALL)


def test_adapt_prints_the_table_and_writes_a_checkpoint(call, photos):
    outcome = call(
        *("adapt", *NETWORK, "--num-classes", 3),
        *("--freeze", "none", "--softmax", "-o", "net.safetensors"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(r"^head.0 +Conv2d +6x6, 6 to 12 ", outcome.out, re.MULTILINE)
    assert "fc head, 1 x 1 x 12 x 3 re-initialised" in outcome.out
    assert outcome.out.endswith("wrote net.safetensors\n")
    told = json.loads(call("summary", *MADE, "--json").out)
    assert told["trainable"] == told["parameters"]
    assert [row["kind"] for row in told["rows"]][-2:] == ["AdaptiveAvgPool2d", "Softmax"]
    assert call("run", "cat.png", *MADE, "-c", "class 1").code == 0


def test_on_a_terminal_it_says_what_to_type_next(call, photos, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    outcome = call("adapt", *NETWORK, "--num-classes", 3, "-o", "net.safetensors")

    out, err = map(without_colours, (outcome.out, outcome.err))
    told = "next: heatmap train FOLDER -m net.safetensors --architecture "
    assert out.splitlines()[-1] == told + SMALL
    assert f"loading {SMALL}" in " ".join(err.split())


def test_adapt_takes_names_from_a_file_and_prints_json(call, photos):
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
        (("adapt", "-m", SMALL), ("which window", "--window")),
        (("adapt", *ATTENDING), ("class token",)),
        (
            ("adapt", *NETWORK, "-o", "taken.safetensors"),
            ("taken.json", "not written by this tool", "--output", "--overwrite"),
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(call, photos, arguments, parts):
    Path("taken.json").write_text("{}")
    before = everything()
    outcome = call(*arguments)
    assert_one_line(outcome, *parts)
    assert everything() == before
