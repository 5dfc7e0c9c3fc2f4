"""`heatmap render`."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import heatmap
from heatmap.runs import pictures
from heatmap.runs.saved import saved_results
from heatmap.scoring import prepare as preparing
from tests.support.command_line import (
    PADDED,
    POOLED,
    Outcome,
    assert_one_line,
    everything,
    save_with_pillow,
)


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        (PADDED, ()),
        (POOLED, ("-c", 3, "-c", "class 1", "--color-range", "0.05:0.4", "--alpha", 0.5)),
        (POOLED, ("--conf", 1, "--scale", 1)),
    ],
)
def test_render_draws_what_run_drew_without_a_network(call, monkeypatch, network, arguments):
    call("run", "cat.png", *network, "-o", "out", *arguments)
    monkeypatch.setattr(preparing, "prepare", None)
    outcome = call("render", "out", "-o", "again")
    assert outcome == Outcome(0, "wrote again/cat.heatmap.jpg\n", "")
    drawn = Path("again/cat.heatmap.jpg").read_bytes()
    assert drawn == Path("out/cat.heatmap.jpg").read_bytes()


def test_render_draws_single_classes_and_keeps_like_names_apart(call):
    call("run", "cat.png", *PADDED, "--class-names", "names.txt", "-o", "out", "--save-grid")
    arguments = ("-c", 2, "-c", 3, "--per-class", "-o", "again", "--json")
    outcome = call("render", "out/cat.json", *arguments)
    names = ["cat.crane-2.jpg", "cat.crane-3.jpg", "cat.heatmap.jpg"]
    assert everything("again") == [f"again/{name}" for name in names]
    assert sorted(json.loads(outcome.out)) == everything("again")


def test_render_leaves_out_what_is_less_sure(call):
    call("run", "cat.png", *PADDED, "-o", "out", "--conf", 0.01)
    (result,) = saved_results("out")
    assert len({one.confidence for one in result.detections}) > 1
    surest = result.detections[0].confidence
    heatmap.render("out", "again", conf=surest)
    assert np.abs(read("again") - read("out")).max() > 50


def read(folder):
    return cv2.imread(f"{folder}/cat.heatmap.jpg").astype(int)


def test_render_needs_a_grid_for_classes_that_were_not_looked_for(call):
    call("run", "cat.png", *PADDED, "-o", "out", "-c", 1)
    message = "class 'class 2' has no map: there are those of class 1"
    assert_one_line(
        call("render", "out", "-c", "class 2", "-o", "again"),
        message,
        "a run that saves its grid has those of all",
    )
    call("run", "cat.png", *PADDED, "-o", "out", "-c", 1, "--save-grid")
    assert call("render", "out", "-c", "class 2", "-c", "CLASS 2", "-o", "again").code == 0
    # There is heat where the class is probable, and nothing else is drawn.
    cells = heatmap.load("out/cat.grid.npz").class_map("class 2")
    heat = heatmap.load("out/cat.grid.npz").heatmap("class 2")
    photo = cv2.resize(cv2.imread("cat.png"), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    changed = np.abs(read("again")[: len(photo)] - photo).max(axis=2)[1::3, 1::3]
    assert changed[heat > 0.9 * cells.max()].min() > 60
    assert changed[heat < 0.02 * cells.max()].max(initial=0) < 60


def test_render_names_classes_as_run_does(call):
    call("run", "cat.png", *PADDED, "-o", "out", "-c", 1, "-c", 3)
    for name in ("class 3", "CLASS 3", "3"):
        assert call("render", "out", "-c", name, "-c", "class 3", "-o", "again").code == 0
    assert_one_line(call("render", "out", "-c", "2"), "class '2' has no map")


def test_another_threshold_parts_detections_and_guesses_anew(call, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures, "annotated", lambda pixels, found, **_: (drawn.append(found), pixels)[1]
    )
    call("run", "cat.png", *PADDED, "-o", "out", "--conf", 1)
    guesses = drawn[0].guesses
    assert call("render", "out", "--conf", 0.001, "-o", "again").code == 0
    assert (drawn[1].detections, drawn[1].guesses) == (guesses, ())
    call("run", "cat.png", *PADDED, "-o", "out", "--conf", 0.001)
    sure = drawn[2].detections
    assert call("render", "out", "--conf", 1, "-o", "again").code == 0
    assert (drawn[3].detections, drawn[3].guesses) == ((), sure[:3])


def test_render_draws_by_default_what_the_run_drew(call):
    call("run", "cat.png", *PADDED, "-o", "out", "--full", "--per-class", "-c", 1, "-c", 2)
    assert call("render", "out", "-o", "again").code == 0
    names = [f"cat.{name}.jpg" for name in ("class-1", "class-2", "heatmap")]
    assert everything("again") == [f"again/{name}" for name in names]
    for name in names:
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()


def test_another_photo_is_refused_before_its_region_is_read(call):
    call("run", "cat.png", *PADDED, "-o", "out", "--region", "40,30,80,70")
    save_with_pillow("small.png", hw=(10, 10))
    for command in ("render", "view"):
        refused = call(command, "out", "--photo", "small.png")
        assert_one_line(refused, "small.png: is not the photo that was scored for cat.json")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nowhere",), ("nowhere: cannot be read", "No such file")),
        (("cat.png",), ("cat.png: not the result of a run",)),
        (("done", "--photo", "nowhere.png"), ("nowhere.png: no such file",)),
        (("done", "--photo", "small.png"), ("small.png: is not the photo", "--photo")),
        (("done", "-c", "cat"), ("class 'cat' has no map",)),
        (("damaged",), ("cat.maps.npz: not a score grid that can be read",)),
        (("other",), ("cat.json: has maps of 1 classes", "run the photo again")),
    ],
)
def test_render_of_bad_input(call, arguments, parts):
    call("run", "cat.png", *PADDED, "-o", "done", "-c", 1)
    save_with_pillow("small.png", hw=(10, 10))
    for name in ("damaged", "other"):
        shutil.copytree("done", name)
    Path("damaged/cat.maps.npz").write_bytes(b"PK")
    call("run", "cat.png", *PADDED, "-o", "more", "-c", 1, "-c", 2)
    shutil.copy("more/cat.maps.npz", "other/cat.maps.npz")
    before = everything()
    assert_one_line(call("render", *arguments, "-o", "out"), *parts)
    assert everything() == before
