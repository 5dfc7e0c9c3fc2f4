"""The page in a real browser: what it says of places, classes and detections."""

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


@pytest.mark.parametrize("scale", [pytest.param(1.0, marks=pytest.mark.slow), 0.7])
def test_hover_names_the_strongest_classes_and_outlines_the_window(opened, scale):
    grid = make_grid(scale=scale)
    # The maps may have other cells than the windows.
    page = opened(findings_of(make_grid(), sharp=True), grid)
    assert not page.page.locator("#tip").is_visible()
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
    assert not page.page.locator("#tip").is_visible()


def check_hover(page: Opened, grid, cell) -> None:
    x, y = grid.geometry.centre_xy(*cell)
    height, width = PHOTO_HW
    x, y = min(max(x, 1), width - 1), min(max(y, 1), height - 1)
    page.point(x, y)
    told = re.fullmatch(r"Window at (\d+), (\d+)", page.texts("#place-heading")[0])
    np.testing.assert_allclose([int(each) for each in told.groups()], [x, y], atol=1.01)
    expected = np.argsort(-grid.probabilities()[cell])[:5]
    names = [re.sub(r" \(\d\)$", "", name) for name in page.texts("#strongest .name")]
    assert names == [grid.classes.names[index] for index in expected]
    best = grid.probabilities()[cell].max() * 100
    assert float(page.texts("#strongest .value")[0].rstrip("%")) == pytest.approx(best, abs=0.51)
    assert page.texts("#place-note") == [f"Row {cell[0]}, column {cell[1]}"]
    window = page.on_screen(grid.geometry.window_xyxy(*cell))
    np.testing.assert_allclose(page.box("#outline"), window, atol=0.6)


def test_without_a_grid_hover_says_what_the_maps_say(opened):
    findings = findings_of(make_grid(), sharp=True)
    maps = findings.maps
    page = opened(findings)
    rows, columns = maps.geometry.grid_hw
    for cell in [(3, 3), (rows // 3, columns // 2)]:
        page.point(*maps.geometry.centre_xy(*cell))
        order = np.argsort(-maps.scores[cell], kind="stable")[:5]
        names = [re.sub(r" \(\d\)$", "", name) for name in page.texts("#strongest .name")]
        assert names == [maps.classes.names[index] for index in order]
        told = [float(text.strip("<%")) / 100 for text in page.texts("#strongest .value")]
        np.testing.assert_allclose(told, maps.scores[cell][order], atol=0.0051)
        assert page.texts("#place-note") == [f"Row {cell[0]}, column {cell[1]}"]
        window = page.on_screen(maps.geometry.window_xyxy(*cell))
        np.testing.assert_allclose(page.box("#outline"), window, atol=0.6)
    page.click(100, 100)
    assert page.texts("#tip.pinned h2")[0].startswith("Place at ")


def test_between_cells_the_nearest_is_named(opened):
    grid = make_grid()
    page = opened(grid=grid)
    for x, y in [(200.0, 100.0), (203.0, 100.0), (211.0, 107.0), (219.5, 93.0)]:
        page.point(x, y)
        row, column = (int(np.floor(cell + 0.5)) for cell in grid.geometry.cell_at(x, y))
        assert page.texts("#place-note") == [f"Row {row}, column {column}"]


def test_click_pins_and_escape_unpins(opened):
    page = opened()
    page.click(100, 100)
    pinned, names = page.box("#outline"), page.texts("#strongest .name")
    page.point(300, 200)
    np.testing.assert_allclose(page.box("#outline"), pinned)
    assert page.texts("#strongest .name") == names
    assert page.page.locator("#tip.pinned").is_visible()
    page.press("Escape")
    assert page.page.locator("#tip.pinned").count() == 0
    assert np.abs(page.box("#outline") - pinned).max() > 20
    page.click(100, 100)
    page.page.get_by_role("button", name="Unpin").click()
    page.settle()
    assert page.page.locator("#tip.pinned").count() == 0


def test_window_is_pinned_and_moved_by_keys(opened):
    grid = make_grid()
    page = opened(grid=grid)
    page.page.locator("#stage").focus()
    page.press("Enter")
    row, column = (int(np.floor(cell + 0.5)) for cell in grid.geometry.cell_at(210, 150))
    assert page.texts("#place-note") == [f"Row {row}, column {column}"]
    page.press("Shift+ArrowRight")
    page.press("Shift+ArrowUp")
    assert page.texts("#place-note") == [f"Row {row - 1}, column {column + 1}"]


def test_search_filters_the_classes(opened):
    page = opened()
    every = page.texts("#class-list label:visible .name")
    assert len(every) == 8
    page.page.get_by_role("searchbox", name="Search classes").fill("CAT r")
    assert page.texts("#class-list label:visible .name") == ["tiger cat"]
    assert page.texts("#class-count") == ["1 of 8"]
    page.press("Escape")
    assert page.texts("#class-list label:visible .name") == every


def test_detected_classes_stand_first_and_the_chosen_one_is_shown(opened):
    grid = make_grid()
    moon = grid.classes.find("moon")
    findings = some_findings(grid, [CAT, grid.classes.find("cup"), moon])
    page = opened(findings, grid)
    assert page.texts("#class-list .name") == ["cat", "cup", "moon"]
    assert not page.page.get_by_role("searchbox").is_visible()
    assert page.texts("#class-list .detected:visible") == ["1 detection"] * 2
    assert page.texts("#class-list label:has(:checked) .name") == ["cat"]
    x, y = hottest(grid, "moon")
    before = page.colour(x, y)
    page.page.locator("#class-list").get_by_role("radio", name="moon").check(force=True)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, findings.maps, "moon", color_range=(0, 1), legend=False)[int(y), int(x)]
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
    # The tooltip gives px of the whole photo, as the files do.
    page.point(100.5, 50.5)
    at = [int(each) for each in re.findall(r"\d+", page.texts("#place-heading")[0])]
    np.testing.assert_allclose(at, [REGION.left + 100, REGION.top + 50], atol=1)
    page.page.get_by_role("checkbox", name="Boxes").uncheck()
    assert not page.page.locator(".box").first.is_visible()


def test_boxes_rows_and_numbers_select_each_other(opened):
    findings = some_findings(make_grid())
    first, second = findings.detections
    page = opened(findings)
    fitting = page.box("#frame")
    page.page.get_by_role("button", name="cup 60%").click()
    check_selected(page, second, "2 cup 60%")
    page.press("1")
    check_selected(page, first, "1 cat 90%")
    page.press("0")
    np.testing.assert_allclose(page.box("#frame"), fitting)
    # What is selected already is gone to again, and keys work from its row.
    for _ in range(2):
        page.page.locator("#found-list").get_by_text("cup").click()
        check_selected(page, second, "2 cup 60%")
        page.press("0")
    page.press("3")
    assert page.page.locator(".box.selected").count() == 1
    page.press("Escape")
    assert page.page.locator(".box.selected, #found-list :checked").count() == 0


def check_selected(page: Opened, one, row: str) -> None:
    assert [text.split() for text in page.texts("#found-list label:has(:checked)")] == [row.split()]
    assert page.texts("#class-list label:has(:checked) .name") == [one.name]
    box, stage = page.box(".box.selected"), page.box("#stage")
    assert ((box[:2] + box[2:]) / 2).tolist() == pytest.approx(
        ((stage[:2] + stage[2:]) / 2).tolist(), abs=1
    )
    share = (box[2:] - box[:2]) / (stage[2:] - stage[:2])
    assert share.max() == pytest.approx(0.6, abs=0.01)
    np.testing.assert_allclose(box, page.on_screen(one.xyxy), atol=0.6)


def test_confidence_hides_boxes_rows_and_counts(opened):
    grid = make_grid()
    cup = grid.classes.find("cup")
    found = [find(grid, CAT, 0.9), find(grid, cup, 0.6), find(grid, CAT, 0.4)]
    page = opened(findings_of(grid, found))
    page.press("2")
    page.slide("Confidence above", 60)
    assert page.texts("#found-list label:visible .name") == ["cat", "cup"]
    assert page.texts("#found-count") == ["2 of 3"]
    assert page.page.locator(".box:visible").count() == 2
    assert page.texts("#class-list .detected") == ["1 detection", "1 detection"]
    assert page.page.locator(".box.selected").count() == 1
    page.slide("Confidence above", 61)
    assert [tag.split() for tag in page.texts(".tag:visible")] == [["cat", "90%"]]
    assert page.texts("#class-list .detected:visible") == ["1 detection"]
    # What is hidden is selected no more, and no number selects it.
    page.press("2")
    assert page.page.locator(".box.selected").count() == 0
    page.slide("Confidence above", 0)
    assert page.texts("#found-count") == ["3"]
    assert page.texts("#class-list .detected") == ["2 detections", "1 detection"]


def test_no_detections_are_said_and_numbers_show_classes(opened):
    page = opened()
    assert page.texts("#found-heading") == ["No detections"]
    for control in ("slider", "checkbox"):
        assert page.page.get_by_role(control, name=re.compile("Confidence|Boxes")).count() == 0
    page.press("3")
    assert page.page.locator("#class-list input").nth(2).is_checked()


def test_guesses_are_said_to_be_guesses(opened):
    grid = make_grid()
    cup = grid.classes.find("cup")
    page = opened(findings_of(grid, guesses=[find(grid, CAT, 0.08), find(grid, cup, 0.03)]))
    assert [tag.split() for tag in page.texts(".tag")] == [["cat", "8.0%?"], ["cup", "3.0%?"]]
    assert page.texts("#found-heading") == ["No detections; guesses"]
    assert page.texts("#found-list .value") == ["8.0%?", "3.0%?"]
    assert page.texts("#class-list .detected:visible") == []
    page.press("1")
    assert page.texts("#class-list label:has(:checked) .name") == ["cat"]
    # The slider is as fine as they are unsure.
    page.slide("Confidence above", 3.1)
    assert page.texts("#found-list label:visible .name") == ["cat"]
    dashes = "(boxes) => boxes.map((box) => getComputedStyle(box).outlineStyle)"
    assert page.page.locator(".box").evaluate_all(dashes) == ["dashed"] * 2
