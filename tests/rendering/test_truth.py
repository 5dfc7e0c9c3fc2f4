"""Ground-truth boxes over the annotated picture."""

import numpy as np
import pytest

from heatmap.rendering.annotated import Annotation, annotated
from heatmap.rendering.palette import PALETTE
from heatmap.rendering.truth import annotated_with_truth, with_truth
from tests.support.findings import make_findings

HW = (240, 320)
GREY = np.full((*HW, 3), 128, np.uint8)


def drawn(findings, objects, pixels=GREY):
    return annotated_with_truth(pixels, findings, objects, conf=0.35)


def test_without_objects_it_is_the_annotated_picture():
    findings = make_findings()
    np.testing.assert_array_equal(drawn(findings, []), annotated(GREY, findings, conf=0.35))


@pytest.mark.parametrize("factor", [1, 2])
def test_true_boxes_are_black_and_white_where_they_are(factor):
    findings = make_findings(boxes=[])
    box, (left, top, right, bottom) = (100, 60, 200, 160), (100, 60, 200, 160)
    pixels = np.full((factor * HW[0], factor * HW[1], 3), 128, np.uint8)
    picture = drawn(findings, [("cat", box)], pixels)
    sides = [
        picture[factor * bottom - 1, factor * left : factor * right],
        picture[factor * top : factor * bottom, factor * left],
        picture[factor * top : factor * bottom, factor * right - 1],
    ]
    for side in sides:
        colours, counts = np.unique(side, axis=0, return_counts=True)
        assert colours.tolist() == [[0, 0, 0], [255, 255, 255]]
        assert counts.min() > 0.35 * len(side)
    # Nothing but the label and its line is drawn outside of it.
    changed = (
        picture[: factor * HW[0]] != annotated(pixels, findings, conf=0.35)[: factor * HW[0]]
    ).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert factor * left == columns.min()
    assert columns.max() == factor * right - 1
    assert factor * (top - 30) < rows.min() < factor * top
    assert rows.max() == factor * bottom - 1


def test_true_labels_lie_over_no_label_and_under_none():
    box = (100.0, 60.0, 200.0, 160.0)
    findings = make_findings(boxes=[box])
    plain = Annotation.of(findings, HW, conf=0.35)
    annotation = with_truth(plain, [("cat", box), ("dog", box)], HW)
    spots = [label.spot for label in annotation.labels]
    assert len(spots) == 3
    taken = np.zeros(HW, int)
    for left, top, right, bottom in spots:
        taken[top:bottom, left:right] += 1
    assert taken.max() == 1
    # No line crosses the label of the detection.
    left, top, right, bottom = plain.labels[0].spot
    painted = annotation.paint(GREY)[top:bottom, left:right]
    np.testing.assert_array_equal(painted, plain.paint(GREY)[top:bottom, left:right])


def test_lines_of_detections_stay_visible_beside_a_true_box_of_the_same_sides():
    box = (100.0, 60.0, 200.0, 160.0)
    picture = drawn(make_findings(boxes=[box]), [("cat", box)])
    across = picture[140, 95:110].tolist()
    assert list(PALETTE[0]) in across
    assert [0, 0, 0] in across or [255, 255, 255] in across
