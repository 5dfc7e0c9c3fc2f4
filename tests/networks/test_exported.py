"""Exported networks as models: what they score, what is known of them, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import heatmap
from heatmap.networks.export import FACTS_NAME
from heatmap.networks.exported import read_exported
from heatmap.networks.weights_file import read_weights
from heatmap.prepared.exported import ExportedSession
from heatmap.prepared.preprocessing import Preprocessing
from tests.support.exports import NAMES, PREPROCESSING, STRIDE, other_program
from tests.support.networks import WINDOW
from tests.support.scoring import photo

VALID = heatmap.Placement(STRIDE, border="valid")
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


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


# What a file may not do.


def beside(path, location: str) -> None:
    """Write a network whose weights are in another file, which it names so."""
    other_program(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    (entry,) = (each for each in model.graph.initializer[0].external_data if each.key == "location")
    entry.value = location
    onnx.save(model, path)


def test_weights_beside_the_file_are_read(tmp_path):
    weights = other_program(tmp_path / "a.onnx")
    beside(tmp_path / "a.onnx", "w")
    exported = read_exported(tmp_path / "a.onnx", **PLAIN)
    window = photo(8, 8)
    scores = run(exported, window[None])
    np.testing.assert_allclose(scores, expected(weights, window[None]), rtol=1e-4, atol=1e-4)
    # They are part of what the file is known by.
    (tmp_path / "w").write_bytes(bytes(len((tmp_path / "w").read_bytes())))
    assert read_exported(tmp_path / "a.onnx", **PLAIN).file.digest != exported.file.digest


@pytest.mark.parametrize(
    "location",
    ["/etc/hostname", "../w", "..", ".", "", "in/w", "*/_ORT_MEM_ADDR_/*", "C:w", r"in\w"],
)
def test_weights_elsewhere_are_refused(tmp_path, location):
    (tmp_path / "in").mkdir()
    beside(tmp_path / "in" / "a.onnx", location)
    with pytest.raises(heatmap.ModelError, match="which may lie anywhere: they are read only from"):
        read_exported(tmp_path / "in" / "a.onnx")


def test_weights_behind_a_link_are_refused(tmp_path):
    beside(tmp_path / "a.onnx", "link")
    os.symlink(tmp_path / "w", tmp_path / "link")
    with pytest.raises(heatmap.ModelError, match="'link', which is no ordinary file"):
        read_exported(tmp_path / "a.onnx")
    beside(tmp_path / "a.onnx", "missing")
    with pytest.raises(heatmap.ModelError, match="'missing', which cannot be read: No such file"):
        read_exported(tmp_path / "a.onnx")


def test_weights_elsewhere_are_refused_within_a_branch_too(tmp_path):
    other_program(tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    tensor = TensorProto(name="w", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/hostname")
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [])
    model.graph.node.append(
        helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch)
    )
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(heatmap.ModelError, match="'/etc/hostname', which may lie anywhere"):
        read_exported(tmp_path / "a.onnx")


def test_operations_of_others_are_refused_by_name(tmp_path):
    other_program(tmp_path / "a.onnx", operation="Fold", domain="their.ops")
    with pytest.raises(heatmap.ModelError, match=r"the operation 'Fold' of 'their\.ops', and no"):
        read_exported(tmp_path / "a.onnx")


def test_operations_that_the_file_defines_are_taken(tmp_path):
    weights = other_program(tmp_path / "a.onnx", operation="Fold", domain="their.ops")
    model = onnx.load(tmp_path / "a.onnx")
    flatten = helper.make_node("Flatten", ["x"], ["y"])
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(
        helper.make_function("their.ops", "Fold", ["x"], ["y"], [flatten], opset)
    )
    onnx.save(model, tmp_path / "a.onnx")
    window = photo(8, 8)[None]
    scores = run(read_exported(tmp_path / "a.onnx", **PLAIN), window)
    np.testing.assert_allclose(scores, expected(weights, window), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"\x00" * 99, b"PK\x03\x04 no network"])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(heatmap.ModelError, match=r"a\.onnx: not an ONNX file, or damaged"):
        read_exported(tmp_path / "a.onnx")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(heatmap.ModelError, match="cannot be read: No such file or directory"):
        read_exported(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(heatmap.ModelError, match=r"a\.onnx: is a directory"):
        read_exported(tmp_path / "a.onnx")
    os.mkfifo(tmp_path / "b.onnx")
    with pytest.raises(heatmap.ModelError, match=r"b\.onnx: is not a regular file"):
        read_exported(tmp_path / "b.onnx")


# Files of other programs.


def run(exported, windows: np.ndarray) -> np.ndarray:
    """The scores (B, K) of windows."""
    session = ExportedSession(exported.file, exported.facts.preprocessing, 1)
    return session.run(windows)["scores"].reshape(len(windows), -1)


def expected(weights: np.ndarray, windows: np.ndarray) -> np.ndarray:
    return (windows.transpose(0, 3, 1, 2).reshape(len(windows), -1) / 255) @ weights


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_windows_are_scored_whatever_number_is_taken_at_once(tmp_path, batch):
    weights = other_program(tmp_path / "a.onnx", (batch, 3, 8, 8), (batch, 2))
    noise = np.random.default_rng(1)
    windows = noise.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    scores = run(read_exported(tmp_path / "a.onnx", **PLAIN), windows)
    np.testing.assert_allclose(scores, expected(weights, windows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", ["batch", 4])
def test_a_photo_is_scored_crop_by_crop(tmp_path, batch):
    weights = other_program(tmp_path / "a.onnx", (batch, 3, 8, 8), (batch, 2))
    scorer = heatmap.prepare(tmp_path / "a.onnx", class_names=["cat", "dog"], **PLAIN)
    pixels = photo(17, 21)
    grid = scorer.score(pixels, heatmap.Placement(5, border="valid"))
    windows = [pixels[y : y + 8, x : x + 8] for y in (0, 5) for x in (0, 5, 10)]
    np.testing.assert_allclose(
        grid.scores.reshape(6, 2), expected(weights, np.stack(windows)), rtol=1e-4, atol=1e-4
    )
    assert (grid.origin.engine, grid.classes.names) == ("crop", ("cat", "dog"))
    assert scorer.facts.scale_rule.learned == "native"
    assert grid.origin.notes == (
        "scored crop by crop: another program exported it, so that single windows go through it",
    )


def test_the_window_is_asked_for_where_the_file_takes_any(tmp_path):
    other_program(tmp_path / "a.onnx", ("batch", 3, "height", "width"))
    with pytest.raises(heatmap.ModelError, match="which window it was trained on: give its side"):
        read_exported(tmp_path / "a.onnx")
    assert read_exported(tmp_path / "a.onnx", window=8).facts.preprocessing == Preprocessing(8)
    with pytest.raises(heatmap.ModelError, match=r"a\.onnx: ONNX Runtime cannot run the network"):
        read_exported(tmp_path / "a.onnx", window=9)


def test_a_file_in_grey_gets_photos_in_grey(tmp_path):
    other_program(tmp_path / "a.onnx", ("batch", 1, 8, 8))
    assert read_exported(tmp_path / "a.onnx").facts.preprocessing == Preprocessing(8).in_grey()


@pytest.mark.parametrize(
    ("last", "outputs"),
    [(None, "logits"), ("Softmax", "probabilities"), ("Sigmoid", "independent probabilities")],
)
def test_what_outputs_mean_is_found_out(tmp_path, last, outputs):
    other_program(tmp_path / "a.onnx", last=last)
    assert read_exported(tmp_path / "a.onnx").facts.outputs == outputs


def test_a_file_that_cannot_slide_says_so(tmp_path):
    other_program(tmp_path / "a.onnx")
    with pytest.raises(heatmap.ConversionError, match=r"cannot slide: .*: use engine='crop'"):
        heatmap.prepare(tmp_path / "a.onnx", engine="slide")


@pytest.mark.parametrize(
    ("network", "listed"),
    [
        ({"taken": ("batch", 3, 8)}, r"inputs 'pixels': float32 \(batch, 3, 8\) and"),
        ({"taken": ("batch", 5, 8, 8)}, r"\(batch, 5, 8, 8\)"),
        ({"types": (TensorProto.DOUBLE,) * 2}, "'pixels': float64"),
        ({"types": (TensorProto.FLOAT, TensorProto.FLOAT16)}, "'scores': float16"),
        ({"given": ("batch", 2, 1)}, r"outputs 'scores': float32 \(batch, 2, 1\)"),
        ({"outputs": 2, "last": "Softmax"}, r"outputs 'scores': .*, 'product': float32"),
    ],
)
def test_networks_of_another_form_are_refused_with_their_shapes(tmp_path, network, listed):
    other_program(tmp_path / "a.onnx", **network)
    with pytest.raises(heatmap.ModelError, match=f"{listed}.*: export a classifier with one input"):
        read_exported(tmp_path / "a.onnx")


def test_windows_that_are_not_square_are_refused(tmp_path):
    other_program(tmp_path / "a.onnx", ("batch", 3, 4, 16))
    with pytest.raises(heatmap.ModelError, match=r"photos of 16 x 4 px: windows are square"):
        read_exported(tmp_path / "a.onnx")


def test_an_output_whose_form_only_running_shows_is_refused(tmp_path):
    other_program(tmp_path / "a.onnx", given=None, operation="Identity")
    with pytest.raises(heatmap.ModelError, match=r"\(B, K\)|cannot run the network"):
        read_exported(tmp_path / "a.onnx")


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
