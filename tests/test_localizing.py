"""Objects from made-up grids whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap import ClassError, GeometryError, ScoreGrid, localize
from heatmap.classes import ClassList
from heatmap.geometry import plan_grid
from heatmap.grid import Origin

ORIGIN = Origin("", "", "made up", "made up", "", "slide", "exact")


def grid_of(peaks: dict[tuple[int, int, int], float]) -> ScoreGrid:
    """A grid of probabilities, 3 classes over a photo of 630 x 790 px, background class 0."""
    geometry = plan_grid((630, 790), window=224, native_stride=32)
    scores = np.zeros((*geometry.grid_hw, 3), np.float32)
    for (row, column, index), value in peaks.items():
        scores[row, column, index] = value
    scores[:, :, 0] = 0.2
    return ScoreGrid(
        scores, geometry, ClassList(("nothing", "cat", "cup")), "probabilities", ORIGIN
    )


def test_each_object_is_found_once_best_first():
    grid = grid_of({(2, 3, 1): 0.9, (2, 4, 1): 0.8, (3, 3, 1): 0.7, (10, 15, 2): 0.95})
    found = localize(grid)
    assert [(one.name, one.cell) for one in found] == [("cup", (10, 15)), ("cat", (2, 3))]
    assert found[1].score == pytest.approx(0.9)


def test_box_is_the_window_cut_to_the_photo():
    grid = grid_of({(0, 0, 1): 0.9})
    left, top, right, bottom = grid.geometry.window_xyxy(0, 0)
    assert top < 0 or left < 0
    assert localize(grid)[0].xyxy == (max(left, 0), max(top, 0), right, bottom)


def test_without_classes_only_winners_count():
    grid = grid_of({(2, 3, 1): 0.9, (2, 3, 2): 0.5})
    assert [one.name for one in localize(grid)] == ["cat"]
    assert [one.name for one in localize(grid, ["cup"])] == ["cup"]


def test_classes_are_searched_apart_from_each_other():
    grid = grid_of({(2, 3, 1): 0.9, (2, 4, 2): 0.8})
    assert [one.name for one in localize(grid, ["cup", "cat", "cat"])] == ["cat", "cup"]
    assert [one.name for one in localize(grid)] == ["cat"]


def test_thresholds():
    grid = grid_of({(2, 3, 1): 0.9, (2, 6, 1): 0.4})
    assert len(localize(grid, ["cat"], most_overlap=0.5)) == 2
    assert len(localize(grid, ["cat"], most_overlap=0.1)) == 1
    assert len(localize(grid, ["cat"], least_score=0.5, most_overlap=0.5)) == 1
    assert localize(grid, least_score=0.95) == ()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(GeometryError, match=r"least score is 1\.5"):
        localize(grid_of({}), least_score=1.5)
    with pytest.raises(ClassError, match="dog"):
        localize(grid_of({}), ["dog"])
