"""Detections without a class being named: what they hit, and the figures over photos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.evaluation.unnamed import average_precision, figures_of, judge
from heatmap.localization.detection import Detection

LABELS = {"cat": ClassGroup("cat", (0, 1)), "dog": ClassGroup("dog", (2,))}
TABBY, TIGER, BEAGLE, SCREW = (
    ClassGroup(name, (index,)) for index, name in enumerate(("tabby", "tiger", "beagle", "screw"))
)
BOX = (0.0, 0.0, 100.0, 100.0)


def found(group, confidence, box=BOX):
    return Detection(group, confidence, box, box, (0, 0), 1.0, confidence)


def judged(detections, objects, conf=0.3):
    return judge(detections, objects, LABELS, conf)


def test_each_object_is_found_once_by_the_most_confident():
    one = judged([found(TABBY, 0.9), found(TIGER, 0.8), found(BEAGLE, 0.7)], [("cat", BOX)])
    assert one.hits["0.5"].tolist() == [True, False, False]
    assert one.found.tolist() == [True]


def test_a_detection_finds_the_object_that_it_fits_best():
    near, here = (0.0, 0.0, 100.0, 70.0), BOX
    objects = [("cat", near), ("cat", here)]
    one = judged([found(TABBY, 0.9), found(TABBY, 0.8, near)], objects)
    assert one.hits["0.5"].tolist() == [True, True]


@pytest.mark.parametrize(
    ("box", "hits"),
    [
        (BOX, (True, True, True)),
        ((0.0, 0.0, 100.0, 40.0), (False, True, True)),
        ((40.0, 40.0, 60.0, 60.0), (False, False, True)),
        ((90.0, 90.0, 300.0, 300.0), (False, False, False)),
    ],
)
def test_boxes_hit_by_their_overlap_and_point_by_their_centre(box, hits):
    one = judged([found(TABBY, 0.9, box)], [("cat", BOX)])
    assert tuple(bool(one.hits[name][0]) for name in ("0.5", "0.3", "pointing")) == hits


def test_classes_without_a_label_are_counted_apart():
    detections = [found(SCREW, 0.9), found(TABBY, 0.5), found(SCREW, 0.2), found(BEAGLE, 0.1)]
    one = judged(detections, [("cat", BOX)])
    assert (one.others, one.confidences.tolist()) == (1, [0.5, 0.1])
    # A group is of a label only if all of its classes are.
    assert judged([found(ClassGroup("both", (1, 2)), 0.9)], [("cat", BOX)]).others == 1


def test_each_detection_above_the_threshold_is_a_hit_false_or_of_no_label():
    objects = [("cat", BOX), ("dog", (200.0, 0.0, 300.0, 100.0))]
    detections = [
        found(SCREW, 0.9),
        found(TABBY, 0.8, (0.0, 0.0, 100.0, 50.004)),
        found(TIGER, 0.7),
        found(BEAGLE, 0.2, (200.0, 0.0, 300.0, 100.0)),
    ]
    one = judged(detections, objects)
    assert [(each.name, each.verdict, each.label) for each in one.detections] == [
        ("screw", "other", None),
        ("tabby", "hit", "cat"),
        ("tiger", "false", None),
    ]
    assert one.detections[1].iou == pytest.approx(0.5, abs=1e-4)
    assert one.detections[1].xyxy == (0.0, 0.0, 100.0, 50.0)
    assert one.detections[2].iou is None
    assert [(each.label, each.found) for each in one.objects] == [("cat", True), ("dog", False)]
    # Below 0.3 the beagle hits the dog as well.
    assert [each.found for each in judged(detections, objects, 0.2).objects] == [True, True]


def test_figures_of_two_photos_are_those_counted_by_hand():
    small = (0.0, 0.0, 20.0, 20.0)
    photos = [
        judged(
            [found(TABBY, 0.9), found(BEAGLE, 0.6), found(SCREW, 0.5)],
            [("cat", BOX), ("cat", small)],
        ),
        judged([found(BEAGLE, 0.8), found(TABBY, 0.2)], [("dog", BOX)]),
    ]
    figures = figures_of(photos, 0.3)
    assert figures.objects == 3
    # Right, right, wrong, wrong: two of three objects at full precision.
    assert figures.average_precision["0.5"].value == pytest.approx(2 / 3)
    assert figures.precision.value == pytest.approx(2 / 3)
    assert figures.recall.value == pytest.approx(2 / 3)
    assert (figures.counts.annotated, figures.counts.hits, figures.counts.others) == (3, 2, 1)
    assert [figures.recall_by_size[name].value for name in ("small", "medium", "large")] == [
        0,
        None,
        1,
    ]
    for share in (*figures.average_precision.values(), figures.precision, figures.recall):
        assert share.low <= share.value <= share.high


def test_without_objects_or_detections_there_are_no_shares():
    figures = figures_of([judged([], []), judged([], [])], 0.3)
    assert figures.average_precision["0.3"].value is None
    assert (figures.precision.value, figures.precision.low) == (None, None)
    figures = figures_of([judged([], [("cat", BOX)])], 0.3)
    assert figures.average_precision["0.3"].value == 0


def test_intervals_narrow_with_the_number_of_photos():
    right = judged([found(TABBY, 0.9)], [("cat", BOX)])
    wrong = judged([found(BEAGLE, 0.9)], [("cat", BOX)])
    few, many = (figures_of([right, wrong] * count, 0.3).recall for count in (4, 64))
    assert few.value == many.value == 0.5
    assert many.high - many.low < (few.high - few.low) / 3


@given(hits=st.lists(st.booleans(), max_size=30), missed=st.integers(0, 5))
def test_average_precision_is_the_area_summed_step_by_step(hits, missed):
    objects = sum(hits) + missed
    if objects == 0:
        assert average_precision(np.array(hits, bool), objects) is None
        return
    points = [(sum(hits[:n]) / objects, sum(hits[:n]) / n) for n in range(1, len(hits) + 1)]
    area = sum(
        max((precision for recall, precision in points if recall >= step / objects), default=0)
        for step in range(1, objects + 1)
    )
    assert average_precision(np.array(hits, bool), objects) == pytest.approx(area / objects)


@given(hits=st.lists(st.booleans(), min_size=1, max_size=12), data=st.data())
def test_what_counts_twice_is_what_stands_twice(hits, data):
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(hits), max_size=len(hits)))
    repeated = np.repeat(np.array(hits, bool), times)
    got = average_precision(np.array(hits, bool), 40, np.array(times))
    assert got == pytest.approx(average_precision(repeated, 40))
