"""`heatmap render`."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import heatmap
from heatmap.rendering import overlay as rendering
from heatmap.scoring import prepare as preparing
from tests.support.command_line import PADDED, POOLED, assert_one_line, everything, save_with_pillow
from tests.support.command_networks import padded


def test_render_draws_what_run_drew_without_a_network(call, monkeypatch):
    call("run", "cat.png", *PADDED, "-o", "out", "--top", 2, "--stretch", "--confirm", 0)
    monkeypatch.setattr(preparing, "prepare", None)
    outcome = call(*("render", "out/cat.npz", "-o", "again", "--top", 2, "--stretch"))
    assert (outcome.code, outcome.err) == (0, "")
    drawn = [Path(path).name for path in everything("out") if path.endswith(".png")]
    assert len(drawn) == 2
    assert [Path(path).name for path in everything("again")] == drawn
    for name in drawn:
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()
        assert f"again/{name}\n" in outcome.out


def test_render_of_sharp_maps_outlines_no_single_positions(call):
    call("run", "cat.png", *POOLED, "-c", 3, "-o", "out")
    assert call("render", "out/cat.sharp.npz", "-c", "class 3", "-o", "again").code == 0
    sharp = heatmap.load("out/cat.sharp.npz")
    expected = rendering.overlay("cat.png", sharp, "class 3")
    drawn = cv2.imread("again/cat.sharp.class-3.png")[:, :, ::-1]
    np.testing.assert_array_equal(drawn, expected)


def test_render_json_lists_the_pictures_and_keeps_like_names_apart(call):
    call("run", "cat.png", *PADDED, "--class-names", "names.txt", "-o", "out", "--top", 1)
    outcome = call("render", "out/cat.npz", "-c", 2, "-c", 3, "-o", "again", "--json")
    assert json.loads(outcome.out) == [
        {"class": "crane", "file": "again/cat.crane-2.png"},
        {"class": "crane", "file": "again/cat.crane-3.png"},
    ]
    assert everything("again") == ["again/cat.crane-2.png", "again/cat.crane-3.png"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nowhere.npz",), ("nowhere.npz: not a score grid", "No such file")),
        (("cat.png",), ("cat.png: not a score grid",)),
        ((".",), ("not a score grid", "directory")),
        (("done/cat.npz", "nowhere.png"), ("nowhere.png: no such file",)),
        (("done/cat.npz", "small.png"), ("10 x 10", "120 x 100")),
        (("done/cat.npz", "-c", "cat"), ("no class 'cat'",)),
    ],
)
def test_render_of_bad_input(call, arguments, parts):
    call("run", "cat.png", *PADDED, "-o", "done")
    save_with_pillow("small.png", hw=(10, 10))
    before = everything()
    assert_one_line(call("render", *arguments, "-o", "out"), *parts)
    assert everything() == before


def test_render_needs_the_photo_of_an_array(call):
    classifier = heatmap.load_classifier(padded(), window=32)
    heatmap.score(np.zeros((40, 50, 3), np.uint8), classifier).save("array.npz")
    assert_one_line(call("render", "array.npz"), "array.npz", "give the photo as PHOTO")
    save_with_pillow("photo.png")
    assert call("render", "array.npz", "photo.png").code == 0
