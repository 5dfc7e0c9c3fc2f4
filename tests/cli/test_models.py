"""`heatmap models`."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import assert_one_line, without_colours


@pytest.fixture
def facts(call, cache) -> Path:
    """Where the facts of models are kept."""
    return cache / "models" / "facts.json"


def test_models_says_the_same_as_json_and_keeps_it(call, facts):
    told = json.loads(call("models", "squeezenet1_*", "--json").out)
    assert [(one["name"], one["slides"]) for one in told] == [
        ("squeezenet1_0", "padded"),
        ("squeezenet1_1", "padded"),
    ]
    kept = json.loads(facts.read_text())["content"]
    assert sorted(kept) == ["squeezenet1_0", "squeezenet1_1"]
    # Told as it was kept.
    kept["squeezenet1_1"]["reason"] = "as kept"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"content": kept}))
    outcome = call("models", "squeezenet1_*")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0] == ["model", "window", "stride", "slides", "note"]
    facts = ("name", "window_px", "native_stride_px", "slides", "reason")
    assert lines[1:] == [
        " ".join(str(one[fact]) for fact in facts).split() for one in kept.values()
    ]
    assert told[1]["reason"] == "8 layers pad: differs from cropping"


def test_on_a_terminal_notes_are_wrapped_between_words(call, cache, monkeypatch):
    (told,) = json.loads(call("models", "squeezenet1_1", "--json").out)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    lines = without_colours(call("models", "squeezenet1_1").out).splitlines()

    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines[1:]).split()).endswith(told["reason"])


def test_models_says_which_slide_with_local_statistics(call, cache):
    (told,) = json.loads(call("models", "timm/test_efficientnet_gn", "--json").out)
    assert (told["sliding"], told["statistics"]) == ("inexact", "local")
    assert "group_norm over the whole input" in told["reason"]
    (line,) = call("models", "timm/test_efficientnet_gn").out.splitlines()[1:]
    assert line.split()[3] == "local"


def test_models_gives_reasons(call, cache):
    told = json.loads(call("models", "timm/test_vit", "--json").out)
    assert [(one["sliding"], one["slides"]) for one in told] == [("refused", "crop")]
    assert told[0]["reason"]
    assert told[0]["native_stride_px"] is None
    assert told[0]["reason"] in call("models", "timm/test_vit").out


@pytest.mark.parametrize(
    "broken",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("{", "[]")),
        '{"versions": {}, "content": {"a": 1}}',
    ],
)
def test_models_works_with_facts_that_cannot_be_read(call, facts, broken):
    facts.parent.mkdir(parents=True)
    facts.write_text(broken)
    outcome = call("models", "squeezenet1_1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "squeezenet1_1" in outcome.out
    assert list(json.loads(facts.read_text())["content"]) == ["squeezenet1_1"]


def test_models_notes_that_nothing_can_be_kept(call, facts):
    Path("cache").write_text("a file")
    outcome = call("models", "squeezenet1_1")
    assert "squeezenet1_1" in outcome.out
    assert len(outcome.err.splitlines()) == 1
    assert "cannot be used" in outcome.err


def test_no_such_models(call):
    assert_one_line(call("models", "nothing*"), "no model matches 'nothing*'", "'timm/*resnet*'")
