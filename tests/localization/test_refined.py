"""Refined detections: three rounds of crops, what is joined, and where nothing changes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
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


def test_boxes_are_refined_three_times_and_the_last_crop_says_how_sure():
    first, second = (110.0, 100.0, 210.0, 150.0), (120.0, 100.0, 220.0, 150.0)
    third = (120.0, 100.0, 200.0, 150.0)
    crops, asked = refining(([0.9], [first]), ([0.1], [second]), ([0.25], [third]))
    (one,) = confirm([found(0.64)], crops, HW)
    assert (one.xyxy, one.crop, one.slide) == (third, 0.25, 0.64)
    assert iou(second, third) == pytest.approx(0.8)
    assert one.confidence == pytest.approx(0.4 * 0.8)
    # Each is widened by a quarter before it is cropped.
    asked_of = (found(0.64).xyxy, first, second)
    assert asked == [[widened(box, HW)] for box in asked_of]


def test_of_one_class_on_an_object_one_stays_with_the_mean_of_their_boxes():
    """In every round: those that overlap by an IoU above 0.5."""
    at = (100.0, 100.0, 200.0, 200.0)
    near, half = (100.0, 100.0, 200.0, 160.0), (100.0, 100.0, 200.0, 150.0)
    assert [iou(at, other) for other in (near, half)] == [0.6, 0.5]
    crops, asked = refining(([0.9, 0.9], [at, near]), ([0.5], [at]), ([0.81], [at]))
    surer, other = found(1, box=at), found(0.25, box=near)
    (one,) = confirm([surer, other], crops, HW)
    joined = (100, 100, 200, (2 * 200 + 160) / 3)
    np.testing.assert_allclose(asked[1], [widened(joined, HW)])
    assert (one.slide, one.xyxy, one.confidence) == (1, at, pytest.approx(0.9))
    crops, asked = refining(*[([0.9, 0.8], [at, half])] * 3)
    both = confirm([surer, other], crops, HW)
    assert [one.xyxy for one in both] == [at, half]
    assert [len(boxes) for boxes in asked] == [2, 2, 2]


def test_what_the_network_is_sure_is_nothing_keeps_its_box():
    crops, _ = refining(*[([0.0], [FULL])] * 3)
    (one,) = confirm([found(0.5)], crops, HW)
    assert (one.xyxy, one.confidence) == (FULL, 0)


def test_classes_do_not_suppress_each_other():
    crops, _ = refining(*[([0.9, 0.8], [FULL] * 2)] * 3)
    both = confirm([found(0.6), found(0.5, DOG)], crops, HW)
    assert [one.group for one in both] == [CAT, DOG]


def test_boxes_past_the_number_stay_and_rise_no_higher_than_the_last_confirmed():
    crops, asked = refining(*[([0.25], [FULL])] * 3)
    detections = [found(0.64), found(0.6), found(0.1)]
    first, *others = confirm(detections, crops, HW, most=1)
    assert [len(boxes) for boxes in asked] == [1, 1, 1]
    assert first.confidence == pytest.approx(0.4)
    assert [(one.xyxy, one.crop) for one in others] == [(found(0.6).xyxy, None)] * 2
    assert [one.confidence for one in others] == pytest.approx([0.4, 0.1])


BOX = st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 6)] * 2).map(
    lambda drawn: tuple(map(float, (*drawn[:2], drawn[0] + drawn[2], drawn[1] + drawn[3])))
)
# Of each object, in each round: how probable, and where.
ANSWERS = st.lists(st.tuples(st.floats(0.1, 1), BOX), min_size=3, max_size=3)


def round_by_hand(boxes, slides, groups, answers):
    """Which of some boxes stay after a round, their boxes and confidences, with loops alone."""
    confidences = [
        math.sqrt(slide * crop) * iou(box, refined)
        for box, slide, (crop, refined) in zip(boxes, slides, answers, strict=True)
    ]
    given = [refined for _, refined in answers]
    kept, means = [], {}
    for rank in sorted(range(len(boxes)), key=lambda rank: -confidences[rank]):
        same = [at for at in range(len(boxes)) if groups[at] == groups[rank]]
        near = [at for at in same if iou(given[at], given[rank]) > 0.5]
        if any(other in near for other in kept):
            continue
        kept.append(rank)
        total = sum(confidences[at] for at in near)
        means[rank] = given[rank]
        if total:
            means[rank] = tuple(
                sum(confidences[at] * given[at][edge] for at in near) / total for edge in range(4)
            )
    return [(rank, means[rank], confidences[rank]) for rank in sorted(kept)]


@given(drawn=st.lists(st.tuples(ANSWERS, st.booleans()), min_size=1, max_size=8))
def test_what_stays_is_what_three_rounds_by_hand_leave(drawn):
    slides = [0.9 - 0.1 * rank for rank in range(len(drawn))]
    groups = [CAT if is_cat else DOG for _, is_cat in drawn]
    left = [(rank, found(1).xyxy, 0) for rank in range(len(drawn))]
    rounds = []
    for number in range(3):
        ranks = [rank for rank, _, _ in left]
        answers = [drawn[rank][0][number] for rank in ranks]
        rounds.append(tuple(zip(*answers, strict=True)))
        stay = round_by_hand(
            [box for _, box, _ in left],
            [slides[rank] for rank in ranks],
            [groups[rank] for rank in ranks],
            answers,
        )
        left = [(ranks[at], box, confidence) for at, box, confidence in stay]
    crops, _ = refining(*rounds)
    got = confirm([found(*each) for each in zip(slides, groups, strict=True)], crops, HW)
    wanted = sorted(left, key=lambda each: -each[2])
    assert [one.slide for one in got] == [slides[rank] for rank, _, _ in wanted]
    np.testing.assert_allclose([one.xyxy for one in got], [box for _, box, _ in wanted])
    assert [one.confidence for one in got] == pytest.approx([sure for _, _, sure in wanted])


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
