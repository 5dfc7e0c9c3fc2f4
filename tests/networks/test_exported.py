"""Exported networks as models: what they score, what is known of them, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

import heatmap
from heatmap.networks.export import FACTS_NAME
from heatmap.networks.exported import read_exported
from heatmap.networks.weights_file import read_weights
from tests.support.exports import NAMES, PREPROCESSING, STRIDE, other_program
from tests.support.local_networks import EVEN, excitation, network
from tests.support.scoring import photo

# The memory that a file takes is measured once.
pytestmark = pytest.mark.usefixtures("shared_cache")

VALID = heatmap.Placement(STRIDE, border="valid")


@pytest.fixture(scope="module")
def scorer(small_onnx):
    """Of a file that this package wrote."""
    return heatmap.prepare(small_onnx.program.path)


def relative(given: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(given - expected).max() / np.abs(expected).max())


def changed(small_onnx, path, **facts):
    """The small file with other metadata: None takes a fact out."""
    model = onnx.load(small_onnx.program.path)
    (entry,) = model.metadata_props
    described = json.loads(entry.value) | facts
    entry.value = json.dumps({name: value for name, value in described.items() if value != "gone"})
    onnx.save(model, path)
    return path


# A file of this package.


def test_scores_are_those_of_the_network_in_torch(small_onnx, scorer):
    pixels = photo(61, 75)
    given, expected = (
        one.score(pixels, VALID) for one in (scorer, heatmap.prepare(small_onnx.model))
    )
    assert relative(given.scores, expected.scores) < 1e-5
    assert (given.geometry, given.kind) == (expected.geometry, expected.kind)
    assert given.origin.computation.backend == "onnx"


@pytest.mark.slow
@pytest.mark.parametrize("statistics", ["local", "whole"])
def test_statistics_are_those_that_it_was_exported_with(tmp_path, statistics):
    pixels, module = photo(61, 75), network(excitation(), window=EVEN)
    path, given = tmp_path / "a.onnx", {"window": EVEN}
    in_torch = given | {"statistics": statistics, "backend": "torch"}
    with pytest.raises(heatmap.ConversionError, match="sliding would be inexact"):
        heatmap.export(module, path, **given)
    heatmap.export(module, path, statistics=statistics, **given)
    scored = heatmap.prepare(path).score(pixels)
    expected = heatmap.prepare(module, **in_torch).score(pixels)
    assert relative(scored.scores, expected.scores) < 1e-5
    assert (scored.origin.statistics, scored.origin.sliding) == (statistics, "inexact")
    said = "approximate: it was exported with local statistics" in scored.origin.notes
    assert said == (statistics == "local")


@pytest.mark.parametrize("statistics", [None, "local"])
def test_it_slides_as_its_metadata_say(small_onnx, tmp_path, statistics):
    sliding = "exact" if statistics is None else "inexact"
    path = changed(small_onnx, tmp_path / "a.onnx", statistics=statistics, sliding=sliding)
    slides = read_exported(path).slides
    assert (slides.sliding, slides.statistics) == (sliding, statistics)
    assert ("statistics" in slides.why_not) == (statistics is not None)


def test_the_facts_are_those_of_the_network(small_onnx, scorer):
    own, facts = small_onnx.model, scorer.facts
    assert facts.classes.names == own.classes.names
    assert facts.preprocessing == own.preprocessing
    assert (facts.outputs, facts.weights_digest) == (own.outputs, own.weights_digest)
    assert facts.scale_rule == own.scale_rule
    assert facts.weights == "file small.onnx, exported from Classifier with weights as given"
    assert (scorer.engine, scorer.sliding, scorer.native_stride_px) == ("slide", "exact", STRIDE)


def test_maps_are_of_windows_and_said_to_be(scorer):
    assert scorer.score_positions(photo(61, 75), VALID) is None
    assert scorer.notes_at(STRIDE) == (
        "maps are of windows: an exported network gives no scores of single positions, which "
        "sharp maps are made of",
    )


def test_crops_are_those_of_the_network(small_onnx):
    placement = heatmap.Placement(13, border="valid")
    given, expected = (
        heatmap.prepare(model, engine="crop").score(photo(61, 75), placement)
        for model in (small_onnx.program.path, small_onnx.model)
    )
    assert given.origin.engine == "crop"
    assert relative(given.scores, expected.scores) < 1e-5


def test_boxes_are_asked_as_of_the_network(small_onnx, scorer):
    boxes, groups = [(3, 4, 40, 30), (10, 5, 70, 60)], [scorer.facts.classes.single(1)] * 2
    given, expected = (
        one.crop_probabilities(photo(61, 75), boxes, groups)
        for one in (scorer, heatmap.prepare(small_onnx.model))
    )
    np.testing.assert_allclose(given, expected, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_only_the_stride_of_the_file_slides(scorer, stride):
    with pytest.raises(heatmap.GeometryError, match=f"a stride of 2 px, not {stride} px: leave"):
        scorer.score(photo(61, 75), heatmap.Placement(stride))


def test_a_photo_above_the_memory_is_refused(scorer):
    with pytest.raises(heatmap.GeometryError, match=r"in ONNX Runtime, 0\.0 GB .*: use scale=0\."):
        scorer.score(photo(300, 300), VALID, memory=10**4)


def test_settings_replace_those_of_the_file(small_onnx):
    names = [name.upper() for name in NAMES]
    given = {"class_names": names, "activation": "sigmoid", "channel_order": "rgb"}
    facts = read_exported(small_onnx.program.path, **given).facts
    assert facts.classes.names == tuple(names)
    assert facts.outputs == "independent logits"
    assert facts.preprocessing == replace(
        small_onnx.model.preprocessing,
        channel_order="rgb",
        mean=PREPROCESSING["mean"][::-1],
        std=PREPROCESSING["std"][::-1],
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"window": 64}, "for windows of 32 px, not 64 px: leave window out"),
        ({"weights": "random"}, "with weights of its own: leave weights out"),
        ({"weights_key": "model"}, "with weights of its own: leave weights_key out"),
        ({"architecture": "a:b"}, "with weights of its own: leave architecture out"),
        ({"class_names": ["a"]}, "has 5 classes, 1 class names were given"),
        ({"mean": (0.5,), "std": (0.5,)}, "for 1 of the network's channels, .* takes 3"),
        ({"backend": "torch"}, "runs in ONNX Runtime only: use backend='onnx'"),
        ({"dtype": "bfloat16"}, "in float32 on the CPU only, not in bfloat16 on cpu"),
    ],
)
def test_settings_that_the_file_cannot_have_are_refused(small_onnx, given, reason):
    with pytest.raises(heatmap.ModelError, match=reason):
        heatmap.prepare(small_onnx.program.path, **given)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"mean": "gone"}, "'mean' is missing"),
        ({"classes": "gone"}, "'classes' is missing"),
        ({"classes": []}, "it has no classes"),
        ({"classes": ["a", 1, "c", "d", "e"]}, "classes is no list of texts"),
        ({"classes": ["a\aa", "b", "c", "d", "e"]}, "holds the control character"),
        ({"notes": "all"}, "notes is no list of texts"),
        ({"model": 5}, "model is no text"),
        ({"stride_px": 0}, "stride_px is 0"),
        ({"stride_px": 2.0}, r"stride_px is 2\.0"),
        ({"stride_px": True}, "stride_px is True"),
        ({"window_px": -1}, "window"),
        ({"std": [0, 1, 1]}, "each must be above 0"),
        ({"mean": [float("nan")] * 3}, "give finite numbers"),
        ({"channel_order": "hsv"}, "channel order is 'hsv'"),
        ({"outputs": "sounds"}, "outputs are 'sounds'"),
        ({"scales": {"learned": "sizes", "sizes_px": []}}, "scales are learned from 'sizes'"),
        ({"scales": 1}, "not subscriptable"),
        ({"sliding": "sideways"}, "sliding is 'sideways'"),
        ({"statistics": "all"}, "statistics are 'all'"),
    ],
)
def test_metadata_that_says_something_else_is_refused(small_onnx, tmp_path, facts, reason):
    path = changed(small_onnx, tmp_path / "a.onnx", **facts)
    with pytest.raises(heatmap.ModelError, match=f"heatmap.json cannot be used: .*{reason}"):
        read_exported(path)


@pytest.mark.parametrize("facts", [{"classes": ["a", "b"]}, {"mean": [0.5], "std": [0.5]}])
def test_metadata_of_another_network_is_refused(small_onnx, tmp_path, facts):
    path = changed(small_onnx, tmp_path / "a.onnx", **facts)
    with pytest.raises(heatmap.ModelError, match=r"is not of this network, which has inputs 'pho"):
        read_exported(path)


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "no JSON;"), ("[" * 10**5, "no JSON;"), ("3", "no JSON object;")]
)
def test_metadata_that_is_no_json_is_refused(tmp_path, text, reason):
    other_program(tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    helper.set_model_props(model, {FACTS_NAME: text})
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(heatmap.ModelError, match=f"heatmap.json cannot be used: it is {reason}"):
        read_exported(tmp_path / "a.onnx")


def test_scores_that_do_not_fit_the_metadata_are_refused(small_onnx, tmp_path):
    scorer = heatmap.prepare(changed(small_onnx, tmp_path / "a.onnx", stride_px=4))
    with pytest.raises(heatmap.ModelError, match="it is not what its metadata says"):
        scorer.score(photo(61, 75))


# Elsewhere.


@pytest.mark.parametrize("function", [heatmap.load_classifier, heatmap.summary, heatmap.adapt])
def test_what_takes_a_network_apart_names_the_original(small_onnx, function):
    with pytest.raises(heatmap.ModelError, match=r"looked into: give the .* as model='Classifier'"):
        function(small_onnx.program.path)


def test_an_exported_file_is_no_weights(small_onnx):
    with pytest.raises(heatmap.ModelError, match=r"is an exported network \(ONNX\), not weights"):
        read_weights(small_onnx.program.path)


def test_what_needs_torch_says_that_there_is_none(scorer):
    with pytest.raises(heatmap.ModelError, match="runs in ONNX Runtime only: give the network"):
        _ = scorer.classifier


def test_verify_compares_sliding_with_crops_of_the_file(scorer):
    report = heatmap.verify(photo(60, 83), scorer, windows=9)
    assert (report.head, report.padded, report.passed) == (None, None, True)
    assert report.difference > 0.01
    assert report.conclusion.startswith("Sliding was compared with the file's own crops: in 9 w")
    assert "head was not checked" in report.conclusion
