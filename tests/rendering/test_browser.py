"""The page of a photo in a real browser: Debian's chromium, headless, from file://."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile

from heatmap.files import write_all
from heatmap.photo.photo import Photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.rendering import page as viewing
from heatmap.rendering.overlay import overlay
from heatmap.rendering.page import page_files
from tests.support.pages import CAT, PHOTO_HW, find, make_grid

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
GREY = 128
HOSTILE = "<img src=x onerror=alert(1)>.png"
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 360, "height": 740}


def start(playwright):
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("chromium is missing: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """One for all tests; without it they are skipped, unless HEATMAP_BROWSER says "required"."""
    try:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = start(playwright)
            yield browser
            browser.close()
    except (ImportError, FileNotFoundError) as error:
        if os.environ.get("HEATMAP_BROWSER") == "required":
            raise
        pytest.skip(str(error))


@dataclass
class Opened:
    """A page that was opened, and what happened since."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.page.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")

    def box(self, selector: str) -> np.ndarray:
        """Where an element lies on the screen: left, top, right, bottom."""
        self.settle()
        found = self.page.locator(selector).bounding_box()
        return np.array(
            [found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]]
        )

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A photo point on the screen."""
        left, top, right, bottom = self.box("#frame")
        height, width = PHOTO_HW
        return left + x * (right - left) / width, top + y * (bottom - top) / height

    def on_screen(self, xyxy) -> np.ndarray:
        """A box in photo px on the screen."""
        return np.array([*self.place(*xyxy[:2]), *self.place(*xyxy[2:])])

    def point(self, x: float, y: float) -> None:
        self.page.mouse.move(*self.place(x, y))
        self.settle()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.place(x, y))
        self.settle()

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.settle()

    def pixels(self) -> np.ndarray:
        """The screen without boxes and outlines, RGB."""
        self.page.mouse.move(0, 0)
        self.settle()
        shot = self.page.screenshot(style="#frame { display: none !important; }")
        return cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]

    def colour(self, x: float, y: float) -> np.ndarray:
        """Of the screen at a photo point."""
        column, row = self.place(x, y)
        return self.pixels()[int(row), int(column)].astype(int)

    def slide(self, name: str, value: int) -> None:
        self.page.get_by_role("slider", name=name).fill(str(value))
        self.settle()

    def texts(self, selector: str) -> list[str]:
        self.settle()
        return self.page.locator(selector).all_inner_texts()


@pytest.fixture
def opened(browser, tmp_path):
    """Makes a page and opens it."""
    contexts = []

    def open_page(photo=None, grid=None, found=(), *, spoil=None, viewport=DESKTOP, **options):
        photo = photo or Photo(np.full((*PHOTO_HW, 3), GREY, np.uint8))
        files = page_files(photo, grid or make_grid(), found, stem="page")
        write_all({tmp_path / f"page{suffix}": write for suffix, write in files.items()})
        if spoil:
            spoil(tmp_path)
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("dialog", lambda box: (opened.dialogs.append(box.message), box.dismiss()))
        opened.page.goto((tmp_path / "page.html").as_uri())
        opened.page.wait_for_selector('#stage[aria-busy="false"]')
        opened.settle()
        return opened

    yield open_page
    for context in contexts:
        context.close()


def some_found(grid):
    cup = grid.classes.find("cup")
    return [find(grid, CAT, 0.9), find(grid, cup, 0.6)]


def points(step: int = 70) -> list[tuple[int, int]]:
    """Photo points all over it, its corners among them."""
    height, width = PHOTO_HW
    return [(x, y) for y in (*range(2, height, step), height - 3) for x in range(2, width, step)]


def test_page_opens_from_disk_quietly_and_fetches_nothing(opened):
    grid = make_grid()
    page = opened(grid=grid, found=some_found(grid))
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
    pixels = page.pixels()
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, grid, highest(grid), legend=False).astype(int)
    compared = []
    for x, y in points():
        column, row = page.place(x + 0.5, y + 0.5)
        difference = np.abs(pixels[int(row), int(column)].astype(int) - drawn[y, x]).max()
        compared.append((difference, drawn[y, x].tolist()))
    # A pixel of the screen lies at most half of one beside the photo's, and canvases round.
    assert max(difference for difference, _ in compared) <= 8
    assert len({tuple(colour) for _, colour in compared}) > 10


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
    drawn = overlay(grey, grid, highest(grid), opacity=1, legend=False)[int(y), int(x)]
    assert np.abs(full - drawn).max() <= 8


def highest(grid) -> int:
    """The class of the highest probability, which the page shows first."""
    return int(grid.probabilities().max(axis=(0, 1)).argmax())


def hottest(grid, wanted) -> tuple[float, float]:
    """The centre of the window that is surest of a class."""
    return grid.geometry.centre_xy(
        *np.unravel_index(grid.class_map(wanted).argmax(), grid.geometry.grid_hw)
    )


def test_threshold_hides_what_lies_below(opened):
    grid = make_grid()
    page = opened(grid=grid)
    heat = grid.heatmap(highest(grid))
    page.slide("Show above", 50)
    pixels = page.pixels()
    sides = set()
    for x, y in points(30):
        column, row = page.place(x + 0.5, y + 0.5)
        bare = pixels[int(row), int(column)].tolist() == [GREY] * 3
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


CELLS = [(0, 0), (3, 7), (9, 12), (15, 23)]


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_hover_names_the_strongest_classes_and_outlines_the_window(opened, scale):
    grid = make_grid(scale=scale)
    page = opened(grid=grid)
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
    page = opened(grid=grid, found=some_found(grid))
    assert page.texts("#class-list .name")[:2] == ["cat", "cup"]
    assert page.texts("#class-list .detected") == ["1 detection", "1 detection"]
    x, y = hottest(grid, "moon")
    before = page.colour(x, y)
    page.page.get_by_role("radio", name="moon").check(force=True)
    grey = np.full((*PHOTO_HW, 3), GREY, np.uint8)
    drawn = overlay(grey, grid, "moon", legend=False)[int(y), int(x)].astype(int)
    assert np.abs(page.colour(x, y) - drawn).max() <= 8
    assert np.abs(before - drawn).max() > 30


def test_class_is_chosen_from_a_pinned_window(opened):
    grid = make_grid()
    page = opened(grid=grid)
    page.click(*hottest(grid, "moon"))
    page.page.locator("#strongest").get_by_role("button", name="moon").click()
    assert page.texts("#class-list label:has(:checked) .name") == ["moon"]


def test_boxes_lie_on_their_objects_and_can_be_hidden(opened):
    grid = make_grid()
    found = some_found(grid)
    page = opened(grid=grid, found=found)
    assert [tag.split() for tag in page.texts(".tag")] == [["cat", "90%"], ["cup", "60%"]]
    for which, one in enumerate(found):
        box = page.box(f".box:nth-child({which + 1})")
        np.testing.assert_allclose(box, page.on_screen(one.xyxy), atol=0.6)
    page.page.get_by_role("checkbox", name="Boxes of 2 detections").uncheck()
    assert not page.page.locator(".box").first.is_visible()


def test_click_on_a_detection_goes_to_it(opened):
    grid = make_grid()
    found = some_found(grid)
    page = opened(grid=grid, found=found)
    page.page.get_by_role("button", name="cup 60%").click()
    check_selected(page, found[1], "cup")
    row, column = found[1].cell
    assert page.texts("#window-note") == [f"Row {row}, column {column}"]
    assert page.texts("#which") == ["2 / 2"]
    page.page.get_by_role("button", name="Next detection").click()
    check_selected(page, found[0], "cat")
    page.page.get_by_role("button", name="Previous detection").click()
    check_selected(page, found[1], "cup")


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


def test_keys_of_a_control_are_left_to_it(opened):
    page = opened()
    before = page.box("#frame")
    page.page.get_by_role("slider", name="Opacity").focus()
    page.press("ArrowRight")
    assert page.texts("#opacity-value") == ["71%"]
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
    assert page.texts("#window-heading") == ["Window under the pointer"]


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
    assert page.texts("#window-heading") == ["Window"]
    touch("Start", (180, 200))
    for way in (10, 20, 30):
        touch("Move", (180 + way, 200))
    touch("End")
    assert page.box("#frame")[0] - after[0] == pytest.approx(30, abs=1)
    page.page.touchscreen.tap(180, 200)
    assert page.texts("#window-heading") == ["Pinned window"]


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
    page = opened(photo, found=())
    page.page.wait_for_timeout(200)
    page.slide("Opacity", 0)
    tiles = [url for url in page.requests if "page.tiles/" in url]
    assert tiles
    assert page.complaints == []
    shot = page.pixels()
    compared = []
    for x, y in points(40):
        column, row = page.place(x + 0.5, y + 0.5)
        compared.append(np.abs(shot[int(row), int(column)].astype(int) - pixels[y, x]).mean())
    assert np.mean(compared) < 8


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


def test_phone_shows_picture_and_controls_without_scrolling_sideways(opened):
    grid = make_grid()
    page = opened(grid=grid, found=some_found(grid), viewport=PHONE, has_touch=True, is_mobile=True)
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


def test_every_control_has_a_name_and_shows_its_focus(opened):
    grid = make_grid()
    page = opened(grid=grid, found=some_found(grid))
    page.page.locator("body").press("Tab")
    seen = []
    for _ in range(20):
        seen.append(
            page.page.evaluate(
                """() => {
                    const active = document.activeElement;
                    const shown = active.name === "class" ? active.parentElement : active;
                    const { outlineStyle, outlineWidth } = getComputedStyle(shown);
                    const width = outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
                    return [active.id || active.className || active.name || active.tagName, width];
                }"""
            )
        )
        page.press("Tab")
    reached = {name for name, _ in seen}
    assert reached >= {"stage", "tag", "zoom-in", "theme", "opacity", "threshold", "show-boxes"}
    assert reached >= {"next", "search", "class"}
    assert min(width for name, width in seen if name != "BODY") >= 2, seen
    unnamed = page.page.evaluate(
        """() => [...document.querySelectorAll("button, input")]
            .filter((one) => !(one.ariaLabel || one.labels?.length || one.textContent.trim()))
            .map((one) => one.id)"""
    )
    assert unnamed == []
