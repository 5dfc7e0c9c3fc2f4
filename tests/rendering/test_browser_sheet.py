"""The contact sheet of a batch in a real browser: its filters, its order, and many photos."""

from __future__ import annotations

import os
import random
import re

import cv2
import numpy as np
import pytest

from heatmap.runs.manifest import Record, writing_manifest
from heatmap.runs.overview import write_overview
from tests.support.browser import DESKTOP, PHONE, Opened

WAYS = ({"parameter": "border", "value": "cover", "text": "use {}"},)
STEM = "x"
FILES = {f"{STEM}.thumbnail.jpg": "ab", f"{STEM}.heatmap.jpg": "cd"}


def boxes(*pairs) -> tuple:
    found = [{"class": name, "confidence": sure, "box_xyxy": [0, 0, 9, 9]} for name, sure in pairs]
    return tuple(sorted(found, key=lambda each: -each["confidence"]))


def record(name: str, *found, guesses=(), **more) -> Record:
    return Record(
        name, f"/in/{name}", "done", "d", detections=boxes(*found), guesses=boxes(*guesses), **more
    )


RECORDS = [
    record("a.jpg", ("cat", 0.4), ("cup", 0.9), notes=("of 16 bits", "cut")),
    record("b.jpg", ("cat", 0.8), ("cat", 0.35), ("red cup", 0.3)),
    record("sub/c.jpg"),
    Record("d.jpg", "/in/d.jpg", "failed", "d", "d.jpg: is too small", WAYS),
    record("e.jpg", guesses=[("cat", 0.12), ("dog", 0.05)]),
    Record("f.txt", "/in/f.txt", "skipped", "d", "not a photo by its name"),
]


def write(folder, records) -> str:
    with writing_manifest(folder) as manifest:
        manifest.records = {record.name: record for record in records}
        write_overview(folder, manifest, manifest.owner())
    return (folder / "index.html").as_uri()


@pytest.fixture
def open_sheet(tabs):
    """Opens a sheet; at the end nothing may have been complained of."""
    sheets = []

    def open_at(url, **options):
        sheets.append(Opened.at(url, tabs, **options))
        return sheets[-1]

    yield open_at
    assert [sheet.complaints for sheet in sheets] == [[] for _ in sheets]


@pytest.fixture
def sheet(open_sheet, tmp_path):
    return open_sheet(write(tmp_path, RECORDS)).page


def names(sheet) -> list[str]:
    return sheet.locator(".photo .name").all_text_contents()


def text(sheet, selector: str) -> str:
    return sheet.locator(selector).inner_text()


def classes(sheet) -> list[str]:
    """The classes that are listed, with their objects and photos."""
    rows = sheet.locator(".class:visible").all_inner_texts()
    return [" ".join(row.split()) for row in rows]


def test_all_photos_are_shown_with_what_was_found_or_why_they_failed(sheet):
    assert names(sheet) == ["a.jpg", "b.jpg", "d.jpg", "e.jpg", "sub/c.jpg"]
    assert text(sheet, "#totals") == "4 photos done · 1 failed · 1 other file skipped"
    assert text(sheet, "#shown") == "5 of 5 photos, 5 objects"
    assert [item.split("\n") for item in sheet.locator(".detections").all_inner_texts()] == [
        ["cup 90%", "cat 40%"],
        ["cat × 2 80%", "red cup 30%"],
        ["only guesses", "cat 12%?", "dog 5%?"],
        ["nothing found"],
    ]
    assert text(sheet, ".note") == "of 16 bits; cut"
    assert text(sheet, ".failed .message") == "d.jpg: is too small: use border='cover'"


def test_a_click_anywhere_on_a_card_opens_its_page_or_picture(open_sheet, tmp_path):
    with_page = {f"{STEM}.html": "ab", **FILES}
    records = [record("a b.jpg", files=with_page), record("c.jpg", files=FILES)]
    for each in records:
        folder = tmp_path / "photos" / each.name
        folder.mkdir(parents=True)
        for name in each.files:
            cv2.imwrite(str(folder / f"{STEM}.jpg"), np.full((30, 40, 3), 99, np.uint8))
            (folder / f"{STEM}.jpg").rename(folder / name)
    page = open_sheet(write(tmp_path, records)).page
    links = [link.get_attribute("href") for link in page.locator(".photo a").all()]
    assert links == ["photos/a%20b.jpg/x.html", "photos/c.jpg/x.heatmap.jpg"]
    corner = page.locator(".photo .picture").last.bounding_box()
    page.mouse.click(corner["x"] + 5, corner["y"] + 5)
    page.wait_for_url("**/photos/c.jpg/x.heatmap.jpg")


def test_classes_and_confidence_filter_photos_and_mark_what_they_ask_for(sheet):
    # Guesses are not counted.
    assert classes(sheet) == ["cat 3 2", "cup 1 1", "red cup 1 1"]
    sheet.get_by_role("checkbox", name="cat").check()
    assert names(sheet) == ["a.jpg", "b.jpg"]
    assert text(sheet, "#shown") == "2 of 5 photos, 3 objects"
    sheet.get_by_role("slider", name="Confidence at least").fill("50")
    assert text(sheet, "#conf-value") == "50%"
    assert names(sheet) == ["b.jpg"]
    assert classes(sheet) == ["cat 1 1", "cup 1 1"]
    # A photo needs one of the chosen classes.
    sheet.get_by_role("checkbox", name="cup").check()
    assert names(sheet) == ["a.jpg", "b.jpg"]
    assert sheet.locator(".hit").all_text_contents() == ["cup 90%", "cat × 2 80%"]


@pytest.mark.slow
def test_classes_are_searched_by_parts_of_words_and_the_chosen_stay(sheet):
    sheet.get_by_role("checkbox", name="cat").check()
    sheet.get_by_role("searchbox", name="Search classes").fill("CU re")
    assert classes(sheet) == ["cat 3 2", "red cup 1 1"]
    assert text(sheet, "#class-count") == "2 of 3"


def test_photos_are_sorted(sheet):
    for order, expected in (
        ("objects", "b a d e sub/c"),
        ("confidence", "a b d e sub/c"),
        ("failed", "d a b e sub/c"),
        ("name", "a b d e sub/c"),
    ):
        sheet.get_by_label("Order").select_option(order)
        assert names(sheet) == [f"{name}.jpg" for name in expected.split()]
    # By the confidence of what is asked for.
    sheet.get_by_label("Order").select_option("confidence")
    sheet.get_by_role("checkbox", name="cat").check()
    assert names(sheet) == ["b.jpg", "a.jpg"]


def test_states_filter_photos_and_are_counted(sheet):
    for state, expected in (
        ("with objects", ["a.jpg", "b.jpg"]),
        ("with guesses only", ["e.jpg"]),
        ("with nothing", ["sub/c.jpg"]),
        ("failed", ["d.jpg"]),
    ):
        sheet.locator(".state", has_text=re.compile(rf"{state}\s*{len(expected)}")).click()
        assert names(sheet) == expected


@pytest.mark.slow
def test_guesses_have_classes_where_they_are_asked_for(sheet):
    sheet.get_by_text("with guesses only").click()
    assert classes(sheet) == ["cat 1 1", "dog 1 1"]
    sheet.get_by_role("checkbox", name="dog: 1 guess on 1 photo").check()
    assert names(sheet) == ["e.jpg"]
    sheet.get_by_text("all", exact=True).click()
    assert names(sheet) == []


def test_a_search_without_a_match_says_so_and_can_be_reset(sheet):
    field = sheet.get_by_role("searchbox", name="Name")
    field.fill("SUB")
    assert names(sheet) == ["sub/c.jpg"]
    field.fill("nowhere")
    assert names(sheet) == []
    assert sheet.locator("#nothing").is_visible()
    sheet.get_by_role("button", name="Show all").click()
    assert len(names(sheet)) == 5
    assert sheet.get_by_role("button", name="Show all").is_hidden()


def test_a_link_restores_the_filter(open_sheet, tmp_path):
    url = write(tmp_path, RECORDS)
    page = open_sheet(url).page
    page.get_by_role("checkbox", name="red cup").check()
    page.get_by_role("checkbox", name="cat").check()
    page.get_by_role("slider", name="Confidence at least").fill("20")
    page.get_by_label("Order").select_option("objects")
    page.wait_for_url("**#*objects*")
    link = page.evaluate("location.href")
    again = open_sheet(link).page
    assert names(again) == ["b.jpg", "a.jpg"]
    assert again.locator("#class-list :checked").count() == 2
    assert text(again, "#conf-value") == "20%"
    # What is not there is ignored.
    again.get_by_text("failed", exact=True).first.click()
    again.evaluate("location.hash = 'class=horse&show=no&order=no&conf=x&name=sub'")
    again.wait_for_function("document.querySelectorAll('.photo').length === 1")
    assert names(again) == ["sub/c.jpg"]


def test_without_scripts_there_is_a_list_with_links(open_sheet, tmp_path):
    records = [*RECORDS, record("</noscript>.jpg", ("cat", 0.5), files=FILES)]
    page = open_sheet(write(tmp_path, records), java_script_enabled=False).page
    assert page.locator("li").all_inner_texts() == [
        "</noscript>.jpg: cat 50%",
        "a.jpg: cup 90%, cat 40%",
        "b.jpg: cat 80%, red cup 30%",
        "d.jpg: failed: d.jpg: is too small: use border='cover'",
        "e.jpg: nothing found, guesses: cat 12%, dog 5%",
        "sub/c.jpg: nothing found",
    ]
    (link,) = page.locator("a").all()
    assert link.get_attribute("href") == "photos/%3C/noscript%3E.jpg/x.heatmap.jpg"
    assert page.locator("#sheet").is_hidden()


@pytest.mark.slow
def test_on_a_phone_filters_open_over_the_photos(open_sheet, tmp_path):
    page = open_sheet(write(tmp_path, RECORDS), viewport=PHONE).page
    assert page.locator("#filters").is_hidden()
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("checkbox", name="red cup").check()
    page.get_by_role("button", name="Show 1 photo").click()
    assert names(page) == ["b.jpg"]
    assert page.locator("#filters").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# Photos of which the cards and the nodes that exist at a time are counted; those of all would
# be a hundred thousand nodes.
MANY, MOST_CARDS, MOST_NODES = 5000, 60, 1500


@pytest.fixture(scope="module")
def many_records() -> list[Record]:
    drawn = random.Random(0)
    records = []
    for number in range(MANY):
        drawings = range(number % 4)
        found = [(drawn.choice(("cat", "cup", "dog")), drawn.uniform(0.3, 1)) for _ in drawings]
        records.append(record("/".join(f"{number:04d}"), *found, files=FILES))
    return records


@pytest.fixture(scope="module")
def many_url(tmp_path_factory, many_records) -> str:
    folder = tmp_path_factory.mktemp("many")
    photos = folder / "photos"
    photos.mkdir()
    # One thumbnail for all: every path of digits leads back to it.
    cv2.imwrite(str(photos / f"{STEM}.thumbnail.jpg"), np.full((3, 4, 3), 99, np.uint8))
    for digit in range(10):
        os.symlink(".", photos / str(digit))
    return write(folder, many_records)


def first_seen(page) -> int:
    """The index of the first photo that is at least partly on the screen."""
    return page.evaluate(
        """() => Number([...document.querySelectorAll(".photo")]
            .find((card) => card.getBoundingClientRect().bottom > 0).dataset.index)"""
    )


def test_of_many_photos_few_cards_exist_wherever_one_scrolls(open_sheet, many_url):
    sheet = open_sheet(many_url)
    page = sheet.page
    for share in (0, 0.1, 0.5, 0.50001, 1, 0.3):
        page.evaluate("share => scrollTo(0, share * document.body.scrollHeight)", share)
        sheet.settle()
        assert 12 <= page.locator(".photo").count() <= MOST_CARDS
        assert page.evaluate("document.all.length") <= MOST_NODES
        # They fill the screen, in their order.
        edges = page.evaluate(
            """[...document.querySelectorAll(".photo")]
                .map((card) => card.getBoundingClientRect())
                .map(({ top, bottom }) => [top, bottom])"""
        )
        assert edges[0][0] < 80
        assert edges[-1][1] > DESKTOP["height"] - 40
        assert names(page) == sorted(names(page))
    assert len(sheet.requests) < MANY / 10
    # Another width keeps the place.
    before = first_seen(page)
    page.set_viewport_size(PHONE)
    sheet.settle()
    assert abs(first_seen(page) - before) <= 4


@pytest.mark.slow
def test_many_photos_are_filtered_sorted_and_reached_by_keys(open_sheet, many_url, many_records):
    sheet = open_sheet(many_url)
    page = sheet.page
    page.get_by_label("Order").select_option("confidence")
    page.get_by_role("checkbox", name="dog").check()
    best = {
        each.name: max(found)
        for each in many_records
        if (found := [d["confidence"] for d in each.detections if d["class"] == "dog"])
    }
    expected = sorted(best, key=lambda name: (-round(best[name], 4), name))
    assert text(page, "#shown").startswith(f"{len(best):,} of 5,000 photos, ")
    shown = names(page)
    assert shown == expected[: len(shown)]
    page.locator(".photo a").first.focus()
    page.keyboard.press("End")
    sheet.settle()
    assert page.evaluate("document.activeElement.textContent") == expected[-1]
    last = page.locator(".photo").last
    assert last.get_attribute("aria-posinset") == str(len(best))
    assert last.get_attribute("aria-setsize") == str(len(best))
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == expected[-2]
