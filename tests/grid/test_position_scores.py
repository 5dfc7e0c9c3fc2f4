"""Positions of windows: their geometry, their means, and the probability attributed to each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.position_scores import (
    PositionScores,
    attributed_probability,
    mean_over,
    positions_of,
)
from heatmap.grid.score_grid import ScoreGrid
from tests.support.positions import slow_mean


def slow_attribution(windows, positions, map_hw, k):
    """Window by window, its probability shared out among its positions."""
    found = np.zeros(positions.shape)
    places = list(np.ndindex(map_hw))
    for row, column in np.ndindex(windows.shape):
        held = [(row + i * k, column + j * k) for i, j in places]
        shares = {at: float(np.nan_to_num(positions[at])) for at in held}
        total = sum(shares.values())
        for at, share in shares.items():
            if total > 0:
                found[at] += np.nan_to_num(windows[row, column]) * (share / total) / len(places)
    return found


@settings(max_examples=40)
@given(
    photo_hw=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    native=st.sampled_from([8, 16, 32]),
    k=st.sampled_from([1, 2, 4]),
    map_hw=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    beyond=st.integers(0, 40),
    scale=st.floats(0.2, 3),
)
def test_the_positions_of_a_window_lie_around_its_centre(
    photo_hw, native, k, map_hw, beyond, scale
):
    map_hw = (map_hw[0], map_hw[0])
    window = map_hw[0] * native + beyond
    windows = plan_grid(
        photo_hw, Placement(stride=native // k, scale=scale), window=window, native_stride=native
    )
    positions = positions_of(windows, map_hw, native)
    assert positions.extended_hw == windows.extended_hw
    assert positions.margins_tblr == windows.margins_tblr
    rows, columns = windows.grid_hw
    for row, column in {(0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)}:
        held = [(row + i * k, column + j * k) for i, j in np.ndindex(map_hw)]
        centres = np.array([positions.centre_xy(*at) for at in held])
        expected = windows.centre_xy(row, column)
        np.testing.assert_allclose(centres.mean(axis=0), expected, rtol=1e-9, atol=1e-6)
        # Together they cover the window.
        boxes = np.array([positions.window_xyxy(*at) for at in held])
        around = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
        np.testing.assert_allclose(around, windows.window_xyxy(row, column), atol=1e-6)


probability = st.floats(0, 1, width=32)


@st.composite
def cases(draw):
    """Probabilities of windows and positions that fit each other, some of them NaN."""
    map_hw = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    k, grid_hw = draw(st.integers(1, 3)), draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    under = tuple(side + (n - 1) * k for side, n in zip(grid_hw, map_hw, strict=True))
    values = probability | st.just(np.float32(np.nan))
    windows = draw(hnp.arrays(np.float32, grid_hw, elements=values))
    positions = draw(hnp.arrays(np.float32, under, elements=values))
    return windows, positions, map_hw, k


@settings(max_examples=20)
@given(case=cases(), classes=st.integers(0, 3), seed=st.integers(0, 99))
def test_means_are_those_of_slow_loops(case, classes, seed):
    _, positions, map_hw, k = case
    shape = (*positions.shape, classes) if classes else positions.shape
    scores = np.random.default_rng(seed).normal(0, 9, shape).astype(np.float32)
    scores[np.isnan(positions)] = np.nan
    found = mean_over(scores, map_hw, k)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_mean(scores, map_hw, k), rtol=1e-5, atol=1e-5)


@settings(max_examples=25)
@given(case=cases())
def test_what_is_attributed_is_that_of_slow_loops(case):
    windows, positions, map_hw, k = case
    before = windows.copy(), positions.copy()
    found = attributed_probability(windows, positions, map_hw, k)
    assert (found.dtype, found.shape) == (np.float32, positions.shape)
    np.testing.assert_allclose(found, slow_attribution(windows, positions, map_hw, k), atol=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[np.nan_to_num(positions) == 0] == 0).all()
    # All that is attributed is the windows' own, where any position of theirs has a share.
    assert found.sum() <= np.nan_to_num(windows).sum() / np.prod(map_hw) + 1e-5
    np.testing.assert_array_equal(windows, before[0])
    np.testing.assert_array_equal(positions, before[1])


@settings(max_examples=40)
@given(case=cases(), data=st.data())
def test_what_one_window_alone_owes_is_its_probability(case, data):
    windows, positions, map_hw, k = case
    positions = np.nan_to_num(positions, nan=0.5) + np.float32(0.01)
    row, column = data.draw(st.sampled_from(list(np.ndindex(windows.shape))))
    lone = np.zeros_like(windows)
    lone[row, column] = data.draw(probability)
    found = attributed_probability(lone, positions, map_hw, k)
    assert found.sum() == pytest.approx(lone[row, column] / np.prod(map_hw), rel=1e-5, abs=1e-9)
    # Nothing to positions that it does not hold.
    held = np.zeros(positions.shape, bool)
    held[row : row + map_hw[0] * k : k, column : column + map_hw[1] * k : k] = True
    assert (found[~held] == 0).all()


@pytest.mark.parametrize("nothing", [0, np.nan])
def test_windows_that_show_nothing_attribute_nothing(nothing):
    positions = np.full((4, 5), 0.7, np.float32)
    assert (
        attributed_probability(np.full((2, 3), nothing, np.float32), positions, (3, 3)) == 0
    ).all()


def test_the_least_probabilities_do_not_overflow():
    positions = np.full((4, 4), 1e-45, np.float32)
    positions[0, 0] = 0
    found = attributed_probability(np.ones((2, 2), np.float32), positions, (3, 3))
    np.testing.assert_allclose(
        found, slow_attribution(np.ones((2, 2)), positions, (3, 3), 1), rtol=1e-5
    )


def test_what_is_attributed_of_groups_is_that_of_their_maps():
    geometry = plan_grid((30, 41), Placement(stride=2), window=12, native_stride=4)
    under = positions_of(geometry, (3, 3), 4)
    logits = np.random.default_rng(0).normal(0, 2, (*under.grid_hw, 5)).astype(np.float32)
    classes = ClassList.numbered(5)
    origin = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")
    positions = ScoreGrid(logits, under, classes, "logits", origin)
    windows = ScoreGrid(mean_over(logits, (3, 3), 2), geometry, classes, "logits", origin)
    groups = [classes.single(3), ClassGroup("several", (0, 4))]
    grid = PositionScores(windows, positions, (3, 3), 2).attributed(groups)
    assert grid.classes.names == ("class 3", "several")
    assert (grid.kind, grid.geometry) == ("probabilities", under)
    for column, group in enumerate(groups):
        expected = slow_attribution(windows.class_map(group), positions.class_map(group), (3, 3), 2)
        np.testing.assert_allclose(grid.scores[:, :, column], expected, rtol=1e-4, atol=1e-7)
