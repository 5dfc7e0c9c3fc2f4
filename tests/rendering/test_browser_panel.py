"""The panel of the page in a real browser: windows, classes and detections."""

from __future__ import annotations

import re

import numpy as np
import pytest

from heatmap.rendering.overlay import overlay
from tests.support.browser import (
    DESKTOP,
    GREY,
    Opened,
    hottest,
    some_findings,
)
from tests.support.pages import (
    CAT,
    PHOTO_HW,
    REGION,
    find,
    findings_of,
    make_grid,
    origin,
)


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_hover_names_the_strongest_classes_and_outlines_the_window(opened, scale):
    grid = make_grid(scale=scale)
    # The maps may have other cells than the windows.
    page = opened(findings_of(make_grid(), sharp=True), grid)
    assert page.texts("#window-heading") == ["Window under the pointer"]
    assert not page.page.locator("#outline").is_visible()
    rows, columns = grid.geometry.grid_hw
    for cell in [(0, 0), (rows // 3, columns // 2), (rows - 2, columns - 1)]:
        check_hover(page, grid, cell)
    # And where the picture has been moved and enlarged.
    page.press("+")
    page.press("ArrowRight")
    check_hover(page, grid, (rows // 2, columns // 2))
    page.page.mouse.move(DESKTOP["width"] - 20, 20)
    page.settle()
    assert not page.page.locator("#outline").is_visible()


def check_hover(page: Opened, grid, cell) -> None:
    x, y = grid.geometry.centre_xy(*cell)
    height, width = PHOTO_HW
    page.point(min(max(x, 1), width - 1), min(max(y, 1), height - 1))
    expected = np.argsort(-grid.probabilities()[cell])[:5]
    names = [re.sub(r" \(\d\)$", "", name) for name in page.texts("#strongest .name")]
    assert names == [grid.classes.names[index] for index in expected]
    best = grid.probabilities()[cell].max() * 100
    assert float(page.texts("#strongest .value")[0].rstrip("%")) == pytest.approx(best, abs=0.51)
    assert page.texts("#window-note") == [f"Row {cell[0]}, column {cell[1]}"]
    window = page.on_screen(grid.geometry.window_xyxy(*cell))
    np.testing.assert_allclose(page.box("#outline"), window, atol=0.6)


def test_without_a_grid_hover_says_what_the_maps_say(opened):
    findings = findings_of(make_grid(), sharp=True)
    maps = findings.maps
    page = opened(findings)
    assert page.texts("#window-heading") == ["Place under the pointer"]
    assert page.texts("#window-note")[0].startswith("Point at the picture to see what the maps say")
    rows, columns = maps.geometry.grid_hw
    for cell in [(3, 3), (rows // 3, columns // 2)]:
        page.point(*maps.geometry.centre_xy(*cell))
        order = np.argsort(-maps.scores[cell], kind="stable")[:5]
        names = [re.sub(r" \(\d\)$", "", name) for name in page.texts("#strongest .name")]
        assert names == [maps.classes.names[index] for index in order]
        told = [float(text.strip("<%")) / 100 for text in page.texts("#strongest .value")]
        np.testing.assert_allclose(told, maps.scores[cell][order], atol=0.0051)
        assert page.texts("#window-note") == [f"Row {cell[0]}, column {cell[1]}"]
        window = page.on_screen(maps.geometry.window_xyxy(*cell))
        np.testing.assert_allclose(page.box("#outline"), window, atol=0.6)
    page.click(100, 100)
    assert page.texts("#window-heading") == ["Pinned place"]


def test_between_cells_the_nearest_is_named(opened):
    grid = make_grid()
    page = opened(grid=grid)
    for x, y in [(200.0, 100.0), (203.0, 100.0), (211.0, 107.0), (219.5, 93.0)]:
        page.point(x, y)
        row, column = (int(np.floor(cell + 0.5)) for cell in grid.geometry.cell_at(x, y))
        assert page.texts("#window-note") == [f"Row {row}, column {column}"]


def test_click_pins_and_escape_unpins(opened):
    page = opened()
    page.click(100, 100)
    pinned, names = page.box("#outline"), page.texts("#strongest .name")
    page.point(300, 200)
    np.testing.assert_allclose(page.box("#outline"), pinned)
    assert page.texts("#strongest .name") == names
    assert page.texts("#window-heading") == ["Pinned window"]
    page.press("Escape")
    assert page.texts("#window-heading") == ["Window under the pointer"]
    assert np.abs(page.box("#outline") - pinned).max() > 20
    page.click(100, 100)
    page.page.get_by_role("button", name="Unpin").click()
    assert page.texts("#window-heading") == ["Window under the pointer"]


def test_window_is_pinned_and_moved_by_keys(opened):
    grid = make_grid()
    page = opened(grid=grid)
    page.page.locator("#stage").focus()
    page.press("Enter")
    row, column = (int(np.floor(cell + 0.5)) for cell in grid.geometry.cell_at(210, 150))
    assert page.texts("#window-note") == [f"Row {row}, column {column}"]
    page.press("Shift+ArrowRight")
    page.press("Shift+ArrowUp")
    assert page.texts("#window-note") == [f"Row {row - 1}, column {column + 1}"]


def test_search_filters_the_classes(opened):
    page = opened()
    every = page.texts("#class-list label:visible .name")
    assert len(every) == 8
    page.page.get_by_role("searchbox", name="Search classes").fill("CAT r")
    assert page.texts("#class-list label:visible .name") == ["tiger cat"]
    assert page.texts("#class-count") == ["1 of 8"]
    page.page.get_by_role("searchbox").fill("")
    assert page.texts("#class-list label:visible .name") == every


def test_detected_classes_stand_first_and_the_chosen_one_is_shown(opened):
    grid = make_grid()
    moon = grid.classes.find("moon")
    findings = some_findings(grid, [CAT, grid.classes.find("cup"), moon])
    page = opened(findings, grid)
    assert page.texts("#class-list .name") == ["cat", "cup", "moon"]
    assert not page.page.get_by_role("searchbox").is_visible()
    assert page.texts("#class-list .detected") == ["1 detection", "1 detection"]
    assert page.texts("#class-list label:has(:checked) .name") == ["cat"]
    x, y = hottest(grid, "moon")
    before = page.colour(x, y)
    page.page.get_by_role("radio", name="moon").check(force=True)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, findings.maps, 2, color_range=(0, 1), legend=False)[int(y), int(x)]
    assert np.abs(page.colour(x, y) - drawn).max() <= 8
    assert np.abs(before - drawn).max() > 30


def test_class_is_chosen_from_a_pinned_window(opened):
    grid = make_grid()
    page = opened(grid=grid)
    page.click(*hottest(grid, "moon"))
    page.page.locator("#strongest").get_by_role("button", name="moon").click()
    assert page.texts("#class-list label:has(:checked) .name") == ["moon"]


def test_boxes_lie_on_their_objects_in_a_region_and_can_be_hidden(opened):
    findings = some_findings(make_grid(origin=origin(region=REGION)))
    page = opened(findings)
    assert [tag.split() for tag in page.texts(".tag")] == [["cat", "90%"], ["cup", "60%"]]
    for which, xyxy in enumerate(findings.boxes_on(PHOTO_HW)):
        box = page.box(f".box:nth-child({which + 1})")
        np.testing.assert_allclose(box, page.on_screen(xyxy), atol=0.6)
    page.page.get_by_role("checkbox", name="Boxes of 2 detections").uncheck()
    assert not page.page.locator(".box").first.is_visible()


def test_click_on_a_detection_goes_to_it(opened):
    grid = make_grid()
    findings = some_findings(grid)
    detections = findings.detections
    page = opened(findings, grid)
    page.page.get_by_role("button", name="cup 60%").click()
    check_selected(page, detections[1], "cup")
    row, column = detections[1].cell
    assert page.texts("#window-note") == [f"Row {row}, column {column}"]
    assert page.texts("#which") == ["2 / 2"]
    page.page.get_by_role("button", name="Next detection").click()
    check_selected(page, detections[0], "cat")
    page.page.get_by_role("button", name="Previous detection").click()
    check_selected(page, detections[1], "cup")


def check_selected(page: Opened, one, name: str) -> None:
    assert page.texts("#class-list label:has(:checked) .name") == [name]
    box, stage = page.box(".box.selected"), page.box("#stage")
    assert ((box[:2] + box[2:]) / 2).tolist() == pytest.approx(
        ((stage[:2] + stage[2:]) / 2).tolist(), abs=1
    )
    share = (box[2:] - box[:2]) / (stage[2:] - stage[:2])
    assert share.max() == pytest.approx(0.6, abs=0.01)
    np.testing.assert_allclose(box, page.on_screen(one.xyxy), atol=0.6)


def test_no_detections_are_said(opened):
    page = opened()
    assert page.texts("#detection-count") == ["No detections"]
    assert not page.page.locator("#stepper").is_visible()


def test_guesses_are_said_to_be_guesses(opened):
    grid = make_grid()
    cup = grid.classes.find("cup")
    page = opened(findings_of(grid, guesses=[find(grid, CAT, 0.08), find(grid, cup, 0.03)]))
    assert [tag.split() for tag in page.texts(".tag")] == [["cat", "8.0%?"], ["cup", "3.0%?"]]
    assert page.texts("#detection-count") == ["No detections; boxes of the best 2 guesses"]
    assert page.texts("#class-list .detected") == []
    page.page.get_by_role("button", name="Next guess").click()
    assert page.texts("#which") == ["1 / 2"]
    assert page.texts("#class-list label:has(:checked) .name") == ["cat"]
    dashes = "(boxes) => boxes.map((box) => getComputedStyle(box).outlineStyle)"
    assert page.page.locator(".box").evaluate_all(dashes) == ["dashed"] * 2
