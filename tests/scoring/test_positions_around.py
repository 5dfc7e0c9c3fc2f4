"""Positions that are scored as parts of the window around them, and windows beside them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.conversion.check import SliceReference
from heatmap.conversion.convert import convert
from heatmap.conversion.position_network import position_network
from heatmap.geometry import Placement
from tests.scoring.test_positions import prepared, relative, small
from tests.support.networks import WINDOW, randomise, scenes
from tests.support.positions import around_heads
from tests.support.scoring import photo
from tests.support.zoo import build


@given(
    head=st.sampled_from(list(around_heads())),
    hw=st.tuples(st.integers(9, 60), st.integers(9, 60)),
    stride=st.sampled_from([4, 2, 1]),
    border=st.sampled_from(["cover", "valid"]),
    memory=st.sampled_from([1_000_000, 2**30]),
)
@settings(max_examples=8)
def test_windows_are_scored_beside_positions_in_the_window_around_them(
    head, hw, stride, border, memory
):
    """Of any photo, at any stride, in any bands."""
    hw = (max(hw[0], WINDOW), max(hw[1], WINDOW)) if border == "valid" else hw
    scorer, pixels = prepared(head), photo(*hw)
    placement = Placement(stride=stride, border=border)
    expected = scorer.score(pixels, placement)
    assert scorer.positions_at(stride).around is not None
    found = scorer.score_positions(pixels, placement, memory=memory)
    assert found.windows.geometry == expected.geometry
    assert relative(found.windows.scores, expected.scores) < 1e-5
    whole = scorer.score_positions(pixels, placement)
    assert relative(found.positions.scores, whole.positions.scores) < 1e-5


@pytest.mark.few(3)
@pytest.mark.parametrize("head", list(around_heads()))
def test_the_positions_of_each_window_by_itself_have_its_score_as_their_mean(head):
    """Window by window, as cut out of the feature map, with the original head as reference."""
    network = convert(small(head), WINDOW)
    form, reference = position_network(network), SliceReference(network.plan)
    n, m = network.plan.map_hw
    with torch.inference_mode():
        features = reference.features(scenes(1, 44, 48, seed=2))
        for row, column in ((0, 0), (1, 2), (3, 4)):
            window = features[..., row : row + n, column : column + m]
            own = form.head(form.around(window))[:, :5]
            expected = reference.score(features, row, column)
            assert relative(own.mean((2, 3)).numpy(), expected.numpy()) < 1e-5
            assert own.std((2, 3)).min() > 0


def test_a_position_has_its_score_in_the_window_around_it():
    """In the middle of a photo that is the window whose middle it is."""
    network = convert(small("pool, LayerNorm, linear"), WINDOW)
    form = position_network(network)
    with torch.inference_mode():
        features = network.trunk(scenes(1, 48, 52, seed=2))
        whole = form.head(form.around(features))[:, :5]
        before = (network.plan.map_hw[0] - 1) // 2
        for row, column in ((0, 0), (2, 3)):
            window = features[..., row : row + 8, column : column + 8]
            alone = form.head(form.around(window))[:, :5, before, before]
            found = whole[:, :, row + before, column + before]
            assert relative(found.numpy(), alone.numpy()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_tiny", "mobilenet_v3_small"])
def test_published_networks_that_have_them_in_the_window_around(name):
    module, _ = build(name)
    network = convert(randomise(module, 96), 96, statistics="local")
    assert position_network(network).around is not None
