"""The data of the scores in a page."""

import base64

import numpy as np
import pytest

from heatmap.classes import ClassList
from heatmap.grid.score_grid import ScoreGrid
from heatmap.rendering import page_data as viewdata
from heatmap.rendering.page import page_data
from heatmap.rendering.page_data import score_data, thinned
from tests.support.pages import (
    CAT,
    CLASSES,
    find,
    make_grid,
    make_photo,
    origin,
)

MISSING = (slice(0, 4), slice(0, 3))


def unpacked(array: dict, *shape: int) -> np.ndarray:
    content = base64.b64decode(array["base64"])
    return np.frombuffer(content, np.dtype(array["dtype"]).newbyteorder("<")).reshape(shape)


def probabilities(array: dict, *shape: int) -> np.ndarray:
    steps = unpacked(array, *shape).astype(np.float64)
    return np.where(steps == 65535, np.nan, steps / 65534)


def which(label: str) -> int:
    """The class that the page calls so: "crane (3)" is the fourth."""
    name, _, index = label.partition(" (")
    return int(index.rstrip(")")) if index else CLASSES.names.index(name)


@pytest.mark.parametrize("missing", [None, MISSING, (slice(None), slice(None))])
def test_maps_are_the_grids_probabilities(missing):
    grid = make_grid(missing=missing)
    data = score_data(grid, [find(grid, CAT)])
    names = [one["name"] for one in data["maps"]]
    maps = probabilities(data["probabilities"], len(names), *grid.geometry.grid_hw)
    np.testing.assert_allclose(maps[0], grid.class_map(CAT), atol=1e-5)
    np.testing.assert_allclose(maps[1], grid.class_map(which(names[1])), atol=1e-5)
    peaks = [np.nan_to_num(values).max() for values in maps]
    np.testing.assert_allclose([one["peak"] for one in data["maps"]], peaks, atol=1e-5)


@pytest.mark.parametrize("missing", [None, MISSING])
def test_strongest_are_those_a_full_sort_puts_first(missing):
    grid = make_grid(missing=missing)
    data = score_data(grid, [])["strongest"]
    shape = (*grid.geometry.grid_hw, 5)
    classes = np.array([which(name) for name in data["names"]])
    given = probabilities(data["probabilities"], *shape)
    expected = np.sort(grid.probabilities(), axis=2)[:, :, ::-1]
    np.testing.assert_allclose(given, expected[:, :, :5], atol=1e-5)
    scored = ~np.isnan(given[:, :, 0])
    best = classes[unpacked(data["classes"], *shape)[:, :, 0]]
    np.testing.assert_array_equal(best[scored], grid.best()[0][scored])


def test_fewer_classes_than_five_are_all_named():
    few = make_grid()
    grid = ScoreGrid(few.scores[:, :, :2], few.geometry, ClassList(("a", "b")), "logits", origin())
    data = score_data(grid, [])["strongest"]
    assert (data["count"], data["names"], data["maps"]) == (2, ["a", "b"], [0, 1])


def test_found_come_first_with_their_counts_then_the_highest():
    grid = make_grid()
    cup = grid.classes.find("cup")
    found = [find(grid, cup, 0.4), find(grid, CAT, 0.9), find(grid, cup, 0.6)]
    data = score_data(grid, found)
    assert [(one["name"], one["detections"]) for one in data["maps"][:2]] == [
        ("cat", 1),
        ("cup", 2),
    ]
    rest = [one["peak"] for one in data["maps"][2:]]
    assert rest == sorted(rest, reverse=True)
    assert [(one["name"], one["map"]) for one in data["detections"]] == [
        ("cat", 0),
        ("cup", 1),
        ("cup", 1),
    ]
    assert [one["confidence"] for one in data["detections"]] == [0.9, 0.6, 0.4]
    np.testing.assert_allclose(data["detections"][0]["xyxy"], found[1].xyxy, atol=0.01)
    np.testing.assert_allclose(
        data["detections"][0]["window_xyxy"], found[1].window_xyxy, atol=0.01
    )


@pytest.mark.parametrize("missing", [None, MISSING])
def test_small_grid_carries_every_class_that_reaches_one_per_cent(missing):
    grid = make_grid(missing=missing)
    highest = np.nanmax(grid.probabilities(), axis=(0, 1))
    assert highest[-1] < 0.01 < highest[:-1].min()
    assert len(score_data(grid, [])["maps"]) == len(CLASSES) - 1


def test_some_classes_are_carried_though_none_reaches_that(monkeypatch):
    monkeypatch.setattr(viewdata, "MIN_PEAK", 1.1)
    assert len(score_data(make_grid(), [])["maps"]) == viewdata.FEWEST_MAPS


def test_maps_keep_to_their_bytes_and_the_found_stay(monkeypatch):
    grid = make_grid()
    monkeypatch.setattr(viewdata, "MAPS_BYTES", 2 * grid.scored.size * 3 + 1)
    dust, cup = grid.classes.find("dust"), grid.classes.find("cup")
    found = [find(grid, dust, 0.5), find(grid, cup, 0.4)]
    data = score_data(grid, found)
    assert [one["name"] for one in data["maps"]][:2] == ["dust", "cup"]
    assert len(data["maps"]) == 3
    monkeypatch.setattr(viewdata, "MAPS_BYTES", 1)
    data = score_data(grid, found)
    assert [one["map"] for one in data["detections"]] == [0, None]


def test_classes_of_one_name_are_told_apart():
    names = [one["name"] for one in score_data(make_grid(), [])["maps"]]
    assert {"crane (2)", "crane (3)"} < set(names)
    group = CAT.__class__("cup", (4, 5))
    grid = make_grid()
    doubled = ClassList(CLASSES.names, groups=(group,))
    grid = ScoreGrid(grid.scores, grid.geometry, doubled, "logits", origin())
    names = [one["name"] for one in score_data(grid, [find(grid, group)])["maps"]]
    assert names[0] == "cup (2 classes)"
    assert "cup (5)" in names


def test_too_many_windows_are_thinned_and_stay_where_they_are(monkeypatch):
    grid = make_grid()
    rows, columns = grid.geometry.grid_hw
    monkeypatch.setattr(viewdata, "MAX_CELLS", rows * columns // 5)
    shown, step = thinned(grid)
    assert step == 3
    assert shown.scored.size <= rows * columns // 5
    np.testing.assert_array_equal(shown.scores, grid.scores[::3, ::3])
    last = (shown.geometry.grid_hw[0] - 1, shown.geometry.grid_hw[1] - 1)
    full = grid.geometry.window_xyxy(last[0] * 3, last[1] * 3)
    assert shown.geometry.window_xyxy(*last) == pytest.approx(full)
    about = dict(page_data(make_photo(), grid, [], title="", stem="")["about"])
    assert about["Shown"] == "one in 3 rows and columns of windows"


def test_a_grid_that_fits_is_shown_whole():
    grid = make_grid()
    assert thinned(grid) == (grid, 1)
