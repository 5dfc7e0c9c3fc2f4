"""One object, one detection: which boxes are merged, and what is said of the others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.geometry import iou
from heatmap.localization.detection import Alternative, Detection
from heatmap.localization.merge import SAME_OBJECT, merge

EGYPTIAN, TABBY, TIGER, DOG = (
    ClassGroup(name, (index,))
    for index, name in enumerate(("Egyptian cat", "tabby", "tiger cat", "beagle"))
)
CAT = ClassGroup("cat", (0, 1, 2))
ANIMAL = ClassGroup("animal", (0, 1, 2, 3))
HERE, NEAR, THERE = (0.0, 0.0, 100.0, 100.0), (0.0, 0.0, 100.0, 70.0), (90.0, 0.0, 190.0, 100.0)


def found(group, confidence, box=HERE):
    return Detection(group, confidence, box, box, (0, 0), 1.0, confidence)


def test_boxes_of_several_classes_over_one_thing_become_one_with_alternatives():
    cats = [found(EGYPTIAN, 0.41), found(TABBY, 0.3, NEAR), found(TIGER, 0.12)]
    (merged,) = merge(cats, [ANIMAL, CAT])
    assert (merged.name, merged.confidence, merged.xyxy) == ("Egyptian cat", 0.41, HERE)
    assert merged.alternatives == (Alternative("tabby", 0.3), Alternative("tiger cat", 0.12))
    # Of groups with the same sum the smaller one says more.
    assert merged.together.name == "cat"
    assert round(merged.together.confidence, 9) == 0.83


def test_the_group_with_the_largest_sum_is_given():
    (merged,) = merge([found(EGYPTIAN, 0.4), found(DOG, 0.3), found(TABBY, 0.1)], [CAT, ANIMAL])
    assert (merged.together.name, round(merged.together.confidence, 9)) == ("animal", 0.8)
    (alone,) = merge([found(EGYPTIAN, 0.4), found(DOG, 0.3)], [CAT])
    assert alone.together is None


def test_things_beside_each_other_stay_two():
    both = [found(EGYPTIAN, 0.4), found(TABBY, 0.3, THERE)]
    assert merge(both, [CAT]) == tuple(both)


def test_boxes_of_one_class_are_not_merged():
    both = [found(EGYPTIAN, 0.4), found(EGYPTIAN, 0.3)]
    assert merge(both, [CAT]) == tuple(both)


def test_each_class_is_named_once_with_its_highest_confidence():
    (merged,) = merge([found(EGYPTIAN, 0.4), found(TABBY, 0.3), found(TABBY, 0.2, NEAR)])
    assert merged.alternatives == (Alternative("tabby", 0.3),)


boxes = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(5, 40)] * 2).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)
several = st.lists(st.tuples(st.sampled_from([EGYPTIAN, TABBY, DOG]), boxes), max_size=12)


@settings(max_examples=40)
@given(places=several)
def test_the_most_confident_of_each_thing_stays(places):
    detections = [found(group, 0.9 - 0.05 * n, box) for n, (group, box) in enumerate(places)]
    merged = merge(detections, [CAT])

    def same(one, other):
        return one.group != other.group and iou(one.xyxy, other.xyxy) > SAME_OBJECT

    stayed = [each.confidence for each in merged]
    assert stayed == sorted(stayed, reverse=True)
    assert not any(same(one, other) for one in merged for other in merged)
    for gone in (each for each in detections if each.confidence not in stayed):
        assert any(same(one, gone) and one.confidence > gone.confidence for one in merged)
