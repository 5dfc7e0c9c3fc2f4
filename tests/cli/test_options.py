"""Options that say how much, how large, where and what of a photo; progress, and being stopped."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import heatmap
from heatmap.cli.console import working
from heatmap.cli.options import limit_options, scales_options
from heatmap.grid import collector as collecting
from heatmap.grid import score_grid as grid
from heatmap.photo import photo_file as streams
from heatmap.runs import run as running
from heatmap.scoring import device as devices
from tests.cli import test_main as test_cli
from tests.cli.test_main import PADDED, PLAIN, assert_one_line, everything

call = test_cli.call


def parsed(*arguments: str):
    """The options as a command gets them, or the usage error."""

    @click.command()
    @scales_options
    @limit_options
    @click.pass_context
    def command(context, **_):
        context.obj.update(context.params)

    values = {}
    outcome = CliRunner().invoke(command, arguments, obj=values)
    return values if outcome.exit_code == 0 else (outcome.exit_code, outcome.output)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("500MB", 500 * 10**6),
        ("500mb", 500 * 10**6),
        ("1.5 GB", 1_500_000_000),
        (".5g", 500_000_000),
        ("64k", 64_000),
        ("1TB", 10**12),
        (" 12345 ", 12345),
        ("7b", 7),
    ],
)
def test_memory_is_read_as_people_write_it(text, size):
    assert parsed("--memory", text)["memory"] == size


@pytest.mark.parametrize(
    "text", ["", "GB", "0", "0.4", "-2GB", "2XB", "2 G B", "2GBs", "two", "1e9", "nan", "9" * 400]
)
def test_memory_that_is_no_size_is_a_usage_error(text):
    code, output = parsed("--memory", text)
    assert code == 2
    assert f"'--memory': {text!r}: give bytes, such as 500MB or 2GB" in output


def test_memory_is_what_is_free_unless_said():
    assert parsed()["memory"] is None


@pytest.mark.parametrize(
    ("arguments", "scales"),
    [
        ((), (1.0,)),
        (("--scale", "0.5"), (0.5,)),
        (("--scale", "0.5", "--scale", "2", "--scale", "0.50"), (0.5, 2.0)),
        (("--scale", "auto"), None),
        (("--scales", "auto"), None),
        (("--scales", "1", "--scale", "3"), (1.0, 3.0)),
    ],
)
def test_scales_are_each_taken_once_in_the_order_given(arguments, scales):
    assert parsed(*arguments)["scales"] == scales


@pytest.mark.parametrize("values", [("auto", "1"), ("large",), ("auto", "auto"), ("1,2",)])
def test_scales_that_cannot_be_are_a_usage_error(values):
    code, output = parsed(*(part for value in values for part in ("--scale", value)))
    assert code == 2
    assert f"{' '.join(values)!r}: give numbers, such as --scale 0.5 --scale 1, or auto" in output


def test_run_takes_all_of_them(call):
    mask = np.zeros((100, 120), np.uint8)
    mask[40:, :70] = 255
    cv2.imwrite("mask.png", mask)
    outcome = call(
        *("run", "cat.png", *PADDED, "-o", "out", "--scale", "1", "--scale", "2", "--fuse", "max"),
        *(
            "--stride",
            "2",
            "--memory",
            "50MB",
            "--store-classes",
            "3",
            "--store-classes",
            "class 1",
        ),
        *("--skip-background", "--mask", "mask.png", "--dtype", "bfloat16", "-c", "3"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(Path("out/cat.json").read_text("utf-8"))
    made = heatmap.load("out/cat.npz")
    assert made.classes.names == ("class 3", "class 1")
    assert made.geometry.stride_px == 2
    assert made.origin.computation.dtype == "bfloat16"
    assert made.origin.fuse == "max"
    assert list(told["scales"]) == ["x1", "x2"]
    assert 0 < told["not_scored"] < told["windows"]
    assert f"note: {told['not_scored']} of {told['windows']} windows skipped\n" in outcome.out
    assert "note: scales 1, 2 fused on the finest\n" in outcome.out
    for name in ("cat.npz", "cat.x1.npz", "cat.x2.npz", "cat.class-3.png", "cat.json"):
        assert f"wrote out/{name}\n" in outcome.out


def test_run_at_auto_scales_says_which(call):
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "--scale", "auto")
    assert "note: scales 0.25, 0.5, 1, 2, 3 fused on the finest\n" in outcome.out


def test_run_and_verify_take_a_finer_stride(call):
    call("run", "cat.png", *PLAIN, "-o", "out", "--stride", "1", "--border", "valid")
    assert heatmap.load("out/cat.npz").scores.shape == (69, 89, 5)
    outcome = call("verify", "cat.png", *PLAIN, "-o", "out", "--stride", "2", "--json")
    assert outcome.code == 0
    told = json.loads(outcome.out)
    assert told["geometry"]["stride_px"] == 2
    for command in ("run", "verify"):
        assert_one_line(call(command, "cat.png", *PLAIN, "--stride", "3"), "slides at 4, 2, 1 px")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--memory", "1kb"), ("memory is 0 MB", "use --memory")),
        (("--store-classes", "clas 3"), ("no class 'clas 3'", "did you mean class 3")),
        (
            ("--store-classes", "1", "-c", "2"),
            ("'class 2' is asked for and not stored: add --store-classes 2",),
        ),
        (("--mask", "nowhere.png"), ("nowhere.png",)),
        (("--mask", "names.txt"), ("names.txt",)),
        (("--mask", "tall.png"), ("the mask is 120 x 100 px", "the photo 100 x 120")),
        (("--mask", "black.png"), ("the mask is 0 everywhere",)),
        (("--scale", "1", "--scale", "-1"), ("scale is -1",)),
        (("--device", "cuda"), ("device cuda is not there: use --device cpu",)),
        (("--device", "mps"), ("device mps is not there: use --device cpu",)),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(call, monkeypatch, arguments, parts):
    for device in ("cuda", "mps"):
        monkeypatch.setitem(devices._AVAILABLE, device, lambda: False)
    cv2.imwrite("tall.png", np.full((120, 100, 3), 255, np.uint8))
    cv2.imwrite("black.png", np.zeros((100, 120, 3), np.uint8))
    before = everything()
    assert_one_line(call("run", "cat.png", *PADDED, "-o", "out", *arguments), *parts)
    assert everything() == before


def test_a_photo_that_is_skipped_whole_says_so(call):
    cv2.imwrite("flat.png", np.full((100, 120, 3), 200, np.uint8))
    outcome = call("run", "flat.png", *PADDED, "-o", "out", "--skip-background")
    assert (outcome.code, outcome.err) == (0, "")
    assert "nothing found: every window was skipped\n" in outcome.out
    assert "414 of 414 windows skipped" in outcome.out


def large_from(monkeypatch, size):
    for module in (grid, collecting, running):
        monkeypatch.setattr(module, "LARGE_GRID_BYTES", size)


def test_the_size_of_a_large_grid_is_told_on_standard_error(call, monkeypatch):
    large_from(monkeypatch, 1000)
    quiet = call("run", "cat.png", *PADDED, "-o", "out", "--json")
    note = "note: the scores will take {} on disk: --store-classes keeps fewer\n"
    assert quiet.err == note.format("0.0 GB")
    json.loads(quiet.out)
    monkeypatch.setattr(collecting, "room_for", lambda needed, _: Path())
    monkeypatch.setattr(running, "planned_bytes", lambda *_: 62_400_000_000)
    loud = call("run", "cat.png", *PADDED, "-o", "out")
    assert loud.err == note.format("62.4 GB")
    assert [name for name in everything("out") if "heatmap" in name] == []


def test_a_large_photo_gives_a_pyramid_and_a_preview_and_can_be_rendered(call, monkeypatch):
    monkeypatch.setattr(streams, "LARGE_PX", 1000)
    outcome = call("run", "cat.png", *PADDED, "-o", "out", "-c", "1")
    assert (outcome.code, outcome.err) == (0, "")
    pictures = ["out/cat.class-1.preview.png", "out/cat.class-1.tif"]
    assert everything("out") == [*pictures, "out/cat.json", "out/cat.npz"]
    assert all(f"wrote {path}\n" in outcome.out for path in everything("out"))
    assert call("render", "out/cat.npz", "-c", "1", "-o", "again").code == 0
    for path in pictures:
        assert Path(path.replace("out", "again")).read_bytes() == Path(path).read_bytes()
    cv2.imwrite("other.png", np.zeros((90, 120, 3), np.uint8))
    assert_one_line(
        call("render", "out/cat.npz", "other.png", "-o", "other"),
        "photo is 120 x 90 px, the scored one was 120 x 100 px",
    )


def test_progress_counts_each_scale_anew():
    with working("loading") as at_work:

        def state():
            (task,) = at_work.bar.tasks
            return task.description, task.completed, task.total, task.time_remaining

        assert state() == ("loading", 0, None, None)
        at_work.stage("scoring at scale 0.5")
        for done in (30, 60, 90):
            at_work.advance(done, 100)
        assert state()[:3] == ("scoring at scale 0.5", 90, 100)
        at_work.stage("scoring at scale 1")
        assert state() == ("scoring at scale 1", 0, None, None)
        at_work.advance(100, 400)
        # Too little is known of this scale; the speed of the one before is not taken.
        assert state() == ("scoring at scale 1", 100, 400, None)


def test_a_terminal_shows_what_is_done_and_how_long_it_takes(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with working("loading") as at_work:
        at_work.stage("scoring [b]cat[/b].png at scale 0.5")
        for done in (30, 60, 90):
            time.sleep(0.01)
            at_work.advance(done, 100)
        at_work.bar.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert re.search(r"scoring \[b\]cat\[/b\]\.png at scale 0\.5 .*━.* 0:00:0\d", shown)


SLOW = """
import sys, time
from heatmap import cli, collecting, grid, running, scoring
for module in (grid, collecting, running):
    module.LARGE_GRID_BYTES = 0
finish = collecting.Collector.finish

def slow(self, origin):
    print("ready", flush=True)
    time.sleep(60)
    return finish(self, origin)

collecting.Collector.finish = slow
sys.argv = ["heatmap", *sys.argv[1:]]
cli.main()
"""


def test_being_terminated_leaves_no_file(call):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "run", "cat.png", *PADDED, "-o", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])},
    )
    before = everything()
    assert process.stdout.readline() == "ready\n"
    assert len(everything()) > len(before)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.splitlines()[1:] == ["heatmap: terminated"]
    assert everything() == before
