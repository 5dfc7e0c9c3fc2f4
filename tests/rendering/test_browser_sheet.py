"""The contact sheet of a batch in a real browser: its filters and its order."""

import pytest

from heatmap.runs.manifest import Record, writing_manifest
from heatmap.runs.overview import write_overview


def record(name: str, **confidences: float) -> Record:
    detections = [
        {"class": label, "confidence": confidence, "box_xyxy": [0, 0, 9, 9]}
        for label, confidence in confidences.items()
    ]
    return Record(name, f"/in/{name}", "done", "d", photo_hw=(30, 40), detections=tuple(detections))


RECORDS = [
    record("a.jpg", cat=0.4, cup=0.9),
    record("b.jpg", cat=0.8),
    record("sub/c.jpg"),
    Record("d.jpg", "/in/d.jpg", "failed", "d", "d.jpg: is empty"),
    Record("e.txt", "/in/e.txt", "skipped", "d", "not a photo by its name"),
]


@pytest.fixture
def sheet(browser, tmp_path):
    with writing_manifest(tmp_path) as manifest:
        manifest.records = {record.name: record for record in RECORDS}
        write_overview(tmp_path, manifest, manifest.owner())
    page = browser.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "index.html").as_uri())
    yield page
    page.close()
    assert complaints == []


def names(sheet) -> list[str]:
    return sheet.locator(".photo .name").all_text_contents()


def test_all_photos_are_shown_with_their_detections(sheet):
    assert names(sheet) == ["a.jpg", "b.jpg", "d.jpg", "sub/c.jpg"]
    assert sheet.locator("#totals").inner_text() == (
        "3 photos done · 1 failed · 1 other file skipped"
    )
    texts = sheet.locator(".photo .detections li").all_text_contents()
    assert texts == ["cat 40%", "cup 90%", "cat 80%", "no detections"]
    assert sheet.locator(".photo .message").all_text_contents() == ["d.jpg: is empty"]


def test_class_and_confidence_filter_photos_and_mark_what_they_ask_for(sheet):
    sheet.get_by_label("Class").select_option(label="cat (2)")
    assert names(sheet) == ["a.jpg", "b.jpg"]
    sheet.get_by_role("slider", name="Confidence at least").fill("50")
    assert sheet.locator("#conf-value").inner_text() == "50%"
    assert names(sheet) == ["b.jpg"]
    sheet.get_by_label("Class").select_option(label="any")
    assert names(sheet) == ["a.jpg", "b.jpg"]
    assert sheet.locator(".hit").all_text_contents() == ["cup 90%", "cat 80%"]


def test_the_most_confident_come_first_when_asked(sheet):
    sheet.get_by_label("Class").select_option(label="cat (2)")
    sheet.get_by_label("Order").select_option(label="most confident first")
    assert names(sheet) == ["b.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("with detections", ["a.jpg", "b.jpg"]),
        ("without any", ["sub/c.jpg"]),
        ("failed", ["d.jpg"]),
    ],
)
def test_states_filter_photos(sheet, state, expected):
    sheet.get_by_label("Show").select_option(label=state)
    assert names(sheet) == expected


def test_a_search_without_a_match_says_so_and_can_be_reset(sheet):
    sheet.get_by_role("searchbox").fill("SUB")
    assert names(sheet) == ["sub/c.jpg"]
    sheet.get_by_role("searchbox").fill("nowhere")
    assert names(sheet) == []
    sheet.get_by_role("button", name="Show all").click()
    assert len(names(sheet)) == 4
