"""What the tests of pages share: a browser, and pages opened in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from heatmap.files import write_all
from heatmap.photo.photo import Photo
from heatmap.rendering.page import page_files
from tests.support.browser import DESKTOP, GREY, Opened, start
from tests.support.pages import PHOTO_HW, findings_of, make_grid


@pytest.fixture(scope="package")
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


@pytest.fixture
def opened(browser, tmp_path):
    """Makes a page and opens it: of findings, or of all maps of a grid and the grid."""
    contexts = []

    def open_page(findings=None, grid=None, *, photo=None, spoil=None, viewport=DESKTOP, **options):
        if findings is None:
            grid = grid or make_grid()
            findings = findings_of(grid)
        photo = photo or Photo(np.full((*PHOTO_HW, 3), GREY, np.uint8))
        files = page_files(photo, findings, grid, stem="page")
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


@pytest.fixture
def shown_file(browser):
    """Opens a page at a width, and checks that it asks for nothing and complains of nothing."""
    pages, asked, complaints = [], [], []

    def show(path: Path, width: int = 1280, scheme: str = "light"):
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda box: (complaints.append(box.message), box.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield show
    for page in pages:
        page.context.close()
    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
