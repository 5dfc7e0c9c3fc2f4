"""The data of maps, boxes and windows in a page."""

import base64

import numpy as np
import pytest

from heatmap.classes import ClassGroup, ClassList
from heatmap.grid.score_grid import ScoreGrid
from heatmap.rendering import page_data as viewdata
from heatmap.rendering.page import page_data
from heatmap.rendering.page_data import Labels, found_data, thinned, window_data
from tests.support.pages import (
    CAT,
    CLASSES,
    REGION,
    data_of,
    find,
    findings_of,
    make_grid,
    make_photo,
    origin,
    peaking,
    written,
)

MISSING = (slice(0, 4), slice(0, 3))
ALL = (slice(None), slice(None))


def unpacked(array: dict, *shape: int) -> np.ndarray:
    content = base64.b64decode(array["base64"])
    return np.frombuffer(content, np.dtype(array["dtype"]).newbyteorder("<")).reshape(shape)


def probabilities(array: dict, *shape: int) -> np.ndarray:
    steps = unpacked(array, *shape).astype(np.float64)
    return np.where(steps == 65535, np.nan, steps / 65534)


def of_found(findings, grid=None) -> dict:
    return found_data(findings, findings.maps, Labels(findings, grid))


def of_windows(grid, groups=()) -> dict:
    return window_data(grid, groups, Labels(findings_of(grid), grid))


def which(label: str) -> int:
    """The class that the page calls so: "crane (3)" is the fourth."""
    name, _, index = label.partition(" (")
    return int(index.rstrip(")")) if index else CLASSES.names.index(name)


@pytest.mark.parametrize("sharp", [False, True])
@pytest.mark.parametrize("missing", [None, MISSING, ALL])
def test_maps_are_those_of_the_findings(missing, sharp):
    grid = make_grid(missing=missing)
    findings = findings_of(grid, groups=[CAT, grid.classes.find("cup")], sharp=sharp)
    data = of_found(findings)
    given = probabilities(data["probabilities"], 2, *grid.geometry.grid_hw)
    expected = np.moveaxis(findings.maps.scores, 2, 0)
    np.testing.assert_allclose(given, expected, rtol=0, atol=0.51 / 65534)
    assert [one["name"] for one in data["maps"]] == ["cat", "cup"]
    peaks = [one["peak"] for one in data["maps"]]
    np.testing.assert_allclose(peaks, findings.peaks, atol=1e-6)
    assert data["geometry"]["window_px"] == (16 if sharp else 64)


@pytest.mark.parametrize("peak", [0.0, 0.05, 0.15, 0.4, 0.7])
def test_colours_end_at_the_next_round_probability_above_the_highest_peak(tmp_path, peak):
    grid = peaking(peak)
    findings = findings_of(grid, groups=[grid.classes.find("moon"), grid.classes.find("cup")])
    ends = {0.0: 0.1, 0.05: 0.1, 0.15: 0.2, 0.4: 0.5, 0.7: 1.0}
    assert data_of(written(tmp_path, findings=findings))["range"] == [0, ends[peak]]


@pytest.mark.parametrize("missing", [None, MISSING])
def test_strongest_are_those_a_full_sort_puts_first(missing):
    grid = make_grid(missing=missing)
    data = of_windows(grid)
    shape = (*grid.geometry.grid_hw, 5)
    classes = np.array([which(name) for name in data["names"]])
    given = probabilities(data["probabilities"], *shape)
    expected = np.sort(grid.probabilities(), axis=2)[:, :, ::-1]
    np.testing.assert_allclose(given, expected[:, :, :5], atol=1e-5)
    scored = ~np.isnan(given[:, :, 0])
    best = classes[unpacked(data["classes"], *shape)[:, :, 0]]
    np.testing.assert_array_equal(best[scored], grid.best()[0][scored])


def test_fewer_classes_than_five_are_all_named_with_their_maps():
    few = make_grid()
    grid = ScoreGrid(few.scores[:, :, :2], few.geometry, ClassList(("a", "b")), "logits", origin())
    data = of_windows(grid, [grid.classes.single(1)])
    assert (data["count"], data["names"], data["maps"]) == (2, ["a", "b"], [None, 0])


def test_page_without_a_grid_says_nothing_of_windows():
    grid = make_grid()
    findings = findings_of(grid)
    assert page_data(make_photo(), findings, None, title="", stem="")["windows"] is None
    data = page_data(make_photo(), findings, grid, title="", stem="")
    assert data["windows"]["geometry"] == data["geometry"]


def test_detections_keep_their_order_and_say_their_maps():
    grid = make_grid()
    cup, moon = grid.classes.find("cup"), grid.classes.find("moon")
    found = [find(grid, cup, 0.9), find(grid, CAT, 0.6), find(grid, cup, 0.4), find(grid, moon)]
    findings = findings_of(grid, found, [CAT, cup])
    data = of_found(findings)
    assert [(one["name"], one["detections"]) for one in data["maps"]] == [("cat", 1), ("cup", 2)]
    assert [(one["name"], one["map"]) for one in data["detections"]] == [
        ("cup", 1),
        ("cat", 0),
        ("cup", 1),
        ("moon", None),
    ]
    assert [one["confidence"] for one in data["detections"][:3]] == [0.9, 0.6, 0.4]
    assert [one["xyxy"] for one in data["detections"]] == [one.xyxy for one in findings.detections]
    assert not data["guessed"]


def test_guesses_are_boxes_but_no_detections():
    grid = make_grid()
    findings = findings_of(grid, guesses=[find(grid, CAT, 0.08)])
    data = of_found(findings)
    assert data["guessed"]
    assert [(one["name"], one["confidence"]) for one in data["detections"]] == [("cat", 0.08)]
    assert [one["detections"] for one in data["maps"]] == [0]


def test_boxes_of_a_region_are_in_px_of_the_region():
    grid = make_grid(origin=origin(region=REGION))
    seen = find(grid, CAT, 0.9)
    findings = findings_of(grid, [seen])
    assert findings.detections[0].xyxy[0] == pytest.approx(seen.xyxy[0] + REGION.left, abs=0.01)
    assert of_found(findings)["at"] == (REGION.left, REGION.top)
    [box] = of_found(findings)["detections"]
    assert box["xyxy"] == findings.boxes_on(REGION.hw)[0]
    np.testing.assert_allclose(box["xyxy"], seen.xyxy, atol=0.01)


def test_classes_of_one_name_are_told_apart():
    grid = make_grid()
    crane, group = grid.classes.single(2), ClassGroup("cup", (4, 5))
    findings = findings_of(grid, groups=[crane, group, grid.classes.single(3)])
    names = [one["name"] for one in of_found(findings)["maps"]]
    assert names == ["crane (2)", "cup", "crane (3)"]


def test_maps_and_windows_call_a_class_the_same():
    grid = make_grid()
    findings = findings_of(grid, groups=[grid.classes.single(2), ClassGroup("cup", (4, 5))])
    labels = Labels(findings, grid)
    maps = [one["name"] for one in found_data(findings, findings.maps, labels)["maps"]]
    assert maps == ["crane (2)", "cup (2 classes)"]
    windows = window_data(grid, findings.groups, labels)
    assert {"crane (2)", "crane (3)", "cup (5)"} < set(windows["names"])
    assert windows["maps"][windows["names"].index("crane (2)")] == 0
    assert windows["maps"][windows["names"].index("cup (5)")] is None


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
    findings = findings_of(grid)
    data = page_data(make_photo(), findings, grid, title="", stem="")
    told = "one in 3 rows and columns"
    assert dict(data["about"])["Shown"] == f"maps: {told}; windows: {told}"
    assert data["geometry"]["grid_hw"] == shown.geometry.grid_hw
    # What is said of a map stays what the files say.
    assert [one["peak"] for one in data["maps"]] == [round(peak, 6) for peak in findings.peaks]


def test_many_maps_are_thinned_more_than_few(monkeypatch):
    grid = make_grid()
    monkeypatch.setattr(viewdata, "MAX_VALUES", grid.scored.size * 8)
    assert [thinned(grid, of_cell)[1] for of_cell in (1, 8, 9, 40)] == [1, 1, 2, 3]


def test_a_grid_that_fits_is_shown_whole():
    grid = make_grid()
    assert thinned(grid) == (grid, 1)
