"""Refined detections: two rounds of crops, what is suppressed, and where nothing changes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.geometry import iou
from heatmap.localization.confirm import CropAnswers, Crops, confirm, widened
from heatmap.localization.detect import Search, detect
from heatmap.localization.localize import localize
from heatmap.localization.sharpen import sharp_maps, tighten, tighten_at_own_scale
from tests.localization.test_confirm import CAT, DOG, HW, found
from tests.localization.test_sharpen import PHOTO_HW, block, objects, scored, square

FULL = (0.0, 0.0, 400.0, 300.0)


def refining(*rounds):
    """The network, which answers in each round with these probabilities and boxes; its crops."""
    asked = []

    def ask(boxes, groups):
        probabilities, refined = rounds[len(asked)]
        asked.append(list(boxes))
        return CropAnswers(probabilities, refined)

    return Crops(ask, refines=True), asked


def test_boxes_are_refined_twice_and_the_second_crop_says_how_sure():
    first, second = (110.0, 100.0, 210.0, 150.0), (120.0, 100.0, 220.0, 150.0)
    crops, asked = refining(([0.9], [first]), ([0.25], [second]))
    (one,) = confirm([found(0.64)], crops, HW)
    assert (one.xyxy, one.crop, one.slide) == (second, 0.25, 0.64)
    assert one.confidence == pytest.approx(0.4)
    # Each is widened by a quarter before it is cropped.
    assert asked == [[widened(found(0.64).xyxy, HW)], [widened(first, HW)]]


def test_after_each_round_one_of_a_class_stays_on_an_object():
    """At an IoU above 0.6 in the first, when boxes still move, and above 0.5 in the second."""
    at = (100.0, 100.0, 200.0, 200.0)
    near, half = (100.0, 100.0, 200.0, 165.0), (100.0, 100.0, 200.0, 155.0)
    boxes = [at, near, half]
    assert [round(iou(at, other), 2) for other in (near, half)] == [0.65, 0.55]
    crops, asked = refining(([0.5, 0.9, 0.4], boxes), ([0.9], [at]))
    # The second is surer than the first once cropped, the third overlaps it more than 0.6.
    (one,) = confirm([found(0.6), found(0.5), found(0.4)], crops, HW)
    assert asked[1] == [widened(near, HW)]
    assert (one.slide, one.xyxy) == (0.5, at)
    crops, asked = refining(([0.9, 0.8], [at, half]), ([0.9, 0.8], [at, half]))
    (one,) = confirm([found(0.6), found(0.5)], crops, HW)
    assert len(asked[1]) == 2
    assert one.slide == 0.6


def test_classes_do_not_suppress_each_other():
    crops, _ = refining(([0.9, 0.8], [FULL] * 2), ([0.9, 0.8], [FULL] * 2))
    both = confirm([found(0.6), found(0.5, DOG)], crops, HW)
    assert [one.group for one in both] == [CAT, DOG]


def test_boxes_past_the_number_stay_and_rise_no_higher_than_the_last_confirmed():
    crops, asked = refining(([0.25], [FULL]), ([0.25], [FULL]))
    detections = [found(0.64), found(0.6), found(0.1)]
    first, *others = confirm(detections, crops, HW, most=1)
    assert [len(boxes) for boxes in asked] == [1, 1]
    assert first.confidence == pytest.approx(0.4)
    assert [(one.xyxy, one.crop) for one in others] == [(found(0.6).xyxy, None)] * 2
    assert [one.confidence for one in others] == pytest.approx([0.4, 0.1])


def nms_by_hand(boxes, confidences, groups, most_iou):
    """Which boxes stay, by comparing each with all that are surer."""
    kept = []
    for rank in sorted(range(len(boxes)), key=lambda rank: -confidences[rank]):
        if not any(
            groups[other] == groups[rank] and iou(boxes[other], boxes[rank]) > most_iou
            for other in kept
        ):
            kept.append(rank)
    return kept


BOX = st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 6)] * 2).map(
    lambda drawn: tuple(map(float, (*drawn[:2], drawn[0] + drawn[2], drawn[1] + drawn[3])))
)


@settings(max_examples=25)
@given(
    drawn=st.lists(
        st.tuples(BOX, BOX, st.floats(0.1, 1), st.floats(0.1, 1), st.booleans()),
        min_size=1,
        max_size=8,
    ),
)
def test_what_stays_is_what_suppression_by_hand_leaves(drawn):
    drawn = [(*each, 0.9 - 0.1 * rank) for rank, each in enumerate(drawn)]
    groups = [CAT if each[4] else DOG for each in drawn]
    once = [math.sqrt(each[5] * each[2]) for each in drawn]
    left = sorted(nms_by_hand([each[0] for each in drawn], once, groups, 0.6))
    twice = [math.sqrt(drawn[rank][5] * drawn[rank][3]) for rank in left]
    boxes = [drawn[rank][1] for rank in left]
    stay = nms_by_hand(boxes, twice, [groups[rank] for rank in left], 0.5)
    crops, _ = refining(
        ([each[2] for each in drawn], [each[0] for each in drawn]),
        ([drawn[rank][3] for rank in left], boxes),
    )
    got = confirm(
        [found(each[5], group) for each, group in zip(drawn, groups, strict=True)], crops, HW
    )
    assert [(one.xyxy, one.confidence) for one in got] == [(boxes[at], twice[at]) for at in stay]


# Boxes of their own scale, and the way through `detect`.

SCALES = [scored(block(3, 4)), scored(block(20, 24, height=4, width=4), 2.0)]


def test_each_box_is_that_of_its_own_scale():
    """What another scale shows in the window does not count."""
    together = tighten_at_own_scale(objects(SCALES), SCALES)
    assert {round(one.scale) for one in together} == {1, 2}
    for one in SCALES:
        alone = tighten_at_own_scale(objects([one]), [one])
        assert alone
        of_scale = [box for box in together if round(box.scale) == round(alone[0].scale)]
        assert [box.xyxy for box in of_scale] == [box.xyxy for box in alone]
    first = next(one for one in together if round(one.scale) == 1)
    assert iou(square(SCALES[0], 3, 4), first.xyxy) >= 0.5
    assert tighten_at_own_scale([], SCALES) == ()


def test_its_region_is_tighter():
    """It ends at 0.7 of the heat: never further out than at three quarters."""
    one = SCALES[:1]
    (own,), (usual,) = (
        tighten_at_own_scale(objects(one)[:1], one),
        tighten(objects(one)[:1], sharp_maps(one, [CAT_OF_MAPS]), [CAT_OF_MAPS]),
    )
    areas = [(box.xyxy[2] - box.xyxy[0]) * (box.xyxy[3] - box.xyxy[1]) for box in (own, usual)]
    assert areas[0] < areas[1]


CAT_OF_MAPS = ClassGroup("cat", (1,))


def keeping(refines):
    """The network, which finds everything right, and moves boxes to the left half."""

    def ask(boxes, groups):
        left = [(0.0, 0.0, PHOTO_HW[1] / 2, float(PHOTO_HW[0]))] * len(boxes)
        return CropAnswers([1.0] * len(boxes), left if refines else None)

    return Crops(ask, refines)


def test_without_confirming_nothing_is_refined():
    search = Search(classes=["cat"], confirm=0)
    plain = detect(SCALES, search)
    assert plain.detections
    assert detect(SCALES, search, keeping(refines=True)) == plain


def test_what_refines_starts_from_boxes_of_their_own_scale():
    search, boxes = Search(classes=["cat"]), []

    def ask(crops, groups):
        boxes.append(list(crops))
        return CropAnswers([1.0] * len(crops), [FULL] * len(crops))

    detect(SCALES, search, Crops(ask, refines=True))
    own = tighten_at_own_scale(localize([one.windows for one in SCALES], ["cat"]), SCALES)
    assert boxes[0] == [widened(one.xyxy, PHOTO_HW) for one in own]
    found_by_all = detect(SCALES, search, keeping(refines=True)).detections
    assert [one.xyxy for one in found_by_all] == [(0, 0, 160, 256)]
    kept = detect(SCALES, search, keeping(refines=False)).detections
    alone = detect(SCALES, replace(search, confirm=0)).detections
    assert {one.xyxy for one in alone} <= {one.xyxy for one in kept}


def test_windows_without_positions_are_refined_too():
    windows = [one.windows for one in SCALES]
    got = detect(windows, Search(classes=["cat"]), keeping(refines=True)).detections
    np.testing.assert_array_equal([one.xyxy for one in got], [(0, 0, 160, 256)])
