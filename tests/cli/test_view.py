"""`heatmap view`."""

import json
import shutil
from pathlib import Path

import pytest

import heatmap
from heatmap import ResultError
from tests.support.command_line import (
    PADDED,
    POOLED,
    Outcome,
    assert_one_line,
    everything,
    save_with_pillow,
)


def test_view_writes_the_page_that_run_writes(call):
    call("run", "cat.png", *POOLED, "--html", "-o", "out")
    expected = Path("out/cat.html").read_bytes()
    for results in ("out", "out/cat.json"):
        Path("out/cat.html").unlink()
        assert call("view", results) == Outcome(0, "wrote out/cat.html\n", "")
        assert Path("out/cat.html").read_bytes() == expected
    assert json.loads(call("view", "out", "--json").out) == ["out/cat.html"]


def test_view_of_a_folder_writes_all_pages_beside_other_files(call):
    shutil.copy("cat.png", "other.png")
    for name in ("cat.png", "other.png"):
        call("run", name, *PADDED, "--format", "coco", "--format", "geojson", "-o", "out")
    assert call("view", "out").out == "wrote out/cat.html\nwrote out/other.html\n"
    assert_one_line(call("view", "out", "--photo", "cat.png"), "out: holds the results of 2 photos")


def test_of_a_batch_its_own_page_is_named(call):
    Path("out/photos").mkdir(parents=True)
    outcome = call("view", "out")
    assert_one_line(outcome, "out: holds a batch: open out/index.html in a browser, or give")


@pytest.mark.parametrize("command", ["view", "render"])
def test_a_result_that_fails_does_not_end_those_of_other_photos(call, command):
    for name in ("a", "b", "c", "d"):
        shutil.copy("cat.png", f"{name}.png")
        call("run", f"{name}.png", *PADDED, "-o", "out")
    Path("a.png").write_bytes(Path("cat.png").read_bytes()[:-300])
    Path("c.png").unlink()
    Path("out/d.json").write_text("{")
    outcome = call(command, "out")
    assert outcome.code == 1
    made = {"view": "out/b.html", "render": "results/b.heatmap.jpg"}[command]
    assert outcome.out == f"wrote {made}\n"
    lines = outcome.err.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["heatmap"] * 3
    for line, part in zip(
        lines, ("a.png: is not the photo", "c.png: no such", "out/d.json: not"), strict=True
    ):
        assert part in line
    assert call(command, "out", "--json").code == 1
    make = {"view": heatmap.view, "render": heatmap.render}[command]
    with pytest.raises(ResultError, match=r"3 of 4 results failed, the others are done: .*a\.png"):
        make("out")


def test_view_takes_a_photo_that_was_moved(call):
    call("run", "cat.png", *PADDED, "-o", "out")
    Path("away").mkdir()
    Path("cat.png").rename("away/moved.png")
    assert_one_line(call("view", "out"), "cat.png: no such file")
    save_with_pillow("noise.png", hw=(100, 120))
    assert_one_line(
        call("view", "out", "--photo", "noise.png"),
        "noise.png: is not the photo that was scored",
        "--photo",
    )
    assert not Path("out/cat.html").exists()
    assert call("view", "out", "--photo", "away/moved.png").code == 0
    assert "moved.png" in Path("out/cat.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("results", "parts"),
    [
        ("nowhere", ("nowhere: cannot be read", "No such file")),
        ("empty", ("empty: no results in this folder: run a photo into it first",)),
        ("cat.png", ("cat.png: not the result of a run",)),
    ],
)
def test_view_of_what_is_no_result_is_one_line(call, results, parts):
    Path("empty").mkdir()
    before = everything()
    assert_one_line(call("view", results), *parts)
    assert everything() == before
