"""Box regression: features of rows and columns, and the boxes that are made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heatmap import ModelError
from heatmap.localization.box_regression import BoxRegression, profiles_of

HW = (300, 400)


def constant(*edges) -> BoxRegression:
    """One that says of every crop that its object ends there, in fractions."""
    return BoxRegression(np.zeros((4, 6), np.float32), np.float32(edges), 7)


def test_profiles_are_the_means_of_columns_and_rows():
    maps = np.random.default_rng(0).normal(size=(3, 5, 4, 4)).astype(np.float32)
    got = profiles_of(maps)
    assert (got.shape, got.dtype) == ((3, 2, 20), np.float32)
    for crop, channel, at in np.ndindex(3, 5, 4):
        column = sum(float(maps[crop, channel, row, at]) for row in range(4)) / 4
        row = sum(float(maps[crop, channel, at, column]) for column in range(4)) / 4
        np.testing.assert_allclose(got[crop, :, 4 * channel + at], [column, row], atol=1e-6)


def test_a_box_by_hand():
    """Left and right follow the columns, top and bottom the rows, in fractions of the crop."""
    weights = np.zeros((4, 6), np.float32)
    weights[:, :3] = [[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1], [0.1, 0.1, 0]]
    regression = BoxRegression(weights, np.float32([0.1, 0, 0.5, 0.25]), 1)
    profiles = np.zeros((1, 2, 6), np.float32)
    profiles[0, :, :3] = [[1, 50, 3], [2, 4, 50]]
    np.testing.assert_allclose(regression.fractions(profiles), [[0.2, 0.4, 0.8, 0.85]], atol=1e-6)
    (box,) = regression.refined(profiles, [(100.0, 50.0, 200.0, 250.0)], HW)
    np.testing.assert_allclose(box, (120, 130, 180, 220), atol=1e-4)


def test_boxes_beyond_the_photo_end_at_its_edges():
    crops = [(0.0, 0.0, 100.0, 100.0), (300.0, 200.0, 400.0, 300.0)]
    boxes = constant(-0.5, -0.2, 1.5, 1.2).refined(np.zeros((2, 2, 6), np.float32), crops, HW)
    np.testing.assert_allclose(boxes, [(0, 0, 150, 120), (250, 180, 400, 300)], atol=1e-4)


@pytest.mark.parametrize(("edges", "box"), [((0.9, 0.5, 0.1, 0.5), (90, 50, 91, 51))])
def test_edges_the_wrong_way_round_leave_a_pixel(edges, box):
    crop = [(0.0, 0.0, 100.0, 100.0)]
    (got,) = constant(*edges).refined(np.zeros((1, 2, 6), np.float32), crop, HW)
    np.testing.assert_allclose(got, box, atol=1e-4)


@settings(max_examples=40)
@given(
    edges=arrays(np.float32, 4, elements=st.floats(-1e6, 1e6, width=32)),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    hw=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_every_box_lies_in_its_photo_and_has_a_pixel_each_way(edges, corners, hw):
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    crop = (xs[0] * hw[1], ys[0] * hw[0], xs[1] * hw[1], ys[1] * hw[0])
    ((left, top, right, bottom),) = constant(*edges).refined(
        np.zeros((1, 2, 6), np.float32), [crop], hw
    )
    assert 0 <= left <= right <= hw[1]
    assert 0 <= top <= bottom <= hw[0]
    assert min(right - left, bottom - top) >= 1 - 1e-9


def test_no_crops_no_boxes():
    assert constant(0, 0, 1, 1).refined(np.zeros((0, 2, 6), np.float32), [], HW) == []


@pytest.mark.parametrize(
    ("weights", "biases", "told"),
    [
        (np.zeros((3, 6)), np.zeros(4), "four edges"),
        (np.zeros(6), np.zeros(4), "four edges"),
        (np.zeros((4, 6)), np.zeros((4, 1)), "four edges"),
        (np.full((4, 6), np.nan), np.zeros(4), "not all finite"),
        (np.zeros((4, 6)), np.full(4, np.inf), "not all finite"),
    ],
)
def test_what_is_no_regression_is_refused(weights, biases, told):
    with pytest.raises(ModelError, match=told):
        BoxRegression(weights.astype(np.float32), biases.astype(np.float32), 1)


def test_features_of_another_network_are_refused():
    with pytest.raises(ModelError, match="takes 6 features a row or column, the network gives 8"):
        constant(0, 0, 1, 1).refined(np.zeros((1, 2, 8), np.float32), [(0, 0, 9, 9)], HW)


def test_other_numbers_have_another_digest():
    digests = {constant(0, 0, 1, 1).digest, constant(0, 0, 1, 0.5).digest}
    assert len(digests) == 2
    assert constant(0, 0, 1, 1).digest in digests
