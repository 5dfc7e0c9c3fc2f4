"""What a command writes and what the function of its name writes: equal to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import heatmap
from tests.support.command_line import NETWORKS, POOLED

MODEL: dict[str, Any] = {"model": f"{NETWORKS}:pooled", "window": 32}
# Times differ from call to call.
TIMES = ("seconds", "finished")


def contents(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def photos(call):
    Path("photos").mkdir()
    shutil.copy("cat.png", "photos/cat.png")
    Path("photos/broken.png").write_bytes(b"no photo")
    return call


def test_batch(photos):
    # Without it memory would be what is free now.
    typed_options = ("--conf", 0.3, "--html", "--memory", "500MB")
    assert photos("batch", "photos", *POOLED, *typed_options, "-o", "typed").code == 1
    options = {"conf": 0.3, "html": True, "memory": 500_000_000}
    done = heatmap.batch("photos", output="called", **options, **MODEL)
    typed, called = contents("typed"), contents("called")
    manifests = [files.pop("manifest.jsonl").decode() for files in (typed, called)]
    assert typed == called
    lines = [[json.loads(line) for line in each.splitlines()] for each in manifests]
    for line in (line for each in lines for line in each):
        for name in TIMES:
            line.pop(name, None)
    assert lines[0] == lines[1]
    assert repr(done) == "Batch called: 1 done, 1 failed, 0 skipped"
    (failed,) = done.failed
    assert (len(done), failed.name, bool(done)) == (1, "broken.png", True)
    (saved,) = done
    assert saved == done[0]
    assert saved.description == Path("called/photos/cat.png/cat.json")
    assert [each.xyxy for each in saved.detections] == [
        tuple(each["box_xyxy"]) for each in done.done[0].detections
    ]


def test_batch_that_only_says_what_it_would_do(photos):
    planned = heatmap.batch(Path("photos"), output="called", dry_run=True, **MODEL)
    assert [task.item.name for task in planned.work.todo] == ["broken.png", "cat.png"]
    assert repr(planned) == "Batch called: 0 done, 0 failed, 0 skipped; 2 to do"
    assert not Path("called").exists()


@pytest.mark.parametrize("source", ["photos/cat.png", "photos"])
def test_verify(photos, source):
    options = ("--windows", 20, "-c", 1, "--scale", 0.8, "--scale", 1)
    outcome = photos("verify", source, *POOLED, *options, "-o", "typed", "--json")
    report = heatmap.verify(
        source, output="called", windows=20, classes=1, scales=(0.8, 1), **MODEL
    )
    assert contents("typed") == contents("called") != {}
    told = json.loads(outcome.out)
    if source == "photos":
        assert isinstance(report, heatmap.VerifySummary)
        assert list(report.failed) == list(told["summary"]["failed"]) == ["broken.png"]
        told = told["summary"]
    else:
        assert report.picture == Path("called/cat.verify.jpg")
    assert (report.passed, report.difference) == (told["passed"], told["difference"])
    assert report.exceeds(report.difference * 0.99)
    assert not report.exceeds(report.difference)


def test_evaluate(photos):
    row = "cat.png,class 1,10,10,60,60"
    Path("boxes.csv").write_text(f"file,label,xmin,ymin,xmax,ymax\n{row}")
    arguments = ("evaluate", "photos", "boxes.csv", *POOLED, "--no-cam", "--conf", 0.2)
    assert photos(*arguments, "-o", "typed").code == 0
    report = heatmap.evaluate("photos", "boxes.csv", output="called", cam=False, conf=0.2, **MODEL)
    assert contents("typed") == contents("called") != {}
    assert [path.as_posix() for path in report.written] == [
        "called/evaluation.html",
        "called/evaluation.json",
    ]


def test_render_and_view(photos):
    assert photos("run", "cat.png", *POOLED, "--conf", 0.3, "-o", "results").code == 0
    shutil.copytree("results", "viewed")
    look = ("--colormap", "turbo", "--no-boxes", "--per-class")
    assert photos("render", "results", *look, "-o", "typed").code == 0
    drawn = heatmap.render("results", "called", colormap="turbo", boxes=False, per_class=True)
    assert contents("typed") == contents("called")
    assert sorted(path.name for path in drawn) == sorted(contents("called"))
    assert photos("view", "results").code == 0
    assert heatmap.view("viewed") == [Path("viewed/cat.html")]
    assert Path("viewed/cat.html").read_bytes() == Path("results/cat.html").read_bytes()


def test_render_takes_one_class_alone(photos):
    heatmap.run("cat.png", output="results", save_grid=True, conf=0.3, **MODEL)
    (one,) = heatmap.render("results", "one", classes="class 1")
    (listed,) = heatmap.render("results", "listed", classes=["class 1"])
    assert one.read_bytes() == listed.read_bytes()
