"""Batches that are interrupted, killed, or never end: what was done stays."""

from __future__ import annotations

import random
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from heatmap.runs import worker as working
from heatmap.runs.batch import BatchSources, run_batch
from heatmap.runs.batch_reporter import BatchReporter
from heatmap.runs.request import Display
from tests.support.batch_runs import RECIPE, REQUEST, Death, plan, run, spawn
from tests.support.batches import broken, files, lines, times, write_photo


def test_an_interruption_keeps_what_was_done(photos, out):
    class Impatient(BatchReporter):
        def photo(self, record):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, out, progress=Impatient())
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
        run(photos, out, changed, progress=Impatient())
    after = files(out / "photos")
    same = [name for name in before if not name.startswith("a.jpg/")]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert len(plan(photos, out, changed)) == 3


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
        run_batch(BatchSources([arriving], watch=0.1), out, RECIPE, REQUEST, progress=Feeding())
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
        run_batch(BatchSources([arriving], watch=1), out, RECIPE, REQUEST, progress=Once())


@pytest.mark.parametrize(
    ("count", "kills", "lines_before", "seconds_after"),
    [
        # So early and so soon that no machine is through with all photos before.
        (12, 2, (1, 6), 0.005),
        pytest.param(180, 3, (10, 40), 0.05, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments_it_comes_to_the_same(
    tmp_path, count, kills, lines_before, seconds_after
):
    """Photos, and 20 broken ones; kill -9 a few times: the same files as of one clean run."""
    photos = tmp_path / "in"
    reasons = broken(photos / "broken")
    suffixes = (".jpg", ".png", ".tif", ".webp")
    for number in range(count):
        write_photo(photos / f"{number % 7}" / f"{number}{suffixes[number % 4]}", number)
    code, _, complained = spawn(photos, tmp_path / "clean").finish()
    assert (code, complained) == (1, "")
    states = [line["state"] for line in lines(tmp_path / "clean") if "state" in line]
    assert (states.count("done"), states.count("failed")) == (count, len(reasons))

    moments = random.Random(5)
    for _ in range(kills):
        death = Death(moments.randint(*lines_before), moments.random() * seconds_after)
        command = spawn(photos, tmp_path / "killed", death=death)
        assert command.finish()[0] == -signal.SIGKILL
    code, _, complained = spawn(photos, tmp_path / "killed").finish()
    assert code == 1, complained
    check_same_results(tmp_path / "clean", tmp_path / "killed")
    # And again: nothing is left to do, and nothing is written.
    before = times(tmp_path / "killed")
    code, said, _ = spawn(photos, tmp_path / "killed").finish()
    assert code == 1
    assert said.count('"event": "photo"') == 0
    assert times(tmp_path / "killed") == before


def check_same_results(clean: Path, killed: Path) -> None:
    """All files but the manifest, which holds other times, and the same photos in that."""
    results, others = files(clean), files(killed)
    manifests = results.pop("manifest.jsonl"), others.pop("manifest.jsonl")
    assert others == results
    assert manifests[0] != manifests[1]
    names = [{line["name"] for line in lines(out) if "name" in line} for out in (clean, killed)]
    assert names[0] == names[1]


def test_ctrl_c_says_how_to_go_on(photos, out):
    command = spawn(photos, out, "--watch", "--every", "0.5")
    command.wait_for(5)
    command.send(signal.SIGINT)
    code, _, complained = command.finish()
    assert (code, complained) == (0, "")
