"""The page in a real browser: chromium, headless, from file://; what tests see and do of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

import cv2
import numpy as np

from tests.support.pages import CAT, PHOTO_HW, find, findings_of

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
GREY = 128
HOSTILE = "<img src=x onerror=alert(1)>.png"
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 844}


def start(playwright):
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("chromium is missing: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)


class Tabs:
    """One tab a kind of screen serves all tests: to take over a page costs a quarter of a new tab.

    A page that is opened replaces the one before it, and what was set of the tab.
    """

    def __init__(self, browser) -> None:
        self.browser = browser
        self.tabs: dict[tuple, object] = {}
        self.handlers: list[tuple] = []

    def open(
        self, url, handlers, viewport=DESKTOP, color_scheme="light", forced_colors="none", **kind
    ):
        """The page at ``url``, with a function for each event that is listened to."""
        for page, event, handler in self.handlers:
            page.remove_listener(event, handler)
        key = tuple(sorted(kind.items()))
        if key not in self.tabs:
            # file:// needs no network.
            context = self.browser.new_context(viewport=viewport, offline=True, **kind)
            self.tabs[key] = context.new_page()
        page = self.tabs[key]
        page.goto("about:blank")
        page.mouse.move(0, 0)
        page.set_viewport_size(viewport)
        page.emulate_media(
            color_scheme=color_scheme, forced_colors=forced_colors, contrast="no-preference"
        )
        self.handlers = [(page, event, handler) for event, handler in handlers.items()]
        for _, event, handler in self.handlers:
            page.on(event, handler)
        page.goto(url)
        return page


@dataclass
class Opened:
    """A page that was opened, and what happened since."""

    page: object = None
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, url: str, tabs: Tabs, **options) -> Opened:
        opened = cls()
        handlers = {
            "request": lambda request: opened.requests.append(request.url),
            "console": lambda message: opened.complaints.append(message.text),
            "pageerror": lambda error: opened.complaints.append(str(error)),
            "dialog": lambda box: (opened.dialogs.append(box.message), box.dismiss()),
        }
        opened.page = tabs.open(url, handlers, **options)
        return opened

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.page.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r)))")

    def box(self, selector: str) -> np.ndarray:
        """Where an element lies on the screen: left, top, right, bottom."""
        self.settle()
        return self.area(self.page.locator(selector))

    def area(self, element) -> np.ndarray:
        side = element.bounding_box()
        left, top = side["x"], side["y"]
        return np.array([left, top, left + side["width"], top + side["height"]])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A photo point on the screen."""
        return self.places([(x, y)])[0]

    def places(self, photo_points) -> list[tuple[float, float]]:
        """Photo points on the screen."""
        left, top, right, bottom = self.box("#frame")
        height, width = PHOTO_HW
        across, down = (right - left) / width, (bottom - top) / height
        return [(left + x * across, top + y * down) for x, y in photo_points]

    def colours_at(self, pixels) -> np.ndarray:
        """Of the screen at the middle of photo pixels (x, y): (n, 3)."""
        screen = self.pixels().astype(int)
        places = self.places([(x + 0.5, y + 0.5) for x, y in pixels])
        return np.array([screen[int(row), int(column)] for column, row in places])

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

    def slide(self, name: str, value: float) -> None:
        self.page.get_by_role("slider", name=name).fill(str(value))
        self.settle()

    def texts(self, selector: str) -> list[str]:
        self.settle()
        return self.page.locator(selector).all_inner_texts()


def some_findings(grid, groups=()):
    cup = grid.classes.find("cup")
    return findings_of(grid, [find(grid, CAT, 0.9), find(grid, cup, 0.6)], groups)


def points(step: int = 70) -> list[tuple[int, int]]:
    """Photo points all over it, its corners among them."""
    height, width = PHOTO_HW
    return [(x, y) for y in (*range(2, height, step), height - 3) for x in range(2, width, step)]


def hottest(grid, wanted) -> tuple[float, float]:
    """The centre of the window that is most confident of a class."""
    return grid.geometry.centre_xy(
        *np.unravel_index(grid.class_map(wanted).argmax(), grid.geometry.grid_hw)
    )
