"""The table and the contact sheet of a batch."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

from heatmap.names import MANIFEST
from heatmap.runs.manifest import Record, writing_manifest
from heatmap.runs.nowhere import nowhere
from heatmap.runs.overview import contact_sheet, summary_table, write_overview

FOUND = (
    {"class": "tabby", "confidence": 0.9, "box_xyxy": [1.0, 2.0, 30.5, 40.0]},
    {"class": "cup, red", "confidence": 0.4, "box_xyxy": [0.0, 0.0, 9.0, 9.0]},
)
SUFFIXES = (".heatmap.jpg", ".json", ".maps.npz", ".thumbnail.jpg")
FILES = {f"cat 1{suffix}": "ab" for suffix in SUFFIXES}
DONE = Record(
    "a/cat 1.jpg", "/in/a/cat 1.jpg", "done", "d", photo_hw=(50, 60), detections=FOUND, files=FILES
)
EMPTY = Record(
    "b.jpg",
    "/in/b.jpg",
    "done",
    "d",
    photo_hw=(5, 6),
    guesses=({"class": "ox", "confidence": 0.123456, "box_xyxy": [0.0, 0.0, 9.0, 9.0]},),
    files={"b.heatmap.jpg": "ab", "b.html": "cd"},
)
WAYS = ({"parameter": "border", "value": "cover", "text": "use {}"},)
FAILED = Record("</script><b>.jpg", "/in/x.jpg", "failed", "d", "x.jpg: is empty", WAYS)
SKIPPED = Record("notes.txt", "/in/notes.txt", "skipped", "d", "not a photo by its name")
ALL = [DONE, EMPTY, FAILED, SKIPPED]


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def data(page):
    found = re.search(r'type="application/json">(.*?)</script>', page.decode(), re.DOTALL)
    return json.loads(found[1])


def test_the_table_has_a_row_for_each_object_and_each_photo_without():
    found = rows(summary_table(ALL))
    assert [row["photo"] for row in found] == [
        "a/cat 1.jpg", "a/cat 1.jpg", "b.jpg", "</script><b>.jpg", "notes.txt",
    ]  # fmt: skip
    assert [row["class"] for row in found] == ["tabby", "cup, red", "", "", ""]
    assert found[0]["right_px"] == "30.5"
    assert (found[0]["height_px"], found[0]["width_px"]) == ("50", "60")
    assert [row["state"] for row in found[2:]] == ["done", "failed", "skipped"]
    assert found[3]["message"] == "x.jpg: is empty"


def missing(name, confidence):
    return {"class": name, "confidence": confidence, "threshold": 0.3}


def test_each_class_that_is_on_no_photo_is_answered():
    records = [
        replace(
            DONE, not_found=(missing("zebra", 0.127), missing("ox", None), missing("yak", 0.2))
        ),
        replace(
            EMPTY, not_found=(missing("zebra", 0.05), missing("ox", None), missing("tabby", 0.1))
        ),
        replace(FAILED, not_found=(missing("gnu", 0.1),)),
    ]
    answers = [each.answer() for each in nowhere(records)]

    assert answers == [
        "zebra: on none of 2 photos; best 13 % on a/cat 1.jpg (threshold 30 %)",
        "ox: on none of 2 photos; nowhere above 1 %",
        "yak: not on the only photo; best 20 % on a/cat 1.jpg (threshold 30 %)",
    ]
    page = contact_sheet(records).decode()
    assert all(page.count(f"<li>{answer}</li>") == 2 for answer in answers)


def test_no_text_of_the_table_is_a_formula_and_numbers_are_numbers():
    found = ({"class": "-cat", "confidence": 0.5, "box_xyxy": [-1.5, 0.0, 9.0, 9.0]},)
    record = Record("=1+1.jpg", "/in/x", "failed", "d", "\t=2", photo_hw=(5, 6), detections=found)
    (row,) = rows(summary_table([record]))
    assert (row["photo"], row["message"], row["class"]) == ("'=1+1.jpg", "'\t=2", "'-cat")
    assert (row["left_px"], row["confidence"], row["width_px"]) == ("-1.5", "0.5", "6")


def test_the_sheet_shows_all_photos_and_links_to_their_pages():
    found = data(contact_sheet(ALL))
    assert found["counts"] == {"done": 2, "failed": 1, "skipped": 1}
    cat, empty, failed = found["photos"]
    # Without a page of its own the picture is shown.
    assert (cat["at"], cat["thumbnail"], cat["page"]) == (
        "photos/a/cat%201.jpg/cat%201", ".thumbnail.jpg", ".heatmap.jpg",
    )  # fmt: skip
    assert (empty["at"], empty["page"]) == ("photos/b.jpg/b", ".html")
    assert "thumbnail" not in empty
    assert failed == {"name": FAILED.name, "message": "x.jpg: is empty: use border='cover'"}


def test_the_sheet_names_each_class_once_those_of_most_objects_first():
    second = replace(DONE, name="c.jpg", detections=(FOUND[1],))
    found = data(contact_sheet([*ALL, second]))
    # That of a guess is no object.
    assert found["classes"] == ["cup, red", "tabby", "ox"]
    cat, empty, _, other = found["photos"]
    assert cat["found"] == [[1, 0.9], [0, 0.4]]
    assert other["found"] == [[0, 0.4]]
    assert empty["guesses"] == [[2, 0.1235]]
    assert "found" not in empty


def test_failures_are_worded_for_whom_the_batch_was_started_by():
    found = data(contact_sheet(ALL, lambda error: f"{error.message} ({error.ways[0].parameter})"))
    assert found["photos"][2]["message"] == "x.jpg: is empty (border)"


def test_nothing_in_a_name_ends_the_data():
    ended = replace(DONE, name="</noscript><b>.jpg")
    page = contact_sheet([*ALL, ended]).decode()
    assert "<b>" not in page
    assert page.count("</script>") == 2
    assert page.count("</noscript>") == 1


def test_names_that_are_not_utf_8_are_linked_by_their_bytes():
    strange = Record("\udcff.jpg", "/in/x", "done", "d", files={"\udcff.html": "ab"})
    assert data(contact_sheet([strange]))["photos"][0]["at"] == "photos/%FF.jpg/%FF"
    assert rows(summary_table([strange]))[0]["photo"] == "\\udcff.jpg"


def write(folder, records):
    with writing_manifest(folder) as manifest:
        manifest.records = {record.name: record for record in records}
        write_overview(folder, manifest, manifest.owner())


def test_files_that_say_the_same_are_not_written(tmp_path):
    write(tmp_path, ALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.iterdir())}
    assert {path.name for path in tmp_path.iterdir()} == {"summary.csv", "index.html", MANIFEST}
    write(tmp_path, reversed(ALL))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.iterdir())} == before
    write(tmp_path, [DONE])
    assert (tmp_path / "summary.csv").stat().st_mtime_ns != before[tmp_path / "summary.csv"]


def test_what_is_known_of_a_photo_now_replaces_its_entry(tmp_path):
    write(tmp_path, [FAILED])
    write(tmp_path, [replace(DONE, name=FAILED.name)])
    (entry,) = data((tmp_path / "index.html").read_bytes())["photos"]
    assert "message" not in entry
    assert len(entry["found"]) == 2
