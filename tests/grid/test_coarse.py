"""Which windows are scored first, and which then, from coarse to fine."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.geometry import Placement, plan_grid
from heatmap.grid.coarse import Blocks

properties = settings(max_examples=60)
blocks = st.builds(
    Blocks, st.tuples(st.integers(1, 14), st.integers(1, 14)), step=st.integers(1, 5)
)


def masks(drawn, of):
    cells = of.grid_hw[0] * of.grid_hw[1]
    flat = drawn.draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    return np.array(flat).reshape(of.grid_hw)


def block_of(of, row, column):
    return int(of.rows[row]), int(of.columns[column])


@properties
@given(st.data(), blocks)
def test_each_block_has_its_wanted_cell_nearest_to_the_middle_scored_first(drawn, of):
    wanted = masks(drawn, of)
    expected = {}
    for row, column in np.argwhere(wanted).tolist():
        here = block_of(of, row, column)
        rows, columns = np.flatnonzero(of.rows == here[0]), np.flatnonzero(of.columns == here[1])
        away = (2 * row - rows[0] - rows[-1]) ** 2 + (2 * column - columns[0] - columns[-1]) ** 2
        expected[here] = min(expected.get(here, (away, row, column)), (away, row, column))
    first = of.first(wanted)
    assert {tuple(cell) for cell in np.argwhere(first)} == {one[1:] for one in expected.values()}


@properties
@given(st.data(), blocks)
def test_near_are_all_within_a_step_and_no_others(drawn, of):
    promising = masks(drawn, of)
    near = of.near(promising)
    hot = np.argwhere(promising)
    for row, column in np.ndindex(*of.grid_hw):
        within = (np.abs(hot - (row, column)).max(axis=1, initial=0) <= of.step).any()
        assert near[row, column] == within


@properties
@given(st.data(), blocks)
def test_a_stand_in_is_of_the_same_block(drawn, of):
    wanted = masks(drawn, of)
    first = of.first(wanted)
    rows, columns = of.stand_ins(wanted, first)
    assert first[rows, columns].all()
    for cell, other in zip(np.argwhere(wanted), np.stack([rows, columns], axis=1), strict=True):
        assert block_of(of, *cell) == block_of(of, *other)


@properties
@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.sampled_from([8, 16, 32, 100, 300]),
    st.sampled_from(["cover", "valid"]),
)
def test_windows_scored_first_are_at_most_half_a_window_apart(hw, stride, border):
    hw = hw if border == "cover" else tuple(side + 224 for side in hw)
    geometry = plan_grid(hw, Placement(stride, border=border), window=224, native_stride=stride)
    of = Blocks.of(geometry)
    first = of.first(np.ones(of.grid_hw, bool))
    for axis in (0, 1):
        apart = np.diff(np.flatnonzero(first.any(axis=1 - axis))) * stride
        assert (apart <= max(112, stride)).all()
    # No cell is further from one scored first than those are from each other.
    assert of.near(first).all()
