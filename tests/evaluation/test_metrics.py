"""The pointing game and box accuracy, on answers whose figures are known."""

from __future__ import annotations

import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heatmap import ResultError
from heatmap.classes import ClassGroup
from heatmap.evaluation.metrics import (
    IOUS,
    POINTING_TOLERANCE_PX,
    THRESHOLDS,
    Answer,
    evaluate_methods,
    points_at,
    region_box,
)
from heatmap.evaluation.pairs import pair_up
from heatmap.photo.annotations import BoxedPhoto, BoxFile, LabelledBox

HW = (60, 80)
CAT, DOG = ClassGroup("cat", (0,)), ClassGroup("dog", (1, 2))


def hot(row, column, hw=HW):
    heat = np.zeros(hw, np.float32)
    heat[row, column] = 1
    return heat


def filled(left, top, right, bottom, value=1.0):
    heat = np.zeros(HW, np.float32)
    heat[top:bottom, left:right] = value
    return heat


def points_by_mask(heat, boxes):
    """As TorchRay's pointing game: pixels of the boxes within the tolerance of the maximum."""
    mask = np.zeros(heat.shape, bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    rows, columns = np.nonzero(mask)
    row, column = np.argwhere(heat == heat.max())[0]
    # From the centre of a pixel to the edge of another, not to its centre.
    down = np.maximum(np.abs(rows - row) - 0.5, 0)
    across = np.maximum(np.abs(columns - column) - 0.5, 0)
    return bool((down**2 + across**2 <= POINTING_TOLERANCE_PX**2).any())


@given(
    row=st.integers(0, HW[0] - 1),
    column=st.integers(0, HW[1] - 1),
    boxes=st.lists(
        st.tuples(st.integers(0, 78), st.integers(0, 58), st.integers(1, 30), st.integers(1, 30)),
        min_size=1,
        max_size=3,
    ),
)
def test_pointing_is_a_pixel_of_a_box_near_the_maximum(row, column, boxes):
    boxes = [(x, y, min(x + w, HW[1]), min(y + h, HW[0])) for x, y, w, h in boxes]
    assert points_at(hot(row, column), boxes) == points_by_mask(hot(row, column), boxes)


@pytest.mark.parametrize(
    ("row", "column", "points"),
    [
        *[(25, 25, True), (25, 54, True), (25, 55, False), (4, 25, False), (5, 25, True)],
        # At a corner it is the distance that counts: 12.5 px each way are 17.7.
        *[(7, 7, False), (9, 9, True), (42, 52, False), (40, 50, True)],
    ],
)
def test_tolerance_is_15_px(row, column, points):
    assert points_at(hot(row, column), [(20, 20, 40, 30), (20, 25, 30, 30)]) == points


def test_of_equal_maxima_the_first_counts():
    heat = hot(2, 3) + hot(50, 70)
    assert points_at(heat, [(0, 0, 5, 5)])
    assert not points_at(heat, [(68, 48, 72, 52)])


@given(
    seed=st.integers(0, 10_000),
    threshold=st.sampled_from([0.1, 0.2, 0.5, 0.9]),
    low=st.floats(-3, 3),
)
def test_region_is_the_largest_that_opencv_finds(seed, threshold, low):
    noise = np.random.default_rng(seed).random((6, 8)).repeat(5, 0).repeat(4, 1)
    heat = (noise * 2 + low).astype(np.float32)
    above = heat > heat.min() + threshold * (heat.max() - heat.min())
    _, _, regions, _ = cv2.connectedComponentsWithStats(above.astype(np.uint8), connectivity=8)
    areas = regions[1:, cv2.CC_STAT_AREA]
    left, top, right, bottom = region_box(heat, threshold)
    largest = regions[1:][areas == areas.max()][:, :4]
    assert [left, top, right - left, bottom - top] in largest.tolist()


def test_a_flat_heatmap_has_no_region():
    assert region_box(np.full(HW, 0.7, np.float32), 0.2) is None


@pytest.fixture
def pairing(tmp_path):
    """Two photos; a small cat beside a dog that fills half, and a small cat alone."""
    photos = []
    boxes = {
        "a.png": [("cat", (0, 0, 10, 10)), ("dog", (40, 0, 80, 60)), ("cat", (20, 20, 40, 30))],
        "b.png": [("cat", (10, 10, 30, 30))],
    }
    for file, labelled in boxes.items():
        Image.fromarray(np.zeros((*HW, 3), np.uint8)).save(tmp_path / file)
        photos.append(BoxedPhoto(file, HW, tuple(LabelledBox(*one) for one in labelled)))
    found = BoxFile("boxes.json", tuple(photos), crowds=2)
    return pair_up(found, tmp_path, {"cat": CAT, "dog": DOG})


def method(answers):
    """A method that says of each photo and class what is written down."""

    def answer(photo, groups):
        name = photo.path.rsplit("/", 1)[1]
        return [Answer(*answers[name, group.name]) for group in groups]

    return answer


GOOD = {
    # On the second cat; its best box has an IoU of 0.5 with it, another fits exactly.
    ("a.png", "cat"): (
        filled(20, 20, 40, 30),
        ((20.0, 20.0, 40.0, 25.0), (0.0, 0.0, 10.0, 10.0)),
        (0.9, 0.4),
    ),
    # Off the dog by more than the tolerance, and no box.
    ("a.png", "dog"): (hot(30, 3), (), ()),
    # On the cat; a box with an IoU of 1/3.
    ("b.png", "cat"): (filled(12, 12, 28, 30), ((10.0, 20.0, 30.0, 40.0),), (0.5,)),
}


def test_figures_of_known_answers(pairing):
    found = evaluate_methods(pairing, {"good": method(GOOD)})
    assert (found.photos, found.pairs, found.left_out.crowds) == (2, 3, 2)
    total = found.methods["good"].total
    assert (total.all.pairs, total.small.pairs, total.hard.pairs) == (3, 2, 1)
    assert total.all.pointing == pytest.approx(2 / 3)
    assert (total.small.pointing, total.hard.pointing) == (1, 1)
    assert [one.iou for one in total.all.boxes] == list(IOUS)
    assert [one.detected for one in total.all.boxes] == pytest.approx([2 / 3, 1 / 3, 0])
    assert [one.detected for one in total.small.boxes] == [1, 0.5, 0]
    assert [one.detected for one in total.hard.boxes] == [1, 1, 0]
    # Around the hot region: IoU 1 with the second cat, 0 with the dog, 288/400 with the last.
    assert [one.region for one in total.all.boxes] == pytest.approx([2 / 3] * 3)
    assert [one.threshold for one in total.all.boxes] == [THRESHOLDS[0]] * 3


def test_figures_of_each_label(pairing):
    labels = evaluate_methods(pairing, {"good": method(GOOD)}).methods["good"].labels
    assert list(labels) == ["cat", "dog"]
    assert (labels["cat"].all.pairs, labels["cat"].all.pointing) == (2, 1)
    assert (labels["dog"].all.pairs, labels["dog"].all.pointing) == (1, 0)
    assert labels["dog"].all.boxes[0].detected == 0
    # There is no small dog.
    assert (labels["dog"].small.pairs, labels["dog"].small.pointing) == (0, None)
    assert labels["dog"].small.boxes[0].detected is None
    assert labels["dog"].small.boxes[0].region is None


def test_thresholds_are_the_best_over_all_pairs(pairing):
    # Cut at 0.5 the region is the cat, below it is the whole left half.
    cat = filled(0, 0, 40, 60, 0.5) + filled(10, 10, 30, 30, 0.5)
    answers = GOOD | {("b.png", "cat"): (cat, (), ())}
    total = evaluate_methods(pairing, {"one": method(answers)}).methods["one"].total
    assert [one.threshold for one in total.all.boxes] == [0.5] * 3
    assert [one.region for one in total.all.boxes] == pytest.approx([2 / 3] * 3)
    # A threshold is chosen once, not for each case or label.
    lone = GOOD | {("b.png", "cat"): (filled(10, 10, 30, 30, 0.5) + hot(50, 70), (), ())}
    lone |= {("a.png", "cat"): (cat, (), ()), ("a.png", "dog"): (cat, (), ())}
    labels = evaluate_methods(pairing, {"one": method(lone)}).methods["one"].labels
    assert len({one.boxes[1].threshold for one in (labels["cat"].all, labels["dog"].all)}) == 1


def test_methods_stand_beside_each_other_in_the_order_given(pairing):
    bad = {key: (hot(59, 39), (), ()) for key in GOOD}
    seen = []
    methods = {"good": method(GOOD), "bad": method(bad)}
    found = evaluate_methods(pairing, methods, progress=lambda *done: seen.append(done))
    assert list(found.methods) == ["good", "bad"]
    # 1 px beside the dog.
    assert found.methods["bad"].total.all.pointing == pytest.approx(1 / 3)
    assert found.methods["bad"].labels["dog"].all.pointing == 1
    assert (
        found.methods["good"] == evaluate_methods(pairing, {"good": method(GOOD)}).methods["good"]
    )
    assert seen == [(1, 2), (2, 2)]


def test_an_evaluation_is_json(pairing):
    found = evaluate_methods(pairing, {"good": method(GOOD)})
    back = json.loads(json.dumps(asdict(found)))
    assert back["methods"]["good"]["total"]["hard"]["pointing"] == 1
    assert back["methods"]["good"]["labels"]["dog"]["small"]["pointing"] is None
    assert back["left_out"]["crowds"] == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda photo, groups: [], "'own' gives 0 answers for 2 classes"),
        (
            lambda photo, groups: [Answer(hot(1, 1, (6, 8)), (), ())] * len(groups),
            r"'own' gives a heatmap of shape \(6, 8\), expected \(60, 80\)",
        ),
        (
            lambda photo, groups: [Answer(hot(1, 1) * np.nan, (), ())] * len(groups),
            "finite values",
        ),
    ],
)
def test_answers_that_do_not_fit_are_refused(pairing, answer, message):
    with pytest.raises(ResultError, match=message):
        evaluate_methods(pairing, {"own": answer})
