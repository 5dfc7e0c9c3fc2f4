"""Batches: everything is done, each photo as by a run of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import chelsea

import heatmap
from heatmap.photo.reading import Reading
from heatmap.runs.photo_run import run_photo
from heatmap.runs.request import Display, Limits, Request
from heatmap.runs.settings import ScorerRecipe
from tests.support.batch_runs import RECIPE, REQUEST, plan, run
from tests.support.batches import lines, times, write_photo


def test_results_lie_as_the_photos_do(photos, out):
    done = run(photos, out)
    assert [record.state for record in done.records] == ["done"] * 4
    for name in ("a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.tif"):
        stem = Path(name).stem
        assert (out / "photos" / name / f"{stem}.maps.npz").exists()
        assert (out / "photos" / name / f"{stem}.json").exists()
        assert (out / "photos" / name / f"{stem}.thumbnail.jpg").exists()
    assert {path.name for path in out.iterdir()} == {
        "photos", "manifest.jsonl", "summary.csv", "index.html",
    }  # fmt: skip


def test_every_photo_has_the_results_that_run_gives_it(photos, out, tmp_path):
    run(photos, out)
    scorer = replace(RECIPE.prepare(), steady=True)
    for name in ("a.jpg", "sub/deep/b.tif"):
        # A batch has one colour range for all photos.
        display = replace(REQUEST.display, color_range=(0.0, 0.5))
        alone = run_photo(photos / name, scorer, Request(display), folder=tmp_path / "alone" / name)
        there = out / "photos" / name
        (picture,) = alone.saved.pictures
        assert (there / picture.name).read_bytes() == picture.read_bytes()
        maps = heatmap.load(there / alone.saved.maps.name)
        assert (maps.scores == alone.findings.maps.scores).all()


def test_the_record_says_what_was_found_and_where(photos, out):
    for record in run(photos, out).records:
        folder = out / "photos" / record.name
        assert {path.name for path in folder.iterdir()} == set(record.files)
        assert (
            record.photo_hw == heatmap.load(folder / f"{folder.name[0]}.maps.npz").geometry.photo_hw
        )
        assert record.seconds > 0
        assert record.stamp.size == (photos / record.name).stat().st_size


def test_the_record_names_the_guesses_where_nothing_is_sure_enough(photos, out):
    sure = Request(Display(conf=1.0))
    record = run(photos / "a.jpg", out, sure).records[0]
    assert record.detections == ()
    told = json.loads((out / "photos/a.jpg/a.json").read_text())["guesses"]
    assert [guess["class"] for guess in record.guesses] == [guess["class"] for guess in told]
    assert len(told) > 0
    assert '"guesses":[[' in (out / "index.html").read_text()


def test_sources_that_hold_nothing_new_are_no_work(photos, out):
    assert set(plan(photos, out).values()) == {"new"}
    run(photos, out)
    before = times(out)
    done = run(photos, out)
    assert done.work.todo == ()
    assert done.work.unchanged == 4
    assert times(out) == before


def test_a_dry_run_writes_nothing(photos, out):
    assert set(plan(photos, out)) == {"a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.tif"}
    assert not out.exists()


def test_other_files_are_recorded_as_skipped_once(photos, out):
    (photos / "notes.txt").write_text("x")
    for _ in range(2):
        done = run(photos, out)
    (record,) = (one for one in done.records if one.state == "skipped")
    assert record.name == "notes.txt"
    assert record.message == "not a photo by its name: it ends in .txt"
    assert sum(line.get("state") == "skipped" for line in lines(out)) == 1


@pytest.mark.slow
def test_scores_have_the_same_bits_whatever_was_scored_before():
    # Enough windows for the second to go another way.
    recipe, photo = ScorerRecipe("efficientnet_lite0"), cv2.resize(chelsea(), (1024, 1024))
    first, later = (
        [scorer.score(photo).scores for _ in range(2)]
        for scorer in (recipe.prepare(), replace(recipe.prepare(), steady=True))
    )
    assert (first[0] != first[1]).any(), "nothing to hold steady"
    assert (later[0] == later[1]).all()


def test_a_photo_of_its_own_gets_all_threads(tmp_path, out):
    write_photo(tmp_path / "in" / "a.jpg")
    run(tmp_path / "in", out)
    assert lines(out)[0]["settings"]["threads"] == torch.get_num_threads()


def test_photos_are_counted_and_failures_noted(tmp_path, out, caplog, capfd):
    write_photo(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no photo")
    caplog.set_level("INFO")
    seen = []
    done = run(tmp_path / "in", out, progress=lambda *given: seen.append(given))
    (failed,) = done.failed
    assert seen == [(1, 2), (2, 2)]
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", "running 2 photos") in told
    assert [text for level, text in told if level == "WARNING" and failed.message in text]
    assert capfd.readouterr() == ("", "")


def test_threads_are_as_they_were_afterwards(photos, out):
    before = torch.get_num_threads()
    run(photos, out, threads=before + 1)
    assert lines(out)[0]["settings"]["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_each_photos_depth_is_noted_with_it(tmp_path, out):
    """A range says otherwise, and is another setting."""
    folder = tmp_path / "in"
    folder.mkdir()
    highest = {"a.png": 3912, "b.png": 60000}
    for name, value in highest.items():
        cv2.imwrite(str(folder / name), np.full((70, 90), value, np.uint16))
    expected = {
        "a.png": ("16-bit values up to 3,912: taken as 12 bits; an input range says otherwise",),
        "b.png": ("16-bit reduced to 8",),
    }
    done = run(folder, out)
    assert {record.name: record.notes for record in done.records} == expected
    for name, notes in expected.items():
        told = json.loads((out / "photos" / name / f"{Path(name).stem}.json").read_text("utf-8"))
        assert tuple(told["photo"]["notes"]) == notes
    ranged = replace(REQUEST, limits=Limits(reading=Reading(input_range=(0, 4095))))
    assert set(plan(folder, out, ranged)) == set(highest)
