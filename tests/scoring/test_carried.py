"""Prepared networks as workers elsewhere get them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import heatmap
from heatmap.scoring.carried import carried_networks, carried_scorer
from tests.support.batches import MODEL, WINDOW, picture


@pytest.mark.slow
def test_a_carried_network_scores_as_its_own_and_loads_torch_only_over_the_memory():
    scorer = heatmap.prepare(MODEL, window=WINDOW, backend="onnx")
    stride, loads = scorer.native_stride_px // 2, []

    def load():
        loads.append(1)
        return scorer.in_torch.get()

    packed = pickle.dumps(carried_networks(scorer, stride))
    carried = carried_scorer(pickle.loads(packed), MODEL, load)
    photo = picture(3)
    for placement in (heatmap.Placement(), heatmap.Placement(stride=stride)):
        own, given = (each.score(photo, placement) for each in (scorer, carried))
        assert given.origin.computation.backend == "onnx"
        np.testing.assert_array_equal(given.scores, own.scores)
    assert not loads
    small = carried.prepared_at(carried.native_stride_px).peak.bytes((1, 10, 10))
    in_torch = carried.score(photo, memory=small)
    assert in_torch.origin.computation.backend == "torch"
    assert len(loads) == 1
    expected = scorer.score(photo).scores
    np.testing.assert_allclose(in_torch.scores, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_single_windows_are_carried_too():
    scorer = heatmap.prepare(MODEL, window=WINDOW, engine="crop", backend="onnx")
    carried = carried_scorer(carried_networks(scorer, 20), MODEL, scorer.in_torch.get)
    assert carried.engine == "crop"
    own, given = (each.score(picture(1)) for each in (scorer, carried))
    np.testing.assert_array_equal(given.scores, own.scores)


def test_nothing_is_carried_where_torch_scores():
    scorer = heatmap.prepare(MODEL, window=WINDOW, backend="torch")
    assert carried_networks(scorer, scorer.native_stride_px) == ()
