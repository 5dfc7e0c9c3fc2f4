"""Grids of classes that do not exclude each other, and of log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.outputs import above_chance
from heatmap.grid.score_grid import ScoreGrid

CLASSES = ClassList(("tabby", "Egyptian cat", "lynx", "wall"))
ORIGIN = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")


def make_grid(scores, kind):
    """A grid of 2 x 3 windows over a photo of 256 x 288 px."""
    geometry = plan_grid((256, 288), Placement(border="valid"), window=224, native_stride=32)
    return ScoreGrid(scores, geometry, CLASSES, kind, ORIGIN)


INDEPENDENT = ["independent logits", "independent probabilities"]


def independent_grid(kind):
    scores = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 4)).astype(np.float32)
    return make_grid(scores, kind)


@pytest.mark.parametrize("kind", INDEPENDENT)
def test_each_independent_class_has_a_probability_of_its_own(kind):
    grid = independent_grid(kind)
    exact = grid.scores if kind == INDEPENDENT[1] else 1 / (1 + np.exp(-grid.scores.astype(float)))
    np.testing.assert_allclose(grid.probabilities(), exact, rtol=1e-6)
    np.testing.assert_allclose(grid.class_map("lynx"), exact[:, :, 2], rtol=1e-6)
    assert not grid.is_exclusive


@pytest.mark.parametrize("kind", INDEPENDENT)
def test_the_probability_of_a_group_of_independent_classes_is_the_largest(kind):
    grid, cats = independent_grid(kind), ClassGroup("cat", (0, 2))
    expected = grid.probabilities()[:, :, [0, 2]].max(axis=2)
    np.testing.assert_allclose(grid.class_map(cats), expected, rtol=1e-6)
    halves = make_grid(np.full((2, 3, 4), 0.5, np.float32), INDEPENDENT[1])
    assert (halves.class_map(cats) == 0.5).all()


def test_the_logit_of_a_group_of_independent_classes_is_the_largest():
    grid, cats = independent_grid(INDEPENDENT[0]), ClassGroup("cat", (0, 2))
    expected = grid.scores[:, :, [0, 2]].max(axis=2)
    np.testing.assert_array_equal(grid.class_map(cats, kind="logits"), expected)


def test_log_probabilities_are_logits_of_the_same_classes():
    random = np.random.default_rng(0).normal(0, 3, (2, 3, 4)).astype(np.float32)
    logits = make_grid(random, "logits")
    logs = make_grid(np.log(logits.probabilities()), "log-probabilities")
    np.testing.assert_allclose(logs.probabilities(), logits.probabilities(), atol=1e-6)
    cats = ClassGroup("cat", (0, 2))
    together = np.exp(logs.class_map(cats, kind="logits"))
    np.testing.assert_allclose(above_chance(together, 0.5), logits.class_map(cats), rtol=1e-4)


def test_independent_classes_do_not_compete_to_be_among_the_top():
    scores = np.full((2, 3, 4), 0.1, np.float32)
    # The Egyptian cat is nowhere the most probable class, the wall is.
    scores[0, 0, :2], scores[1, 1, 3] = (0.95, 0.9), 0.3
    for kind, expected in (("probabilities", [0, 3, 1]), (INDEPENDENT[1], [0, 1, 3])):
        grid = make_grid(scores, kind)
        assert grid.winners(3) == [CLASSES.single(index) for index in expected]
