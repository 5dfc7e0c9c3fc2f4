"""The whole main job with real weights on real photos."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage

import heatmap

# Drawn by hand on skimage.data.chelsea(), 300 x 451 px: left, top, right, bottom.
CAT_FACE_XYXY = (110, 70, 360, 270)
WALL_XYXY = (0, 0, 60, 60)


@pytest.fixture(scope="module")
def scorer() -> heatmap.Scorer:
    return heatmap.prepare()


@pytest.fixture(scope="module")
def collage():
    path = Path(__file__).parent.parent / "samples" / "make_collage.py"
    spec = importlib.util.spec_from_file_location("make_collage", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.make_collage()


def mean_in(heat: np.ndarray, xyxy: tuple[int, int, int, int]) -> float:
    left, top, right, bottom = xyxy
    return float(heat[top:bottom, left:right].mean())


def test_cat_is_hot_and_the_wall_is_not(scorer):
    grid = heatmap.score(skimage.data.chelsea(), scorer, scale=3)
    heat = grid.heatmap("Egyptian cat")
    assert heat.shape == (300, 451)
    assert mean_in(heat, CAT_FACE_XYXY) >= 5 * mean_in(heat, WALL_XYXY)


def test_hottest_pixel_of_each_labelled_object_lies_in_its_box(scorer, collage):
    photo, objects = collage
    grid = heatmap.score(photo, scorer)
    assert len(objects) >= 5
    for one in objects:
        heat = grid.heatmap(one.label)
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        left, top, right, bottom = one.box_xyxy
        assert left <= x < right, one.label
        assert top <= y < bottom, one.label


def test_localize_finds_the_labelled_objects_without_being_told(scorer, collage):
    photo, objects = collage
    found = heatmap.localize(heatmap.score(photo, scorer))
    for one in objects:
        best = next(item for item in found if item.name == one.label)
        x, y = (best.xyxy[0] + best.xyxy[2]) / 2, (best.xyxy[1] + best.xyxy[3]) / 2
        left, top, right, bottom = one.box_xyxy
        assert left <= x < right, one.label
        assert top <= y < bottom, one.label


def test_the_demo_runs(tmp_path):
    demo = Path(__file__).parent.parent / "samples" / "demo.py"
    done = subprocess.run(
        [sys.executable, demo, tmp_path / "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "chelsea.Egyptian-cat.png").exists()
