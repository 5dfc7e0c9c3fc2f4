"""Which windows are cropped from coarse to fine, and what stands for the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid import collector as collecting
from heatmap.grid.coarse import SHARES_NAMED, CoarseToFine, Sought, stages
from heatmap.grid.collector import Collector
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.outputs import probabilities_of, scores_of

WINDOW = 224
ORIGIN = Origin("", "", "made", Weights("own", "made", ""), "crop", "refused")
properties = settings(max_examples=25)


def grid_of(rows, columns, stride=32):
    photo_hw = tuple(WINDOW + stride * (cells - 1) for cells in (rows, columns))
    return plan_grid(photo_hw, Placement(stride, border="valid"), window=WINDOW, native_stride=32)


def scripted(seed, geometry, classes=3):
    """Logits of all windows, in some parts of the grid of a likely class."""
    made = np.random.default_rng(seed)
    scores = made.normal(0, 1, (*geometry.grid_hw, classes)).astype(np.float32)
    scores[:, : geometry.grid_hw[1] // 3, 0] += 3
    return scores


def scored_so(scores, geometry, sought, outputs="logits", wanted=None):
    """The grid of windows scored from coarse to fine, and which were."""
    plan = CoarseToFine(geometry, sought, outputs, wanted)
    names = ClassList(tuple(f"class {number}" for number in range(scores.shape[2])))
    collector = Collector(geometry, names, outputs)
    for stage, asked in plan.asked():
        for row, column in np.argwhere(asked).tolist():
            plan.saw(row, column, scores[row, column])
            collector.write(row, column, scores[row : row + 1, column : column + 1])
        collector.fill(stage.cells & ~asked, stage.around)
    return collector.finish(ORIGIN), plan.scored


grids = st.builds(
    grid_of, st.integers(1, 12), st.integers(1, 12), st.sampled_from([8, 16, 32, 100, 300])
)


@properties
@given(grids)
def test_every_cell_is_in_one_stage_after_all_those_around_it(geometry):
    done = np.zeros(geometry.grid_hw, int)
    for stage in stages(geometry):
        for row, column in np.argwhere(stage.cells).tolist():
            around = [(row + down, column + across) for down, across in stage.around]
            inside = [
                each
                for each in around
                if all(0 <= at < n for at, n in zip(each, done.shape, strict=True))
            ]
            assert all(done[each] for each in inside)
            assert inside or not stage.around
        done += stage.cells
    assert (done == 1).all()


@pytest.mark.parametrize(("stride", "cells"), [(32, 4), (16, 8), (8, 16), (100, 1), (300, 1)])
def test_first_windows_are_about_half_a_window_apart(stride, cells):
    first = next(iter(stages(grid_of(33, 33, stride)))).cells
    for axis in (0, 1):
        assert set(np.diff(np.flatnonzero(first.any(axis=1 - axis)))) == {cells}


def plainly(scores, geometry, sought, outputs):
    """The windows that are scored, and the probabilities of all, cell by cell."""
    probabilities, known, scored = probabilities_of(scores, outputs), {}, set()
    likely, listed = {}, list(stages(geometry))
    for number, stage in enumerate(listed):
        share = 0.2 if number < len(listed) - 4 else sought.shares[number - len(listed)]
        for cell in map(tuple, np.argwhere(stage.cells).tolist()):
            around = [(cell[0] + down, cell[1] + across) for down, across in stage.around]
            around = [each for each in around if each in known]
            mean = np.mean([likely[each] for each in around]) if around else math.inf
            if mean < share * sought.conf:
                known[cell] = np.mean([known[each] for each in around], axis=0)
                likely[cell] = mean
            else:
                known[cell] = probabilities[cell]
                likely[cell] = sought.highest(scores[cell][None], outputs)[0]
                scored.add(cell)
    return scored, known


@properties
@given(grids, st.integers(0, 9), st.sampled_from([None, ((0,),), ((1,), (0, 2))]))
def test_scores_and_stand_ins_are_those_of_the_definition(geometry, seed, groups):
    scores, sought = scripted(seed, geometry), Sought(0.6, groups)
    grid, scored = scored_so(scores, geometry, sought)
    expected, known = plainly(scores, geometry, sought, "logits")
    assert {tuple(cell) for cell in np.argwhere(scored).tolist()} == expected
    assert (grid.scores[scored] == scores[scored]).all()
    for cell, probabilities in known.items():
        assert np.allclose(grid.probabilities()[cell], probabilities, atol=1e-6)


@pytest.mark.parametrize("outputs", ["logits", "independent logits", "independent probabilities"])
@pytest.mark.parametrize("groups", [None, ((0,),), ((1, 2),)])
def test_a_window_that_was_not_scored_never_reaches_the_threshold(outputs, groups):
    geometry = grid_of(13, 17)
    scores = scripted(3, geometry, 5)
    if outputs != "logits":
        scores = scores_of(probabilities_of(scores - 3, "independent logits"), outputs)
    sought = Sought(0.5, groups)
    grid, scored = scored_so(scores, geometry, sought, outputs)
    left = grid.scores[~scored]
    assert len(left) > 20
    assert (sought.highest(left, outputs) < max(SHARES_NAMED) * 0.5 + 1e-6).all()


def test_a_grid_too_large_for_memory_gets_the_same_scores(monkeypatch):
    geometry = grid_of(9, 9)
    scores = scripted(1, geometry)
    expected, scored = scored_so(scores, geometry, Sought(0.6))
    assert not scored.all()
    monkeypatch.setattr(collecting, "LARGE_GRID_BYTES", 0)
    grid, _ = scored_so(scores, geometry, Sought(0.6))
    assert np.array_equal(grid.scores, expected.scores)


def test_cells_that_may_not_be_scored_are_not_looked_at():
    geometry = grid_of(9, 9)
    wanted = np.ones(geometry.grid_hw, bool)
    wanted[:, 5:] = False
    grid, scored = scored_so(scripted(1, geometry), geometry, Sought(0.6), wanted=wanted)
    assert not (scored & ~wanted).any()
    assert (np.isnan(grid.scores[:, :, 0]) == ~wanted).all()


def test_all_are_scored_where_anything_is_a_detection():
    geometry = grid_of(6, 7)
    assert scored_so(scripted(1, geometry), geometry, Sought(0.0))[1].all()


def test_classes_left_out_make_no_window_likely():
    geometry = grid_of(9, 9)
    scores = np.zeros((9, 9, 2), np.float32)
    scores[:, :, 1] = 9
    assert scored_so(scores, geometry, Sought(0.5))[1].all()
    _, scored = scored_so(scores, geometry, Sought(0.5, left_out=(1,)))
    assert (scored == next(iter(stages(geometry))).cells).all()
