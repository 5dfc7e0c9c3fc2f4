"""The page in a real browser: what it shows, fetches and paints."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
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
from tests.support.browser import (
    GREY,
    HOSTILE,
    Opened,
    highest,
    hottest,
    points,
    some_detections,
)
from tests.support.pages import PHOTO_HW, find, make_grid
from tests.support.waiting import wait_until


def test_page_opens_from_disk_quietly_and_fetches_nothing(opened):
    grid = make_grid()
    page = opened(grid=grid, detections=some_detections(grid))
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


@pytest.mark.parametrize("scale", [1.0, 0.55])
def test_colours_are_those_that_heatmap_draws(opened, scale):
    grid = make_grid(scale=scale)
    page = opened(grid=grid)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, grid, highest(grid), color_range=(0, 1), legend=False).astype(int)
    expected = np.array([drawn[y, x] for x, y in points()])
    # A pixel of the screen lies at most half of one beside the photo's, and canvases round.
    assert np.abs(page.colours_at(points()) - expected).max() <= 8
    assert len(np.unique(expected, axis=0)) > 10


def test_opacity_of_zero_shows_the_bare_photo(opened):
    grid = make_grid()
    page = opened(grid=grid)
    x, y = hottest(grid, highest(grid))
    assert np.abs(page.colour(x, y) - GREY).max() > 40
    page.slide("Opacity", 0)
    assert page.colour(x, y).tolist() == [GREY] * 3
    page.slide("Opacity", 100)
    full = page.colour(x, y)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    options = {"opacity": 1, "color_range": (0, 1), "legend": False}
    drawn = overlay(grey, grid, highest(grid), **options)[int(y), int(x)]
    assert np.abs(full - drawn).max() <= 8


def test_threshold_hides_what_lies_below(opened):
    grid = make_grid()
    page = opened(grid=grid)
    heat = grid.heatmap(highest(grid))
    page.slide("Show above", 50)
    sides = set()
    for (x, y), colour in zip(points(30), page.colours_at(points(30)), strict=True):
        bare = colour.tolist() == [GREY] * 3
        if abs(heat[y, x] - 0.5) > 0.03:
            assert bare == (heat[y, x] < 0.5), (x, y, heat[y, x])
            sides.add(bare)
    assert sides == {True, False}


def test_threshold_of_one_hides_all(opened):
    grid = make_grid()
    certain = replace(grid, scores=grid.scores * 20)
    assert certain.probabilities().max() == 1
    page = opened(grid=certain)
    x, y = hottest(certain, highest(certain))
    page.slide("Show above", 99)
    assert np.abs(page.colour(x, y) - GREY).max() > 40
    page.slide("Show above", 100)
    assert page.colour(x, y).tolist() == [GREY] * 3


def test_hostile_name_shows_as_text(opened):
    grid = make_grid()
    photo = Photo(np.full((*PHOTO_HW, 3), GREY, np.uint8), HOSTILE)
    page = opened(photo, grid, [find(grid, grid.classes.single(4))])
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
    dark = opened(color_scheme="dark")
    assert brightness(dark) < 60
    dark.page.get_by_role("button", name="Dark colours", pressed=True).click()
    assert brightness(dark) > 200
    light = opened(color_scheme="light")
    assert brightness(light) > 200
    light.page.get_by_role("button", name="Dark colours", pressed=False).click()
    assert brightness(light) < 60


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
    assert page.texts("#window-note") == ["Row 2, column 2: not scored"]
    assert page.texts("#strongest li") == []


def test_large_photo_loads_its_tiles_from_their_folder(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(viewing, "PAGE_PREVIEW_PX", 64)
    photo, pixels = large_photo(tmp_path)
    page = opened(photo, detections=())
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
    page = opened(photo, spoil=lambda folder: shutil.rmtree(folder / "page.tiles"))
    page.page.wait_for_selector("#notice:visible")
    assert page.texts("#notice") == [
        "Tiles of the photo are missing: keep their folder beside this page."
    ]
    page.slide("Opacity", 0)
    assert np.abs(page.colour(210, 150) - pixels[130:170, 190:230].mean(axis=(0, 1))).max() < 60
