"""What was found: detections or guesses, the classes that are shown, and their maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassList
from heatmap.geometry import plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.read import load
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization import findings as module
from heatmap.localization.detect import Search
from heatmap.localization.detection import as_stored
from heatmap.localization.findings import GUESSES, find, stored_maps, window_maps
from heatmap.localization.scales import Windows
from heatmap.region import Region

NAMES = tuple(f"class {index}" for index in range(30))
WEIGHTS = Weights("own", "made up", "")
# Of so many that chance is nothing.
ORIGIN = Origin("", "", "made up", WEIGHTS, "slide", "exact", network_classes=10**9)


def grid_of(peaks, *, kind="probabilities", origin=ORIGIN) -> ScoreGrid:
    """Windows in a row, far apart; class k reaches the k-th peak in window k."""
    geometry = plan_grid((20, 20 * len(peaks)), window=20, native_stride=20)
    scores = np.zeros((*geometry.grid_hw, len(NAMES)), np.float32)
    for index, peak in enumerate(peaks):
        scores[0, index, index] = peak
    return ScoreGrid(scores, geometry, ClassList(NAMES), kind, origin)


def found_in(grid, **search):
    return find([grid], Windows({"x1": grid}), Search(**search))


def test_detections_leave_no_room_for_guesses():
    found = found_in(grid_of([0.9, 0.2, 0.5]))
    assert [each.name for each in found.detections] == ["class 0", "class 2"]
    assert (found.guesses, found.shown) == ((), found.detections)
    assert [group.name for group in found.groups] == ["class 0", "class 2"]


def test_where_nothing_is_sure_the_best_are_guesses_and_no_more_than_three():
    found = found_in(grid_of([0.05, 0.2, 0.1, 0.3, 0.15]))
    assert found.detections == ()
    assert [each.name for each in found.guesses] == ["class 3", "class 1", "class 4"]
    assert (found.shown, len(found.guesses)) == (found.guesses, GUESSES)
    assert [group.name for group in found.groups] == ["class 3", "class 1", "class 4"]
    named = found_in(grid_of([0.05, 0.2, 0.1, 0.3, 0.15]), classes=[0, 1, 2, 3, 4])
    assert [each.name for each in named.guesses] == ["class 3", "class 1", "class 4"]
    assert len(found_in(grid_of([0.05, 0.2, 0.1]), max_det=1).guesses) == 1


def test_each_class_that_was_asked_for_is_answered():
    found = found_in(grid_of([0.9, 0.2, 0.005]), classes=[2, 0, 1])
    assert [each.name for each in found.detections] == ["class 0"]
    assert found.guesses == ()
    nowhere, somewhere = found.not_found
    assert [each.group.name for each in found.not_found] == ["class 2", "class 1"]
    assert (nowhere.confidence, nowhere.at_xy) == (None, None)
    assert nowhere.answer(0.35) == "class 2: not found; nowhere above 1 %"
    # Tight boxes need positions: this is the centre of the window.
    (window,) = (each for each in found_in(grid_of([0, 0.2]), conf=0.1).detections)
    left, top, right, bottom = window.xyxy
    assert somewhere.at_xy == ((left + right) / 2, (top + bottom) / 2)
    across, down = map(round, somewhere.at_xy)
    assert somewhere.answer(0.35) == (
        f"class 1: not found; best 20 % at {across}, {down} (threshold 35 %)"
    )


def test_where_no_class_was_named_none_is_missing():
    assert found_in(grid_of([0.05, 0.2])).not_found == ()


def test_what_is_below_a_hundredth_is_no_guess():
    found = found_in(grid_of([0.009, 0.02]))
    assert [each.name for each in found.guesses] == ["class 1"]
    found = found_in(grid_of([0.009, 0.001]))
    assert found.shown == ()
    # One class has a map even so.
    assert found.maps.scores.shape == (1, 2, 1)


@pytest.mark.parametrize("kind", ["probabilities", "independent probabilities"])
def test_classes_searched_by_name_are_shown_in_their_order(kind):
    found = found_in(grid_of([0.9, 0.2, 0.5], kind=kind), classes=[2, 7, 0])
    assert [group.indices for group in found.groups] == [(2,), (7,), (0,)]
    assert found.maps.classes.names == ("class 2", "class 7", "class 0")
    assert found.peaks == pytest.approx((0.5, 0.0, 0.9), rel=1e-3)
    assert [found.column(each.group) for each in found.detections] == [2, 0]
    assert found.column(ClassList(NAMES).single(1)) is None


def test_of_many_classes_the_most_confident_have_maps(monkeypatch):
    monkeypatch.setattr(module, "MOST_MAPS", 3)
    peaks = [0.4, 0.9, 0.5, 0.8, 0.7]
    found = found_in(grid_of(peaks))
    assert len(found.detections) == 5
    assert [group.indices[0] for group in found.groups] == [1, 3, 4]


def test_maps_of_windows_are_corrected_for_chance_once():
    few = replace(ORIGIN, network_classes=None)
    grid = grid_of([0.9, 0.7], origin=few)
    maps = window_maps(grid, [grid.classes.single(0)])
    expected = (0.9 - 1 / 30) / (1 - 1 / 30)
    assert maps.scores[0, 0, 0] == pytest.approx(expected)
    assert maps.class_map(0)[0, 0] == maps.scores[0, 0, 0]


def test_windows_that_were_not_scored_stay_unknown():
    grid = grid_of([0.9, 0.7])
    scores = grid.scores.copy()
    scores[0, 1] = np.nan
    found = found_in(replace(grid, scores=scores))
    assert np.isnan(found.maps.scores[0, 1]).all()
    assert found.peaks == pytest.approx((0.9,), rel=1e-3)


@settings(max_examples=15)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6))
def test_all_of_it_is_rounded_as_files_have_it(peaks):
    found = found_in(grid_of(peaks), conf=0.3)
    assert found.shown == tuple(map(as_stored, found.shown))
    np.testing.assert_array_equal(found.maps.scores, stored_maps(found.maps).scores)
    np.testing.assert_array_equal(found.maps.scores, found.maps.scores.astype(np.float16))


def test_boxes_of_a_region_are_on_the_whole_photo_and_on_a_picture_of_the_region():
    region = Region(100, 50, 40, 20, whole_hw=(200, 300))
    found = found_in(grid_of([0.9, 0.1], origin=replace(ORIGIN, region=region)))
    assert [each.xyxy for each in found.detections] == [(100, 50, 120, 70)]
    assert found.boxes_on((20, 40)) == [(0, 0, 20, 20)]
    assert found.boxes_on((10, 80)) == [(0, 0, 40, 10)]


@pytest.mark.parametrize(("odd", "stored"), [(0.5, np.float16), (1 / 3, np.float32)])
def test_maps_are_saved_as_float16_and_come_back_as_they_were(tmp_path, odd, stored):
    """A grid that float16 does not hold exactly is saved as it is."""
    grid = found_in(grid_of([0.9, 0.7, 0.8])).maps
    scores = grid.scores.copy()
    scores[0, 0, 0], scores[0, 1, 0] = odd, np.nan
    path = replace(grid, scores=scores).save(tmp_path / "cat.maps.npz")
    with np.load(path) as arrays:
        assert arrays["scores"].dtype == stored
    loaded = load(path)
    assert loaded.scores.dtype == np.float32
    np.testing.assert_array_equal(loaded.scores, scores)
