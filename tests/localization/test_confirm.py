"""Confirmed detections: confidences, their order, and which boxes are asked about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatmap
from heatmap.classes import ClassGroup
from heatmap.localization.confirm import CropAnswers, Crops, confirm, widened
from heatmap.localization.detection import Detection
from heatmap.photo import photo_file

CAT, DOG = ClassGroup("cat", (0,)), ClassGroup("dog", (1, 2))
HW = (300, 400)


def found(confidence, group=CAT, box=(100.0, 100.0, 200.0, 150.0)):
    return Detection(group, confidence, box, box, (0, 0), 1.0, confidence)


def said(*answers):
    """The network, which says this of the boxes; what it was asked."""
    asked = []

    def ask(boxes, groups):
        asked.extend(zip(boxes, groups, strict=True))
        return CropAnswers(answers[: len(boxes)])

    return Crops(ask), asked


def test_confidence_is_the_root_of_slide_and_crop_and_decides_the_order():
    network, asked = said(0.16, 1.0)
    first, second = found(0.64), found(0.49, DOG)
    one, other = confirm([first, second], network, HW)
    assert (one.group, one.slide, one.crop) == (DOG, 0.49, 1.0)
    assert one.confidence == pytest.approx(0.7)
    assert (other.group, other.slide, other.crop) == (CAT, 0.64, 0.16)
    assert other.confidence == pytest.approx(0.32)
    assert (one.xyxy, other.xyxy) == (second.xyxy, first.xyxy)
    assert [group for _, group in asked] == [CAT, DOG]


def test_boxes_are_asked_about_with_a_quarter_around_them_within_the_photo():
    network, asked = said(1, 1)
    confirm([found(0.5), found(0.4, box=(0.0, 200.0, 400.0, 300.0))], network, HW)
    assert [box for box, _ in asked] == [(75, 87.5, 225, 162.5), (0, 175, 400, 300)]


def test_past_the_number_nothing_is_asked_and_nothing_rises_above_the_last():
    network, asked = said(1, 0.25)
    detections = [found(confidence) for confidence in (0.9, 0.8, 0.7, 0.3)]
    confirmed = confirm(detections, network, HW, most=2)
    assert len(asked) == 2
    last = math.sqrt(0.8 * 0.25)
    assert [each.slide for each in confirmed] == [0.9, 0.8, 0.7, 0.3]
    np.testing.assert_allclose([each.confidence for each in confirmed[1:]], [last, last, 0.3])
    assert [each.crop for each in confirmed] == [1, 0.25, None, None]


@pytest.mark.parametrize("most", [0, 100])
def test_nothing_is_asked_where_there_is_nothing_to_confirm(most):
    network, asked = said()
    detections = [found(0.5)] if most == 0 else []
    assert confirm(detections, network, HW, most=most) == tuple(detections)
    assert asked == []


@settings(max_examples=60)
@given(
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    hw=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_widened_boxes_hold_the_box_and_lie_in_the_photo(corners, hw):
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    box = (xs[0] * hw[1], ys[0] * hw[0], xs[1] * hw[1], ys[1] * hw[0])
    left, top, right, bottom = widened(box, hw)
    assert 0 <= left <= box[0] <= box[2] <= right <= hw[1]
    assert 0 <= top <= box[1] <= box[3] <= bottom <= hw[0]


# What the network says of a box.


@pytest.fixture(scope="module")
def scorer():
    return heatmap.prepare("tests.support.batches:pooled", window=32)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def test_a_window_cut_out_is_scored_as_the_crop_engine_scores_it(scorer, noise):
    """A box of exactly one window is not resized."""
    by_crops = heatmap.prepare("tests.support.batches:pooled", window=32, engine="crop")
    alone = by_crops.score(np.ascontiguousarray(noise[30:62, 40:72]))
    groups = [scorer.classifier.classes.single(0), ClassGroup("some", (1, 2))]
    got = scorer.crop_probabilities(noise, [(40.0, 30.0, 72.0, 62.0)] * 2, groups)
    np.testing.assert_allclose(got, alone.class_maps(groups)[0, 0], rtol=1e-5, atol=1e-6)


def test_boxes_of_any_shape_are_stretched_to_a_window(scorer, noise):
    boxes = [(0, 0, 120, 90), (5, 5, 6, 6), (0, 40, 120, 41), (119.6, 89.7, 120, 90), (3, 3, 3, 3)]
    got = scorer.crop_probabilities(noise, boxes, [ClassGroup("some", (0, 1))] * len(boxes))
    assert len(got) == len(boxes)
    assert all(0 <= each <= 1 for each in got)
    assert len({round(each, 4) for each in got}) > 1


def test_photos_on_disk_are_asked_about_at_the_size_that_is_read(scorer, tmp_path, monkeypatch):
    smooth = 0.6 * np.add.outer(np.arange(160), np.arange(240))[:, :, None] * np.ones(3)
    path = heatmap.write_image(tmp_path / "large.png", smooth.astype(np.uint8))
    wanted = [(20.0, 16.0, 180.0, 144.0)], [scorer.classifier.classes.single(0)]
    in_memory = scorer.crop_probabilities(path, *wanted)
    monkeypatch.setattr(photo_file, "LARGE_PX", 160 * 240 // 3)
    np.testing.assert_allclose(scorer.crop_probabilities(path, *wanted), in_memory, atol=0.02)


def test_of_no_boxes_nothing_is_said(scorer, noise):
    assert scorer.crop_probabilities(noise, [], []) == []
