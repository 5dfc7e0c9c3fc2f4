"""Lines of boxes: where they are, and that they leave the rest of a picture alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.rendering.marks import fill, outline, whole_px
from heatmap.rendering.palette import PALETTE
from tests.support.findings import random_boxes

GREY, CYAN, RED = (128, 128, 128), PALETTE[0], PALETTE[1]


def drawn(spot, width, colour, *, dashed=False, hw=(100, 120)) -> np.ndarray:
    picture = np.full((*hw, 3), GREY, np.uint8)
    fill(picture, 0, outline(spot, width, colour, dashed=dashed))
    return picture


def row_of(picture, y, first, end):
    return [tuple(pixel) for pixel in picture[y, first:end].tolist()]


def test_a_line_has_edges_that_show_it_and_leaves_the_inside():
    black, white = (0, 0, 0), (255, 255, 255)
    picture = drawn((20, 10, 100, 80), 2, CYAN)
    assert row_of(picture, 40, 18, 26) == [GREY] * 2 + [black, CYAN, CYAN, black] + [GREY] * 2
    assert row_of(picture, 40, 95, 101) == [GREY, black, CYAN, CYAN, black, GREY]
    assert (picture[14:76, 24:96] == GREY).all()
    assert row_of(drawn((20, 10, 100, 80), 2, RED), 40, 20, 24) == [white, RED, RED, white]


def test_dashes_leave_gaps_but_no_corner():
    picture = drawn((20, 10, 100, 80), 2, CYAN, dashed=True)
    side = (picture[11, 20:100] == CYAN).all(axis=1)
    assert 0.3 < side.mean() < 0.7
    assert 3 < np.abs(np.diff(side.astype(int))).sum() < 20
    for y, x in ((12, 22), (12, 97), (77, 22), (77, 97)):
        assert tuple(picture[y, x]) == CYAN


@settings(max_examples=60)
@given(
    data=st.data(),
    hw=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    width=st.integers(1, 9),
    dashed=st.booleans(),
)
def test_boxes_of_any_size_are_drawn_within_themselves(data, hw, width, dashed):
    for box in data.draw(random_boxes(hw, most=3)):
        left, top, right, bottom = whole_px(box, hw)
        assert 0 <= left < right <= hw[1]
        assert 0 <= top < bottom <= hw[0]
        picture = drawn((left, top, right, bottom), width, CYAN, dashed=dashed, hw=hw)
        assert (picture[top, left] != GREY).any()
        picture[top:bottom, left:right] = GREY
        assert (picture == GREY).all()


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (300, 300, 400, 400), (5, 5, 5, 5)])
def test_a_box_outside_or_without_area_still_has_a_pixel(box):
    left, top, right, bottom = whole_px(box, (100, 120))
    assert (right - left, bottom - top) == (1, 1)
    assert 0 <= left < 120
    assert 0 <= top < 100
