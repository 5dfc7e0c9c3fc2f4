"""The page in a real browser: what it shows, fetches and paints."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile

from heatmap.photo.photo import Photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.rendering import page as viewing
from heatmap.rendering.overlay import overlay
from heatmap.rendering.paint import ALPHA, blend, colour_table
from tests.support.browser import (
    GREY,
    HOSTILE,
    Opened,
    hottest,
    points,
    some_findings,
)
from tests.support.pages import PHOTO_HW, find, findings_of, make_grid, peaking
from tests.support.waiting import wait_until


def test_page_opens_from_disk_quietly_and_fetches_nothing(opened):
    grid = make_grid()
    page = opened(some_findings(grid), grid)
    assert page.page.url.startswith("file://")
    page.point(100, 100)
    page.press("+")
    assert page.complaints == []
    assert {url.split(":")[0] for url in page.requests} <= {"file", "data"}
    assert [url for url in page.requests if url.startswith("file:")] == [page.page.url]


def test_policy_stops_what_is_not_of_the_page(opened):
    page = opened()
    page.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'run'";
            document.body.append(script);
        }"""
    )
    assert page.page.title() == "photo"
    assert any("Content Security Policy" in text for text in page.complaints)


@pytest.mark.parametrize(
    ("grid", "sharp"), [(make_grid(scale=0.55), False), (peaking(0.15), True)], ids=["high", "low"]
)
def test_colours_are_those_that_heatmap_draws(opened, grid, sharp):
    findings = findings_of(grid, sharp=sharp)
    page = opened(findings, grid)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, findings.maps, findings.maps.classes.single(0), legend=False).astype(int)
    expected = np.array([drawn[y, x] for x, y in points()])
    # A pixel of the screen lies at most half of one beside the photo's, and canvases round.
    assert np.abs(page.colours_at(points()) - expected).max() <= 8
    assert len(np.unique(expected, axis=0)) > 10


@pytest.mark.parametrize(
    ("peak", "level", "below", "end"),
    [(0.15, 191, 14.6, 20), pytest.param(1, 255, 98, 100, marks=pytest.mark.slow)],
)
def test_colours_and_threshold_end_where_the_legend_does(opened, peak, level, below, end):
    findings = findings_of(peaking(peak))
    page = opened(findings)
    x, y = hottest(findings.maps, findings.maps.classes.single(0))
    full = blend(np.full(3, GREY, np.uint8), colour_table(ALPHA)[level])
    assert np.abs(page.colour(x, y) - full).max() <= 4
    ticks = [f"{end * share:g}" for share in (0, 0.25, 0.5, 0.75, 1)]
    assert page.texts("#ticks span") == [*ticks[:-1], f"{end}%"]
    assert page.page.get_by_role("img", name=f"from probability 0 on the left to {end}% ").count()
    page.slide("Heat above", below)
    assert page.texts("#threshold-value") == [f"{below}%"]
    assert np.abs(page.colour(x, y) - GREY).max() > 40
    page.slide("Heat above", end)
    assert page.colour(x, y).tolist() == [GREY] * 3
    assert page.page.locator("#threshold").get_attribute("max") == f"{end}"


def test_opacity_of_zero_shows_the_bare_photo(opened):
    maps = findings_of(make_grid()).maps
    page = opened()
    x, y = hottest(maps, maps.classes.single(0))
    assert np.abs(page.colour(x, y) - GREY).max() > 40
    page.slide("Opacity", 0)
    assert page.colour(x, y).tolist() == [GREY] * 3
    page.slide("Opacity", 100)
    full = page.colour(x, y)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, maps, maps.classes.single(0), alpha=1, legend=False)[int(y), int(x)]
    assert np.abs(full - drawn).max() <= 8


def test_threshold_hides_what_lies_below(opened):
    findings = findings_of(peaking(0.15))
    page = opened(findings)
    heat, least = findings.maps.heatmap(findings.maps.classes.single(0)), 0.07
    page.slide("Heat above", 7)
    sides = set()
    for (x, y), colour in zip(points(30), page.colours_at(points(30)), strict=True):
        bare = colour.tolist() == [GREY] * 3
        if abs(heat[y, x] - least) > 0.06 * least:
            assert bare == (heat[y, x] < least), (x, y, heat[y, x])
            sides.add(bare)
    assert sides == {True, False}


def test_hostile_name_shows_as_text(opened):
    grid = make_grid()
    photo = Photo(np.full((*PHOTO_HW, 3), GREY, np.uint8), HOSTILE)
    found = [find(grid, grid.classes.single(4))]
    page = opened(findings_of(grid, found), grid, photo=photo)
    assert page.texts("h1") == [HOSTILE]
    assert page.page.title() == HOSTILE
    assert page.texts(".tag .name") == ["<b>bold</b>"]
    page.page.get_by_text("About this result").click()
    assert HOSTILE in page.texts("#about dd")
    assert page.page.locator("img, b").count() == 0
    assert page.dialogs == []
    assert page.complaints == []


def brightness(page: Opened) -> float:
    """Of the panel's background."""
    colour = page.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return np.mean([int(number) for number in re.findall(r"\d+", colour)[:3]])


def test_colours_follow_the_system_and_the_switch(opened):
    page = opened(color_scheme="dark")
    assert brightness(page) < 60
    page.page.get_by_role("button", name="Dark colours", pressed=True).click()
    assert brightness(page) > 200
    page.page.get_by_role("button", name="Dark colours", pressed=False).click()
    assert brightness(page) < 60
    page.page.emulate_media(color_scheme="light")
    page.page.wait_for_selector('html[data-theme="light"]')
    assert brightness(page) > 200
    page.page.get_by_role("button", name="Dark colours", pressed=False).click()
    assert brightness(page) < 60


def test_windows_that_were_not_scored_are_hatched(opened):
    grid = make_grid(missing=(slice(0, 5), slice(0, 6)))
    page = opened(grid=grid)
    x, y = grid.geometry.centre_xy(2, 2)
    assert page.texts("#unscored") == [f"Not scored: 30 of {grid.scored.size} windows"]
    pixels = page.pixels()
    column, row = page.place(x, y)
    patch = pixels[int(row) - 8 : int(row) + 8, int(column) - 8 : int(column) + 8].reshape(-1, 3)
    stripes = {round(GREY * 40 / 255 + stripe * 215 / 255) for stripe in (80, 50)}
    assert {value for colour in np.unique(patch, axis=0) for value in colour} <= {
        stripe + off for stripe in stripes for off in (-2, -1, 0, 1, 2)
    }
    assert len(np.unique(patch, axis=0)) == 2
    page.point(x, y)
    assert page.texts("#place-note") == ["Row 2, column 2: not scored"]
    assert page.texts("#strongest li") == []


def test_large_photo_loads_its_tiles_from_their_folder(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(viewing, "PAGE_PREVIEW_PX", 64)
    photo, pixels = large_photo(tmp_path)
    page = opened(photo=photo)
    page.page.wait_for_load_state("networkidle")
    tiles = [url for url in page.requests if "page.tiles/" in url]
    assert tiles
    assert page.complaints == []
    page.slide("Opacity", 0)
    expected = np.array([pixels[y, x] for x, y in points(40)], dtype=int)

    def distance() -> float:
        return np.abs(page.colours_at(points(40)) - expected).mean()

    wait_until(lambda: distance() < 8)
    assert distance() < 8


def large_photo(folder: Path) -> tuple[PhotoFile, np.ndarray]:
    pixels = cv2.resize(skimage.data.chelsea(), PHOTO_HW[::-1], interpolation=cv2.INTER_AREA)
    tifffile.imwrite(folder / "photo.tif", pixels, tile=(128, 128), photometric="rgb")
    return PhotoFile(folder / "photo.tif"), pixels


def test_large_photo_without_its_tiles_shows_a_preview_and_says_so(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(viewing, "PAGE_PREVIEW_PX", 64)
    photo, pixels = large_photo(tmp_path)
    page = opened(photo=photo, spoil=lambda folder: shutil.rmtree(folder / "page.tiles"))
    page.page.wait_for_selector("#notice:visible")
    assert page.texts("#notice") == [
        "Tiles of the photo are missing: keep their folder beside this page."
    ]
    page.slide("Opacity", 0)
    assert np.abs(page.colour(210, 150) - pixels[130:170, 190:230].mean(axis=(0, 1))).max() < 60
