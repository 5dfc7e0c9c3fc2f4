"""Labels of boxes: inside the picture, over no other, and at their boxes."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.rendering.labels import labels, placed
from heatmap.rendering.legend import BOLD, text_width
from heatmap.rendering.marks import whole_px
from heatmap.rendering.palette import PALETTE
from tests.support.findings import random_boxes


def test_labels_leave_what_is_taken_free():
    box, taken = (40, 60, 140, 120), (0, 40, 200, 80)
    (free,), (other,) = (
        placed([(15, 50)], [box], (200, 200)),
        placed([(15, 50)], [box], (200, 200), [taken]),
    )
    assert overlap(free, taken)
    assert touch(other, box)
    assert not overlap(other, taken)
    (label,) = labels([("cat", "")], [PALETTE[0]], [box], (200, 200), 13, taken=[taken])
    assert not overlap(label.spot, taken)


def test_a_label_without_an_end_is_as_wide_as_its_name():
    (label,) = labels([("cat", "")], [PALETTE[0]], [(40, 60, 140, 120)], (200, 200), 13)
    # With five pixels at either side.
    assert label.image.shape[1] == text_width("cat", 13, BOLD) + 10


def overlap(one, other) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def touch(one, other) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


@settings(max_examples=40)
@given(data=st.data(), hw=st.tuples(st.integers(1, 300), st.integers(1, 400)))
def test_labels_lie_inside_at_their_boxes_and_over_no_other(data, hw):
    boxes = [whole_px(box, hw) for box in data.draw(random_boxes(hw))]
    sides = st.tuples(st.integers(1, 40), st.integers(1, 200))
    sizes = [data.draw(sides) for _ in boxes]
    places = placed(sizes, boxes, hw)
    assert len(places) == len(boxes)
    for place, size, box in zip(places, sizes, boxes, strict=True):
        if place is None:
            continue
        left, top, right, bottom = place
        assert (bottom - top, right - left) == size
        assert 0 <= left < right <= hw[1]
        assert 0 <= top < bottom <= hw[0]
        assert touch(place, box)
    there = [place for place in places if place is not None]
    assert not any(overlap(*pair) for pair in combinations(there, 2))


@settings(max_examples=40)
@given(data=st.data(), hw=st.tuples(st.integers(60, 300), st.integers(200, 400)))
def test_the_first_label_always_has_a_place_if_the_picture_has_room(data, hw):
    boxes = [whole_px(box, hw) for box in data.draw(random_boxes(hw, most=5))]
    places = placed([(18, 100)] * len(boxes), boxes, hw)
    assert None not in places[:1]


def test_a_label_lies_above_its_box_where_there_is_room():
    assert placed([(18, 60)], [(100, 100, 200, 180)], (300, 400)) == [(100, 82, 160, 100)]
    assert placed([(18, 60)], [(100, 5, 200, 180)], (300, 400)) == [(100, 0, 160, 18)]
    assert placed([(18, 60)], [(390, 100, 400, 180)], (300, 400)) == [(340, 82, 400, 100)]


def test_a_label_does_not_hide_a_small_box_above():
    small, large = (100, 84, 120, 98), (100, 100, 200, 180)
    first, second = placed([(18, 60), (18, 60)], [large, small], (300, 400))
    assert first == (140, 82, 200, 100)
    assert second == (60, 66, 120, 84)
    # A large one it may hide a part of.
    assert placed([(18, 60)] * 2, [large, (100, 0, 200, 99)], (300, 400))[0] == (100, 82, 160, 100)


def test_letters_become_smaller_before_a_label_is_left_out():
    boxes = [(0, 0, 300, 60)] * 3
    drawn = labels([("cat", "50 %")] * 3, PALETTE[:3], boxes, (60, 300), 40)
    assert len(drawn) == 3
    assert len({label.image.shape[0] for label in drawn}) == 1
    assert drawn[0].image.shape[0] < 54
    alone = labels([("cat", "50 %")], PALETTE[:1], boxes[:1], (60, 300), 40)
    assert alone[0].image.shape[0] == 54


def test_what_has_no_room_is_left_out_the_last_first():
    boxes = [(0, 0, 90, 18)] * 3
    first, *rest = labels(
        [("a", "1 %"), ("b", "2 %"), ("c", "3 %")], PALETTE[:3], boxes, (18, 90), 13
    )
    assert first.spot[:2] == (0, 0)
    assert len(rest) < 2
    assert labels([("cat", "50 %")], PALETTE[:1], [(0, 0, 20, 20)], (20, 20), 13) == []
    assert labels([], [], [], (20, 20), 13) == []


def test_a_name_wider_than_the_picture_is_shortened():
    name = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk"
    [label] = labels([(name, "50 %")], PALETTE[:1], [(0, 40, 100, 90)], (100, 130), 13)
    assert label.spot[2] - label.spot[0] <= 130
    assert label.image.shape[1] > 100


@pytest.mark.parametrize("name", ["\ud800 cat", "two\nlines", "", "😀", "قط"])
def test_odd_names_are_drawn(name):
    [label] = labels([(name, "50 %")], PALETTE[:1], [(10, 40, 100, 90)], (100, 300), 13)
    assert label.image.shape[0] == 18
    assert len(np.unique(label.image.reshape(-1, 3), axis=0)) > 2
