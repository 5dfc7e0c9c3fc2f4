"""Kinds of scores: recognised from the scores of some windows, and made probabilities."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from heatmap import ModelError
from heatmap.grid.outputs import (
    are_surely_logits,
    group_probabilities,
    outputs_of,
    probabilities_of,
    softmax_terms,
)

NAN = float("nan")
ROWS = {
    "logits": [[2.0, -1.0, 0.0], [0.2, 0.3, 0.5]],
    "log-probabilities": np.log([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]]).tolist(),
    "probabilities": [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]],
    "independent probabilities": [[0.2, 0.3, 0.5], [1.0, 1.0, 0.0]],
}
ALONE = {
    "independent logits": [[0.2], [1.2]],
    "independent probabilities": [[0.2], [1.0]],
}


def windows(rows) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize(("kind", "rows"), [*ROWS.items(), *ALONE.items()])
def test_scores_are_recognised(kind, rows):
    assert outputs_of(windows(rows)) == kind
    # Windows that overflowed say nothing.
    assert outputs_of(windows([*rows, [NAN] * len(rows[0])])) == kind
    assert outputs_of(windows([*rows, [float("-inf")] * len(rows[0])])) == kind
    assert are_surely_logits(windows(rows)) == kind.endswith("logits")


@pytest.mark.parametrize("rows", [[[-0.2, 0.3, 0.9]], [[0.2, 0.3, 1.01]], [[-1.0, -2.0, -3.0]]])
def test_scores_near_to_probabilities_are_logits(rows):
    assert outputs_of(windows(rows)) == "logits"


def test_logits_of_an_untrained_network_are_recognised_by_their_signs():
    assert outputs_of(windows([[0, 0, 0], [1e-8, -2e-8, 0]])) == "logits"
    assert outputs_of(windows([[0], [-1e-8]])) == "independent logits"


def test_rounding_changes_nothing():
    assert outputs_of(windows([[1.0, -1e-7], [0.5, 0.5]])) == "probabilities"
    rounded = windows(ROWS["probabilities"]) * np.float32(1.0002)
    assert outputs_of(rounded) == "probabilities"
    assert outputs_of(windows(ROWS["log-probabilities"]) + np.float32(2e-4)) == "log-probabilities"


def test_of_scores_that_are_never_finite_nothing_is_known():
    assert outputs_of(windows([[NAN, NAN]])) == "logits"
    assert outputs_of(windows([[NAN]])) == "independent logits"
    assert not are_surely_logits(windows([[NAN, NAN]]))


def test_an_activation_is_believed_or_refused():
    assert outputs_of(windows(ROWS["logits"]), "sigmoid") == "independent logits"
    assert outputs_of(windows(ROWS["probabilities"]), "softmax") == "logits"
    assert outputs_of(windows(ROWS["independent probabilities"]), "none") == (
        "independent probabilities"
    )
    assert outputs_of(windows(ALONE["independent logits"]), "sigmoid") == "independent logits"
    for rows, activation in (
        (ROWS["log-probabilities"], "none"),
        (ALONE["independent logits"], "softmax"),
        (ALONE["independent probabilities"], "softmax"),
        (ROWS["logits"], "relu"),
    ):
        with pytest.raises(ModelError):
            outputs_of(windows(rows), activation)


def test_a_sigmoid_neither_overflows_nor_loses_what_is_small():
    logits = windows([[-1000, -80, -1, 0, 1, 80, 1000, NAN]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = probabilities_of(logits, "independent logits")
    assert found.dtype == np.float32
    small = np.exp(np.float64(-80))
    expected = [[0, small, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1, 1, NAN]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_log_probabilities_become_what_they_are_logarithms_of():
    found = probabilities_of(windows(ROWS["log-probabilities"]), "log-probabilities")
    np.testing.assert_allclose(found, [[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["probabilities", "independent probabilities"])
def test_probabilities_stay_as_they_are(kind):
    rows = windows(ROWS["independent probabilities"])
    assert probabilities_of(rows, kind) is rows


@pytest.mark.parametrize("classes", [2, 7, 16, 1000])
def test_single_classes_have_the_bits_of_the_softmax_of_all(classes):
    scores = np.random.default_rng(0).normal(0, 5, (9, 11, classes)).astype(np.float32)
    scores[2, 3] = NAN
    softmax = np.exp(scores - scores.max(axis=-1, keepdims=True))
    softmax /= softmax.sum(axis=-1, keepdims=True)
    np.testing.assert_array_equal(probabilities_of(scores, "logits"), softmax)
    single = [(index,) for index in range(min(classes, 40))]
    expected = np.minimum(softmax[..., : len(single)], 1)
    for terms in (None, softmax_terms(scores, "logits")):
        found = group_probabilities(scores, single, "logits", 0.0, terms)
        np.testing.assert_array_equal(found, expected)
    together = group_probabilities(scores, [(0, 1)], "logits", 0.0)[..., 0]
    np.testing.assert_array_equal(together, np.minimum(softmax[..., :2].sum(axis=-1), 1))
