"""The page in a real browser under mouse, keys, fingers, and on a phone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.browser import PHONE, Opened, some_findings
from tests.support.pages import CAT, find, findings_of, make_grid


def test_keys_zoom_move_and_fit(opened):
    page = opened()
    fitting = page.box("#frame")
    page.press("+")
    larger = page.box("#frame")
    assert (larger[2] - larger[0]) / (fitting[2] - fitting[0]) == pytest.approx(1.3, rel=1e-3)
    page.press("ArrowLeft")
    assert page.box("#frame")[0] > larger[0] + 50
    page.press("ArrowUp")
    assert page.box("#frame")[1] > larger[1] + 50
    page.press("0")
    np.testing.assert_allclose(page.box("#frame"), fitting)
    page.press("-")
    assert page.box("#frame")[2] < fitting[2]


@pytest.mark.slow
def test_keys_of_a_control_are_left_to_it(opened):
    page = opened()
    before = page.box("#frame")
    page.page.get_by_role("slider", name="Opacity").focus()
    page.press("ArrowRight")
    assert page.texts("#opacity-value") == ["71%"]
    np.testing.assert_allclose(page.box("#frame"), before)
    page.page.get_by_role("searchbox").focus()
    page.page.keyboard.type("0+-")
    assert page.page.get_by_role("searchbox").input_value() == "0+-"
    np.testing.assert_allclose(page.box("#frame"), before)


def test_wheel_zooms_around_the_pointer(opened):
    page = opened()
    page.point(100, 80)
    under = np.array(page.place(100, 80))
    before = page.box("#frame")
    page.page.mouse.wheel(0, -400)
    np.testing.assert_allclose(page.place(100, 80), under, atol=0.5)
    assert page.box("#frame")[2] - page.box("#frame")[0] > 1.5 * (before[2] - before[0])


def test_drag_moves_the_picture_and_pins_nothing(opened):
    page = opened()
    before = page.box("#frame")
    page.page.mouse.move(400, 400)
    page.page.mouse.down()
    page.page.mouse.move(430, 380, steps=4)
    page.page.mouse.move(460, 350, steps=4)
    page.page.mouse.up()
    np.testing.assert_allclose(page.box("#frame") - before, [60, -50, 60, -50], atol=0.5)
    assert page.page.locator("#tip.pinned").count() == 0


@pytest.mark.slow
def test_two_fingers_zoom_one_moves_and_a_tap_pins(opened):
    page = opened(viewport=PHONE, has_touch=True, is_mobile=True)
    before = page.box("#frame")
    session = page.page.context.new_cdp_session(page.page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        places = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": places})
        page.settle()

    touch("Start", (130, 200), (230, 200))
    for way in (10, 30, 50):
        touch("Move", (130 - way, 200), (230 + way, 200))
    touch("End")
    after = page.box("#frame")
    assert (after[2] - after[0]) / (before[2] - before[0]) == pytest.approx(2, abs=0.05)
    # What lay between the fingers still does.
    assert after[0] - 180 == pytest.approx(2 * (before[0] - 180), abs=2)
    assert not page.page.locator("#tip").is_visible()
    touch("Start", (180, 200))
    for way in (10, 20, 30):
        touch("Move", (180 + way, 200))
    touch("End")
    assert page.box("#frame")[0] - after[0] == pytest.approx(30, abs=1)
    page.page.touchscreen.tap(350, 300)
    tip, stage = page.box("#tip"), page.box("#stage")
    assert (tip[:2] >= stage[:2]).all()
    assert (tip[2:] <= stage[2:]).all()
    assert page.texts("#tip.pinned h2")[0].startswith("Window at ")


def test_phone_shows_picture_and_controls_without_scrolling_sideways(opened):
    grid = make_grid()
    page = opened(some_findings(grid), grid, viewport=PHONE, has_touch=True, is_mobile=True)
    widest = page.page.evaluate(
        "() => Math.max(...[...document.querySelectorAll('body *')]"
        ".filter((one) => !one.closest('.stage'))"
        ".map((one) => one.getBoundingClientRect().right))"
    )
    assert widest <= PHONE["width"]
    assert page.page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    frame = page.box("#frame")
    assert frame[2] - frame[0] > 0.9 * PHONE["width"]
    panel = page.box(".panel")
    assert panel[1] == page.box("#stage")[3]
    assert panel[3] == PHONE["height"]


@pytest.mark.slow
def test_no_name_covers_another_or_the_buttons_or_leaves_the_stage_on_a_phone(opened):
    grid = make_grid()
    found = [find(grid, grid.classes.single(0), 0.9 - 0.1 * rank) for rank in range(4)]
    at_the_edge = replace(found[0], confidence=0.4, xyxy=(400.0, 10.0, 420.0, 20.0))
    under_the_buttons = replace(found[0], confidence=0.3, xyxy=(121.0, 231.0, 160.0, 260.0))
    in_the_middle = replace(found[0], confidence=0.2, xyxy=(200.0, 140.0, 220.0, 160.0))
    findings = findings_of(grid, [*found, at_the_edge, under_the_buttons, in_the_middle])
    page = opened(findings, viewport=PHONE, has_touch=True, is_mobile=True)
    check_names(page)
    # There is room for three at one box; what has none is named when it is selected.
    told = [name.split()[1] for name in page.texts(".tag:visible")]
    assert told == ["90%", "80%", "70%", "40%", "30%", "20%"]
    page.page.locator("#found-list label").nth(3).tap()
    page.press("0")
    assert page.texts(".selected .tag:visible")[0].split() == ["tabby", "60%"]
    for _ in range(3):
        page.press("+")
    assert overlap(page.box(".box:nth-last-child(2)"), page.box("#tools"))
    check_names(page)


def check_names(page: Opened) -> None:
    page.settle()
    areas, stage = list(map(page.area, page.page.locator(".tag:visible").all())), page.box("#stage")
    areas = [area for area in areas if overlap(area, stage)]
    assert areas
    for rank, area in enumerate(areas):
        assert (area[:2] >= stage[:2] - 0.1).all()
        assert (area[2:] <= stage[2:] + 0.1).all()
        for other in (*areas[:rank], page.box("#tools")):
            assert not overlap(area, other)


def overlap(area, other) -> bool:
    """Whether two areas share more than an edge."""
    return bool((area[:2] < other[2:] - 0.1).all() and (other[:2] < area[2:] - 0.1).all())


def test_every_control_has_a_name_and_shows_its_focus(opened):
    grid = make_grid()
    page = opened(some_findings(grid, [CAT, *grid.winners(7)]), grid)
    page.page.locator("body").press("Tab")
    seen = []
    for _ in range(20):
        seen.append(
            page.page.evaluate(
                """() => {
                    const active = document.activeElement;
                    const shown = active.type === "radio" ? active.parentElement : active;
                    const { outlineStyle, outlineWidth } = getComputedStyle(shown);
                    const width = outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
                    return [active.id || active.className || active.name || active.tagName, width];
                }"""
            )
        )
        page.press("Tab")
    reached = {name for name, _ in seen}
    assert reached >= {"stage", "zoom-in", "theme", "show-boxes", "found", "confidence"}
    assert reached >= {"opacity", "threshold", "search", "class"}
    assert min(width for name, width in seen if name != "BODY") >= 2, seen
    unnamed = page.page.evaluate(
        """() => [...document.querySelectorAll("button, input")]
            .filter((one) => !(one.ariaLabel || one.labels?.length || one.textContent.trim()))
            .map((one) => one.id)"""
    )
    assert unnamed == []


@pytest.mark.slow
def test_boxes_and_choices_stay_visible_in_high_contrast(opened):
    page = opened(some_findings(make_grid()), forced_colors="active")
    page.press("2")

    def style(selector: str, name: str) -> str:
        return page.page.locator(selector).evaluate(f"(one) => getComputedStyle(one).{name}")

    # Forced colours drop shadows and backgrounds, and are chosen for a canvas, not for a photo.
    for box in (".box.selected", ".box.other"):
        assert style(box, "boxShadow") != "none"
    assert style(".box.other .tag", "backgroundColor") == "rgb(0, 0, 0)"
    assert style("#found-list label:has(:checked)", "outlineStyle") == "solid"
    page.page.emulate_media(forced_colors="none")
    usual = style("#settings", "color"), style(".box.other", "boxShadow")
    page.page.emulate_media(contrast="more")
    assert style("#settings", "color") == style("#title", "color") != usual[0]
    assert style(".box.other", "boxShadow") != usual[1]
