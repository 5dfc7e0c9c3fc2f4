"""What is known of a network, as JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import HeatmapError
from heatmap.localization.auto_scales import ScaleRule
from heatmap.localization.box_regression import BoxRegression
from heatmap.prepared.facts import (
    NetworkFacts,
    SlidingFacts,
    described_facts,
    described_sliding,
    read_facts,
    read_sliding,
)
from heatmap.prepared.preprocessing import Preprocessing

# Numbers that text of few digits would round, and the smallest and largest ones.
NUMBERS = np.array(
    [[0.1, 1 / 3, -0.0, 1e-45], [3.4e38, np.nextafter(np.float32(1), 2), -7, 2**-126]] * 2,
    np.float32,
)
NAMES = ("[red]cat[/red]", "crane", "crane", "日本 é\u0301", "a\udc80b\n\x00")
FACTS = NetworkFacts(
    name="näme",
    preprocessing=Preprocessing(33, (0.1, 1 / 3, 0.7), (1e-3, 0.2, 1 / 7), "bgr"),
    classes=ClassList(
        NAMES, ("n1", "n2", "n3", "n4", "n5"), (ClassGroup("cránes", (1, 2)), ClassGroup("x", (0,)))
    ),
    weights="file “w.pt”",
    weights_digest="ab" * 32,
    architecture="torchvision.models:resnet18",
    weights_kind="file",
    outputs="probabilities",
    notes=("prefix module. taken off", "é"),
    scale_rule=ScaleRule("sizes", (0.1, 1 / 3)),
    box_regression=BoxRegression(NUMBERS, NUMBERS[:, 0].copy(), 12),
)


def through_json(described: dict) -> dict:
    return json.loads(json.dumps(described))


def assert_equal(given: NetworkFacts, expected: NetworkFacts) -> None:
    assert replace(given, box_regression=None) == replace(expected, box_regression=None)
    boxes, own = given.box_regression, expected.box_regression
    if own is None:
        assert boxes is None
        return
    assert (boxes.digest, boxes.examples) == (own.digest, own.examples)
    assert boxes.weights.tobytes() == own.weights.tobytes()
    assert boxes.weights.dtype == boxes.biases.dtype == np.float32


@pytest.mark.parametrize(
    "facts",
    [
        FACTS,
        replace(FACTS, box_regression=None, scale_rule=ScaleRule("native")),
        replace(FACTS, classes=ClassList(NAMES), notes=(), architecture="", weights_kind="own"),
        replace(FACTS, preprocessing=Preprocessing(32, (0.5,), (0.25,))),
        replace(FACTS, name="a\udc80b"),
    ],
)
def test_facts_are_read_as_they_were_written(facts):
    assert_equal(read_facts(through_json(described_facts(facts))), facts)


@pytest.mark.parametrize(
    "facts",
    [
        SlidingFacts("exact", "", 4, (8, 8)),
        SlidingFacts("inexact", "layer é looks at the whole input", 32, None),
        SlidingFacts("refused", "no"),
    ],
)
def test_how_a_network_slides_is_read_as_it_was_written(facts):
    assert read_sliding(through_json(described_sliding(facts))) == facts


@pytest.mark.parametrize(
    "damage",
    [
        {"name": 3},
        {"weights_kind": "stolen"},
        {"outputs": "noise"},
        {"notes": [1]},
        {"preprocessing": {"window_px": 0}},
        {"preprocessing": {"unknown": 1}},
        {"classes": {"names": ["a"], "wnids": [], "groups": [{"name": "b", "indices": [1]}]}},
        {"classes": {"names": ["a"], "wnids": [], "groups": [{"name": "b", "indices": [-1]}]}},
        {"classes": {"names": ["a", "b"], "wnids": ["n1"], "groups": []}},
        {"classes": None},
        {"scales": {"learned": "sizes", "sizes_px": []}},
        {"box_regression": {"weights": "AAAA", "biases": "", "examples": 1}},
    ],
)
def test_what_are_no_facts_is_refused(damage):
    described = through_json(described_facts(FACTS)) | damage
    with pytest.raises((KeyError, TypeError, ValueError, HeatmapError)):
        read_facts(described)


@pytest.mark.parametrize("field", ["classes", "outputs", "box_regression", "notes"])
def test_facts_with_a_field_missing_are_refused(field):
    described = described_facts(FACTS)
    del described[field]
    with pytest.raises(KeyError):
        read_facts(described)
