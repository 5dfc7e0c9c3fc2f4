"""The address of the page in a real browser: a link restores what is shown."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.browser import DESKTOP, Opened, some_findings
from tests.support.pages import CAT, make_grid


def shown(page: Opened) -> dict:
    """What a reader of the page sees."""
    texts = {
        selector: page.texts(selector)
        for selector in (
            *(
                "#shown",
                "#place-heading:visible",
                "#place-note:visible",
                "#tip.pinned .name",
                "#found-count",
            ),
            *("#confidence-value", "#opacity-value", "#threshold-value"),
            *("#found-list label:has(:checked)", "#class-list label:has(:checked)"),
            *(".tag:visible", ".box.selected"),
        )
    }
    return {**texts, "frame": page.box("#frame").round(1).tolist()}


def follow(page: Opened, address: str) -> None:
    """Change what follows the # of the address, as a click on a link does."""
    page.page.evaluate("(address) => { location.hash = address; }", address)
    page.page.wait_for_timeout(50)
    page.settle()


def test_link_restores_the_view_on_loading_and_when_it_changes(opened, tabs):
    grid = make_grid()
    page = opened(some_findings(grid, [CAT, *grid.winners(3)]), grid)
    as_opened = shown(page)
    page.press("1")
    page.press("-")
    page.press("ArrowLeft")
    page.slide("Confidence above", 61)
    page.slide("Opacity", 40)
    page.slide("Heat above", 12)
    page.page.mouse.click(500, 500)
    before = shown(page)
    assert before["#tip.pinned .name"]
    assert all(before[name] != as_opened[name] for name in ("#opacity-value", ".tag:visible"))
    page.page.wait_for_function("() => location.hash.includes('row=')")
    address = page.page.evaluate("() => location.hash")

    other = Opened.at(page.page.url, tabs)
    other.page.wait_for_selector('#stage[aria-busy="false"]')
    same_but_for_pointing(shown(other), before)

    follow(other, "")
    assert shown(other) == as_opened
    follow(other, "class=nothing&box=99&zoom=x&x=&y=1&row=a&column=1&opacity=much&confidence=")
    assert shown(other) == as_opened
    follow(other, "boxes=off&box=2&row=-5&column=9999")
    assert other.texts("#found-list label:has(:checked) .name") == ["cup"]
    assert not other.page.locator(".tag").first.is_visible()
    assert other.texts("#place-note") == [f"Row 0, column {grid.geometry.grid_hw[1] - 1}"]
    follow(other, address)
    same_but_for_pointing(shown(other), before)
    assert other.complaints == []


def same_but_for_pointing(given: dict, expected: dict) -> None:
    """A link has the cell that is pinned, not the pixel of it; and four digits of the zoom."""
    for name in expected.keys() - {"#place-heading:visible", "frame"}:
        assert given[name] == expected[name], name
    np.testing.assert_allclose(given["frame"], expected["frame"], atol=0.5)


@pytest.mark.slow
def test_link_shows_the_same_part_of_the_photo_on_another_screen(opened):
    page = opened()
    page.press("+")
    page.press("+")
    page.page.wait_for_function("() => location.hash.includes('zoom=')")
    middle = middle_of(page)
    address = page.page.url
    page.page.set_viewport_size({"width": DESKTOP["width"] // 2, "height": DESKTOP["height"]})
    page.page.goto("about:blank")
    page.page.goto(address)
    page.page.wait_for_selector('#stage[aria-busy="false"]')
    np.testing.assert_allclose(middle_of(page), middle, atol=1)
    frame, stage = page.box("#frame"), page.box("#stage")
    assert (frame[2] - frame[0]) / (stage[2] - stage[0]) > 1.3


def middle_of(page: Opened) -> np.ndarray:
    """The photo point in the middle of the stage, as shares of the photo."""
    frame, stage = page.box("#frame"), page.box("#stage")
    middle = (stage[:2] + stage[2:]) / 2
    return (middle - frame[:2]) / (frame[2:] - frame[:2]) * 100
