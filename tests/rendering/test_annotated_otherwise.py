"""Annotated pictures with a colormap for all classes, and without boxes."""

import numpy as np
import pytest

from heatmap.rendering.annotated import Annotation
from heatmap.rendering.paint import ALPHA, colour_table, paint, to_levels
from heatmap.rendering.palette import PALETTE
from tests.support.findings import make_findings

HW = (240, 320)
NOISE = np.random.default_rng(5).integers(0, 256, (*HW, 3), dtype=np.uint8)


def plan(findings, **options) -> Annotation:
    return Annotation.of(findings, HW, conf=0.35, **options)


def test_a_colormap_colours_the_highest_probability_of_the_classes_that_are_shown():
    findings = make_findings(classes=3, boxes=[(0, 0, 1, 1)] * 2, seed=3)
    picture = plan(findings, colormap="turbo", color_range=(0, 0.9), boxes=False).paint(NOISE)
    heats = [findings.maps.heatmap(group) for group in findings.groups[:2]]
    levels = to_levels(np.maximum(*heats), 0, 0.9)
    assert len(np.unique(levels)) > 50
    np.testing.assert_array_equal(picture, paint(NOISE, levels, colour_table(ALPHA, "turbo")))


@pytest.mark.parametrize("sure", [True, False])
def test_the_key_of_a_colormap_shows_it_and_colours_only_classes_with_boxes(sure):
    findings = make_findings(classes=3, boxes=[(0, 0, 90, 90)] * 2, sure=sure)
    annotation = plan(findings, colormap="jet", heat=findings.groups)
    colours = [colour for _, colour in annotation.key.classes]
    assert colours == [PALETTE[0], PALETTE[1], None]
    np.testing.assert_array_equal(annotation.key.levels, colour_table(1, "jet"))
    bare = plan(findings, colormap="jet", heat=findings.groups, boxes=False)
    assert [colour for _, colour in bare.key.classes] == [None] * 3
    assert plan(findings).key.levels is None


def test_without_boxes_there_is_heat_alone():
    findings = make_findings()
    annotation = plan(findings, boxes=False)
    assert (annotation.lines, annotation.labels) == ((), ())
    assert [colour for _, colour in annotation.key.classes] == list(PALETTE[:3])
    boxed, bare = plan(findings).paint(NOISE), annotation.paint(NOISE)
    np.testing.assert_array_equal(bare, annotation.heat.paint(NOISE))
    assert 0 < (boxed != bare).mean() < 0.3


def test_guesses_are_fainter_in_a_colormap_too():
    sure, guessed = (make_findings(boxes=[(0, 0, 1, 1)], sure=sure) for sure in (True, False))
    options = {"colormap": "hot", "boxes": False}
    black = np.zeros_like(NOISE)
    brightest = [int(plan(each, **options).paint(black).max()) for each in (sure, guessed)]
    assert brightest[1] == pytest.approx(brightest[0] / 2, abs=2)
