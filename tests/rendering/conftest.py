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
from tests.support.browser import GREY, Opened, Tabs, start
from tests.support.pages import PHOTO_HW, findings_of, make_grid


@pytest.fixture(scope="package")
def tabs() -> Iterator[Tabs]:
    """Of one browser; without it tests are skipped, unless HEATMAP_BROWSER says "required"."""
    try:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = start(playwright)
            yield Tabs(browser)
            browser.close()
    except (ImportError, FileNotFoundError) as error:
        if os.environ.get("HEATMAP_BROWSER") == "required":
            raise
        pytest.skip(str(error))


@pytest.fixture
def opened(tabs, tmp_path):
    """Makes a page and opens it: of findings, or of all maps of a grid and the grid."""

    def open_page(findings=None, grid=None, *, photo=None, spoil=None, **options):
        if findings is None:
            grid = grid or make_grid()
            findings = findings_of(grid)
        photo = photo or Photo(np.full((*PHOTO_HW, 3), GREY, np.uint8))
        files = page_files(photo, findings, grid, stem="page")
        write_all({tmp_path / f"page{suffix}": write for suffix, write in files.items()})
        if spoil:
            spoil(tmp_path)
        opened = Opened.at((tmp_path / "page.html").as_uri(), tabs, **options)
        opened.page.wait_for_selector('#stage[aria-busy="false"]')
        opened.settle()
        return opened

    return open_page


@pytest.fixture
def shown_file(tabs):
    """Opens a page at a width, and checks that it asks for nothing and complains of nothing."""
    pages = []

    def show(path: Path, width: int = 1280, scheme: str = "light"):
        size = {"width": width, "height": 900}
        pages.append(Opened.at(path.as_uri(), tabs, viewport=size, color_scheme=scheme))
        return pages[-1].page

    yield show
    for page in pages:
        assert page.complaints == page.dialogs == []
        assert all(url.startswith(("file:", "data:")) for url in page.requests)
