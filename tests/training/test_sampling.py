"""Squares around boxes and beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.training.sampling import square_around, squares_beside

lengths = st.integers(1, 400)


@st.composite
def boxed(draw):
    """A photo's height and width, and a box within it."""
    hw = draw(st.tuples(lengths, lengths))
    ends = [
        sorted(draw(st.tuples(st.floats(0, length), st.floats(0, length)))) for length in hw[::-1]
    ]
    return hw, (ends[0][0], ends[1][0], ends[0][1], ends[1][1])


@given(drawn=boxed())
def test_any_box_lies_in_its_square_and_that_in_the_photo(drawn):
    hw, (left, top, right, bottom) = drawn
    x0, y0, x1, y1 = square_around((left, top, right, bottom), hw)
    side = x1 - x0
    longest = max(right - left, bottom - top)
    assert all(isinstance(one, int) for one in (x0, y0, x1, y1))
    assert y1 - y0 == side
    assert longest * 1.2 <= side <= longest * 1.2 + 1
    # Of boxes shorter than this, half a pixel's rounding is more than the context.
    if longest >= 5:
        assert x0 <= left
        assert y0 <= top
        assert x1 >= right
        assert y1 >= bottom
    for low, high, length, centre in (
        (x0, x1, hw[1], (left + right) / 2),
        (y0, y1, hw[0], (top + bottom) / 2),
    ):
        inside = low >= 0 and high <= length
        covers = low <= 0 and high >= length
        assert inside if side <= length else covers
        # Moved no more than it must be.
        assert abs((low + high) / 2 - centre) <= 0.5 or low == 0 or high == length


@pytest.mark.parametrize(
    ("xyxy", "hw", "expected"),
    [
        ((40, 50, 60, 55), (200, 300), (38, 41, 62, 65)),
        ((0, 50, 20, 55), (200, 300), (0, 41, 24, 65)),
        ((280, 190, 300, 200), (200, 300), (276, 176, 300, 200)),
        ((0, 0, 300, 40), (200, 400), (0, -160, 360, 200)),
        ((0, 160, 300, 200), (200, 400), (0, 0, 360, 360)),
    ],
)
def test_squares_around_boxes(xyxy, hw, expected):
    assert square_around(xyxy, hw) == expected


def beside(boxes, hw, sides, most=3, seed=0):
    return squares_beside(boxes, hw, sides, most, np.random.default_rng(seed))


@given(
    boxes=st.lists(boxed(), max_size=4),
    hw=st.tuples(lengths, lengths),
    sides=st.lists(st.lists(st.integers(1, 500), max_size=3), max_size=3),
    most=st.integers(0, 5),
    seed=st.integers(0, 9),
)
def test_squares_beside_keep_to_the_rules(boxes, hw, sides, most, seed):
    corners = [box for _, box in boxes]
    found = beside(corners, hw, sides, most, seed)
    assert len(found) <= most
    assert found == beside(corners, hw, sides, most, seed)
    wanted = {min(side, *hw) for some in sides for side in some}
    for x0, y0, x1, y1 in found:
        assert x1 - x0 == y1 - y0
        assert x1 - x0 in wanted
        assert min(x0, y0) >= 0
        assert x1 <= hw[1]
        assert y1 <= hw[0]
        shared = sum(
            max(0, min(x1, right) - max(x0, left)) * max(0, min(y1, bottom) - max(y0, top))
            for left, top, right, bottom in corners
        )
        assert shared <= 0.05 * (x1 - x0) ** 2 + 1e-6
    if not corners and wanted:
        assert len(found) == most


def test_a_twentieth_may_be_covered():
    # The only square is the photo itself.
    assert beside([(0, 0, 20, 25)], (100, 100), [[100]]) == [(0, 0, 100, 100)] * 3
    assert beside([(0, 0, 20, 26)], (100, 100), [[100]]) == []
    assert beside([(0, 0, 20, 13), (50, 0, 70, 13)], (100, 100), [[100]]) == []


def test_sides_of_the_second_list_come_where_the_first_finds_no_place():
    half = [(0, 0, 60, 100)]
    assert {x1 - x0 for x0, _, x1, _ in beside(half, (100, 100), [[80], [10]])} == {10}
    assert {x1 - x0 for x0, _, x1, _ in beside(half, (100, 100), [[20], [10]])} == {20}


def test_both_lists_together_give_no_more_than_wanted():
    found = [beside([(0, 0, 60, 100)], (100, 100), [[38], [10]], 5, seed) for seed in range(20)]
    assert {len(one) for one in found} == {5}
    assert any(len({x1 - x0 for x0, _, x1, _ in one}) == 2 for one in found)


def test_squares_reach_every_edge():
    found = beside([], (50, 90), [[10]], 50)
    left, top, right, bottom = np.array(found).T
    assert (left.min() < 8, top.min() < 4) == (True, True)
    assert (right.max() > 82, bottom.max() > 46) == (True, True)
