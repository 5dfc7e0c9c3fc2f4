"""Networks that other programs exported: how they are scored, and which cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

import heatmap
from heatmap.networks.exported import read_exported
from heatmap.prepared.preprocessing import Preprocessing
from tests.support.exports import PLAIN, other_program, product, scores_of
from tests.support.scoring import photo


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_windows_are_scored_whatever_number_is_taken_at_once(tmp_path, batch):
    weights = other_program(tmp_path / "a.onnx", (batch, 3, 8, 8), (batch, 2))
    noise = np.random.default_rng(1)
    windows = noise.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    scores = scores_of(read_exported(tmp_path / "a.onnx", **PLAIN), windows)
    np.testing.assert_allclose(scores, product(weights, windows), rtol=1e-4, atol=1e-4)


@pytest.mark.few(1)
@pytest.mark.parametrize("batch", ["batch", 4])
def test_a_photo_is_scored_crop_by_crop(tmp_path, batch):
    weights = other_program(tmp_path / "a.onnx", (batch, 3, 8, 8), (batch, 2))
    scorer = heatmap.prepare(tmp_path / "a.onnx", class_names=["cat", "dog"], **PLAIN)
    pixels = photo(17, 21)
    grid = scorer.score(pixels, heatmap.Placement(5, border="valid"))
    windows = [pixels[y : y + 8, x : x + 8] for y in (0, 5) for x in (0, 5, 10)]
    np.testing.assert_allclose(
        grid.scores.reshape(6, 2), product(weights, np.stack(windows)), rtol=1e-4, atol=1e-4
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
