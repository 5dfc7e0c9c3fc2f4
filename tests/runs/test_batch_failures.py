"""Photos of a batch that fail: each is named with its reason, and the others are done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatmap.errors import ClassError, GeometryError
from heatmap.photo.reading import Reading
from heatmap.runs import worker as working
from heatmap.runs.manifest import error_of
from heatmap.runs.request import Display, Limits, MultiScale, Request
from tests.support.batch_runs import REQUEST, plan, run
from tests.support.batches import broken, files, lines, write_photo
from tests.support.paths import too_deep


def test_broken_photos_are_named_and_the_others_done(photos, out):
    reasons = broken(photos / "broken")
    done = run(photos, out)
    assert len(reasons) == 20
    failed = {record.name: record.message for record in done.failed}
    assert failed.keys() == {f"broken/{name}" for name in reasons}
    for name, reason in reasons.items():
        assert reason in failed[f"broken/{name}"]
        assert not (out / "photos/broken" / name).exists()
    assert sum(record.state == "done" for record in done.records) == 4


def test_what_would_help_a_photo_that_failed_is_recorded_as_data(photos, out):
    cv2.imwrite(str(photos / "tiny.png"), np.zeros((20, 24, 3), np.uint8))
    inside = replace(REQUEST, placement=MultiScale(border="valid"))
    (record,) = run(photos, out, inside).failed
    assert {"parameter": "border", "value": "cover", "text": "use {}"} in record.ways
    assert "24 x 20 px" in record.message
    assert "border" not in record.message
    assert "use border='cover'" in str(error_of(record))
    assert [line["ways"] for line in lines(out) if line.get("name") == "tiny.png"] == [
        [dict(way) for way in record.ways]
    ]


def test_what_failed_is_tried_again_only_when_asked_or_changed(photos, out):
    (photos / "x.jpg").write_bytes(b"")
    run(photos, out)
    assert plan(photos, out) == {}
    assert len(run(photos, out).failed) == 1
    assert plan(photos, out, retry_failed=True) == {"x.jpg": "failed before"}
    write_photo(photos / "x.jpg")
    assert plan(photos, out) == {"x.jpg": "photo changed"}
    assert run(photos, out).failed == ()


def test_a_photo_that_breaks_keeps_its_results_but_does_not_show_them(photos, out):
    """New ones would replace them; there are none."""
    run(photos, out)
    before, shown = files(out / "photos"), '"at":"photos/a.jpg/a"'
    assert shown in (out / "index.html").read_text()
    (photos / "a.jpg").write_bytes(b"")
    (failed,) = run(photos, out).failed
    assert files(out / "photos") == before
    assert failed.files.keys() == {Path(name).name for name in before if name[:6] == "a.jpg/"}
    assert shown not in (out / "index.html").read_text()
    write_photo(photos / "a.jpg", 17)
    assert run(photos, out).failed == ()
    assert files(out / "photos") != before


def test_an_error_that_nobody_foresaw_is_recorded(photos, out, monkeypatch):
    real = working.PhotoRun.finish

    def finish(self):
        if "a.png" in self.photo.path:
            raise ZeroDivisionError("by  nought\nhere")
        return real(self)

    monkeypatch.setattr(working.PhotoRun, "finish", finish)
    (record,) = run(photos, out).failed
    assert record.name == "a.png"
    assert record.message == "unexpected ZeroDivisionError: by nought here"


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Request(Display(classes=("no such thing",))), ClassError),
        (Request(placement=MultiScale(stride=3)), GeometryError),
    ],
)
def test_what_no_photo_could_have_is_refused_at_once(photos, out, request_, error):
    with pytest.raises(error):
        run(photos, out, request_)
    assert not (out / "photos").exists()


def test_names_too_long_and_folders_that_cannot_be_read_do_not_end_a_batch(photos, out, tmp_path):
    long = write_photo(photos / f"{'c' * 251}.jpg")
    write_photo(photos / f"{'猫' * 80}.png")
    deep = too_deep(photos)
    done = run(photos, out)
    assert [record.path for record in done.failed] == [str(deep)]
    assert done.failed[0].message == f"{deep}: cannot be read: File name too long"
    assert sum(record.state == "done" for record in done.records) == 6
    listed = tmp_path / "list.txt"
    listed.write_text(f"{long}\n{photos}/{'y' * 300}.jpg\n{photos}/a\u00e9{'z' * 300}.png\n")
    again = run(listed, tmp_path / "of list")
    assert [record.state for record in again.records] == ["failed", "done", "failed"]
    assert all("File name too long" in record.message for record in again.failed)
    # Nothing has changed, and they have failed still.
    assert plan(photos, out) == plan(listed, tmp_path / "of list") == {}
    assert len(run(photos, out).failed) == 1


def test_a_folder_that_can_be_read_again_has_not_failed_any_more(photos, out):
    deep = too_deep(photos)
    run(photos, out)
    shutil.rmtree(photos / deep.relative_to(photos).parts[0])
    done = run(photos, out)
    assert done.failed == ()


def test_a_damaged_photo_is_done_and_its_damage_noted(photos, out):
    content = (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").write_bytes(content[: len(content) * 2 // 3])
    done = run(photos, out)
    assert done.failed == ()
    noted = {record.name: record.notes for record in done.records if record.notes}
    assert noted == {"a.jpg": ("damaged, partly made up",)}
    (line,) = (line for line in lines(out) if line.get("name") == "a.jpg")
    assert line["notes"] == ["damaged, partly made up"]
    assert b'"notes":["damaged, partly made up"]' in (out / "index.html").read_bytes()
    assert plan(photos, out) == {}
    refusing = replace(REQUEST, limits=Limits(reading=Reading(damaged="refuse")))
    (record,) = run(photos, out, refusing).failed
    assert "a.jpg: is cut short, damaged or an unknown kind of JPEG" in record.message
    assert record.ways[0]["parameter"] == "damaged"
