"""Batches: everything is done, broken photos are named, and reruns do what is missing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import chelsea

import heatmap
from heatmap.errors import ClassError, GeometryError, ResultError
from heatmap.runs import worker as working
from heatmap.runs.batch import BatchReporter, BatchSources, batch, plan_batch
from heatmap.runs.manifest import error_of
from heatmap.runs.request import Display, Limits, MultiScale, Request
from heatmap.runs.save import Extras
from heatmap.runs.settings import ScorerRecipe
from tests.support.batches import MODEL, WINDOW, broken, files, lines, times, write_photo
from tests.support.paths import ROOT

RECIPE = ScorerRecipe(MODEL, options={"window": WINDOW})
REQUEST = Request(Display(conf=0.5))
MAIN = [sys.executable, "-c", "from heatmap.cli.main import main; main()"]
COMMAND = [*MAIN, "batch", "-m", MODEL, "--window", str(WINDOW)]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    for number, name in enumerate(("a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.tif")):
        write_photo(folder / name, number)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def run(photos, out, request=REQUEST, *, retry_failed=False, **options):
    return batch(BatchSources([photos], retry_failed), out, RECIPE, request, **options)


def plan(photos, out, request=REQUEST, **options):
    work = plan_batch(BatchSources([photos], **options), out, RECIPE, request)
    return {task.item.name: task.why for task in work.todo}


# What comes out.


def test_results_lie_as_the_photos_do(photos, out):
    done = run(photos, out)
    assert [record.state for record in done.records] == ["done"] * 4
    for name in ("a.jpg", "a.png", "sub/a.jpg", "sub/deep/b.tif"):
        stem = Path(name).stem
        assert (out / "photos" / name / f"{stem}.npz").exists()
        assert (out / "photos" / name / f"{stem}.json").exists()
        assert (out / "photos" / name / f"{stem}.thumbnail.jpg").exists()
    assert {path.name for path in out.iterdir()} == {
        "photos", "manifest.jsonl", "summary.csv", "index.html",
    }  # fmt: skip


def test_every_photo_has_the_results_that_run_gives_it(photos, out, tmp_path):
    run(photos, out)
    scorer = replace(RECIPE.prepare(), steady=True)
    for name in ("a.jpg", "sub/deep/b.tif"):
        alone = heatmap.run(
            photos / name, scorer, tmp_path / "alone" / name, display=REQUEST.display
        )
        for path in alone.saved.written:
            there = out / "photos" / name / path.name
            if path.suffix == ".png":
                assert there.read_bytes() == path.read_bytes()
        grid = heatmap.load(out / "photos" / name / alone.saved.grid.name)
        assert (grid.scores == alone.grid.scores).all()


def test_the_record_says_what_was_found_and_where(photos, out):
    for record in run(photos, out).records:
        folder = out / "photos" / record.name
        assert {path.name for path in folder.iterdir()} == set(record.files)
        assert record.photo_hw == heatmap.load(folder / f"{folder.name[0]}.npz").geometry.photo_hw
        assert record.seconds > 0
        assert record.stamp.size == (photos / record.name).stat().st_size


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
    assert record.message == "no photo by its name: it ends in .txt"
    assert sum(line.get("state") == "skipped" for line in lines(out)) == 1


def test_scores_have_the_same_bits_whatever_was_scored_before():
    # Enough windows for the second to go another way.
    recipe, photo = ScorerRecipe("efficientnet_lite0"), cv2.resize(chelsea(), (1024, 1024))
    first, later = (
        [scorer.score(photo).scores for _ in range(2)]
        for scorer in (recipe.prepare(), replace(recipe.prepare(), steady=True))
    )
    assert (first[0] != first[1]).any(), "nothing to hold steady"
    assert (later[0] == later[1]).all()


# What a rerun does.


def test_a_changed_photo_is_done_again_and_no_other(photos, out):
    run(photos, out)
    write_photo(photos / "sub/a.jpg", 17)
    assert plan(photos, out) == {"sub/a.jpg": "photo changed"}
    before = times(out / "photos" / "a.jpg")
    done = run(photos, out)
    assert [task.item.name for task in done.work.todo] == ["sub/a.jpg"]
    assert times(out / "photos" / "a.jpg") == before
    assert plan(photos, out) == {}


def test_a_new_time_alone_changes_nothing(photos, out):
    run(photos, out)
    os.utime(photos / "a.jpg", (1, 1))
    assert plan(photos, out) == {}


@pytest.mark.parametrize(
    "request_",
    [
        Request(Display(conf=0.4)),
        replace(REQUEST, placement=MultiScale(border="valid")),
        replace(REQUEST, placement=MultiScale(scales=(0.8, 1.0))),
        replace(REQUEST, limits=Limits(memory=10**8)),
        replace(REQUEST, extras=Extras(formats=("csv",))),
    ],
)
def test_a_changed_setting_redoes_all(photos, out, request_):
    run(photos, out)
    assert set(plan(photos, out, request_).values()) == {"settings changed"}
    assert len(plan(photos, out, request_)) == 4


def test_another_model_redoes_all(photos, out, tmp_path):
    run(photos, out)
    other = ScorerRecipe(MODEL, options={"window": WINDOW, "mean": (0.4, 0.4, 0.4)})
    assert len(plan_batch(BatchSources([photos]), out, other, REQUEST).todo) == 4


def test_files_of_earlier_settings_go(photos, out):
    run(photos, out, replace(REQUEST, extras=Extras(formats=("csv",), html=True)))
    assert (out / "photos/a.jpg/a.csv").exists()
    (out / "photos/a.jpg/own notes.md").write_text("the user's")
    run(photos, out)
    left = {path.name for path in (out / "photos/a.jpg").iterdir()}
    assert "own notes.md" in left
    assert not left & {"a.csv", "a.html"}


def test_missing_results_are_made_again(photos, out):
    run(photos, out)
    before = files(out / "photos")
    (out / "photos/a.png/a.npz").unlink()
    shutil.rmtree(out / "photos/sub/a.jpg")
    assert plan(photos, out) == {"a.png": "results missing", "sub/a.jpg": "results missing"}
    run(photos, out)
    assert files(out / "photos") == before


def test_memory_and_threads_are_used_again(photos, out, monkeypatch):
    run(photos, out)
    monkeypatch.setattr("heatmap.runs.settings.free_memory", lambda: 12345678)
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    assert plan(photos, out) == {}
    assert lines(out)[0]["settings"]["memory"] > 12345678


def test_more_photos_are_done_beside_those_that_are(photos, out):
    run(photos, out)
    write_photo(photos / "c.jpg", 5)
    done = run(photos, out)
    assert [task.item.name for task in done.work.todo] == ["c.jpg"]
    assert (out / "summary.csv").read_text().count("sub/deep/b.tif") >= 1
    assert "c.jpg" in (out / "summary.csv").read_text()


def test_another_photo_of_the_same_name_is_refused(photos, out, tmp_path):
    run(photos, out)
    write_photo(tmp_path / "other" / "a.jpg", 9)
    before = files(out)
    with pytest.raises(ResultError, match=r"holds the results of .*in/a\.jpg.*another folder"):
        run(tmp_path / "other", out)
    assert files(out) == before


def test_photos_may_have_been_moved(photos, out, tmp_path):
    run(photos, out)
    photos.rename(tmp_path / "moved")
    assert plan(tmp_path / "moved", out) == {}


# What goes wrong.


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


def test_a_photo_that_breaks_loses_its_results(photos, out):
    run(photos, out)
    (photos / "a.jpg").write_bytes(b"")
    run(photos, out)
    assert not (out / "photos/a.jpg").exists()
    assert (out / "photos/a.png").exists()


def test_an_error_that_nobody_foresaw_is_recorded(photos, out, monkeypatch):
    real = working.PhotoRun.finish

    def finish(self, folder):
        if "a.png" in str(folder):
            raise ZeroDivisionError("by  nought\nhere")
        return real(self, folder)

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


def test_an_interruption_keeps_what_was_done(photos, out):
    class Impatient(BatchReporter):
        def photo(self, record):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, out, reporter=Impatient())
    assert len(plan(photos, out)) == 3
    run(photos, out)
    assert plan(photos, out) == {}


def test_photos_are_under_way_at_the_same_time(photos, out, monkeypatch):
    """Each of the first two waits for the other before it is written."""
    meeting, real = threading.Barrier(2), working.Worker.finish

    def finish(self, underway):
        if underway.task.item.name in ("a.jpg", "a.png"):
            meeting.wait(20)
        return real(self, underway)

    monkeypatch.setattr(working.Worker, "finish", finish)
    assert run(photos, out).failed == ()


def test_what_is_under_way_when_it_stops_keeps_its_earlier_results(photos, out, monkeypatch):
    run(photos, out)
    before, real = files(out / "photos"), working.Worker.score
    started = threading.Event()

    def score(self, underway):
        started.set()
        if underway.task.item.name != "a.jpg":
            assert self._stop.wait(20)
        return real(self, underway)

    class Impatient(BatchReporter):
        def photo(self, record):
            assert started.wait(20)
            raise KeyboardInterrupt

    monkeypatch.setattr(working.Worker, "score", score)
    changed = replace(REQUEST, display=Display(conf=0.4))
    with pytest.raises(KeyboardInterrupt):
        run(photos, out, changed, reporter=Impatient())
    after = files(out / "photos")
    same = [name for name in before if not name.startswith("a.jpg/")]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert len(plan(photos, out, changed)) == 3


# Watching.


def test_watching_takes_photos_as_they_arrive_and_settle(tmp_path, out):
    arriving = tmp_path / "in"
    arriving.mkdir()
    seen = []

    class Feeding(BatchReporter):
        def begin(self, work):
            seen.append([task.item.name for task in work.todo])

        def photo(self, record):
            if record.name == "a.jpg":
                write_photo(arriving / "b.jpg", 1)
            elif record.state == "failed":
                write_photo(arriving / "c.jpg", 2)
            else:
                (arriving / "c.jpg").write_bytes(b"half")
            if (record.name == "c.jpg" and record.state == "done") or len(seen) > 9:
                raise KeyboardInterrupt

    feeder = threading.Timer(0.3, write_photo, [arriving / "a.jpg"])
    feeder.start()
    with pytest.raises(KeyboardInterrupt):
        batch(BatchSources([arriving], watch=0.1), out, RECIPE, REQUEST, reporter=Feeding())
    assert seen == [["a.jpg"], ["b.jpg"], ["c.jpg"], ["c.jpg"]]


def test_a_file_that_grows_is_waited_for(tmp_path, out, monkeypatch):
    arriving = tmp_path / "in"
    arriving.mkdir()
    whole = write_photo(tmp_path / "whole.png").read_bytes()
    sizes = iter((len(whole) // 3, len(whole) // 2, len(whole)))

    def grow(_):
        if (size := next(sizes, None)) is not None:
            (arriving / "a.png").write_bytes(whole[:size])

    class Once(BatchReporter):
        def photo(self, record):
            assert record.state == "done"
            raise KeyboardInterrupt

    monkeypatch.setattr("heatmap.runs.batch.time.sleep", grow)
    with pytest.raises(KeyboardInterrupt):
        batch(BatchSources([arriving], watch=1), out, RECIPE, REQUEST, reporter=Once())


# Killed.


def spawn(photos, out, *options):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [*COMMAND, str(photos), "-o", str(out), "--conf", "0.5", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def finish(process):
    said, complained = process.communicate(timeout=300)
    return process.returncode, said, complained


def test_killed_at_random_moments_it_comes_to_the_same(tmp_path):
    """200 photos, 20 of them broken; kill -9 three times: the same files as of one clean run."""
    photos = tmp_path / "in"
    reasons = broken(photos / "broken")
    suffixes = (".jpg", ".png", ".tif", ".webp")
    for number in range(180):
        write_photo(photos / f"{number % 7}" / f"{number}{suffixes[number % 4]}", number)
    code, said, complained = finish(spawn(photos, tmp_path / "clean"))
    assert code == 1, complained
    assert complained == ""
    states = [line["state"] for line in lines(tmp_path / "clean") if "state" in line]
    assert (states.count("done"), states.count("failed")) == (180, len(reasons))

    moments = random.Random(5)
    for _ in range(3):
        process = spawn(photos, tmp_path / "killed")
        after = moments.randint(10, 40)
        for number, _line in enumerate(process.stdout):
            if number == after:
                break
        time.sleep(moments.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    code, _, complained = finish(spawn(photos, tmp_path / "killed"))
    assert code == 1, complained
    clean, killed = files(tmp_path / "clean"), files(tmp_path / "killed")
    told = clean.pop("manifest.jsonl"), killed.pop("manifest.jsonl")
    assert killed == clean
    assert told[0] != told[1]
    assert {record["name"] for record in lines(tmp_path / "killed")[1:]} == {
        record["name"] for record in lines(tmp_path / "clean")[1:]
    }
    # And again: nothing is left to do, and nothing is written.
    before = times(tmp_path / "killed")
    code, said, _ = finish(spawn(photos, tmp_path / "killed"))
    assert code == 1
    assert said.count('"event": "photo"') == 0
    assert times(tmp_path / "killed") == before


def test_ctrl_c_says_how_to_go_on(photos, out):
    process = spawn(photos, out, "--watch", "--every", "0.5")
    for _ in range(5):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    code, _, complained = finish(process)
    assert (code, complained) == (0, "")


def test_a_photo_of_its_own_gets_all_threads(tmp_path, out):
    write_photo(tmp_path / "in" / "a.jpg")
    run(tmp_path / "in", out)
    assert lines(out)[0]["settings"]["threads"] == torch.get_num_threads()


def test_threads_are_as_they_were_afterwards(photos, out):
    before = torch.get_num_threads()
    run(photos, out, threads=before + 1)
    assert lines(out)[0]["settings"]["threads"] == before + 1
    assert torch.get_num_threads() == before
