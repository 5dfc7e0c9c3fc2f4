"""The whole main job with real weights on real photos."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import heatmap
from heatmap.runs.request import Display, MultiScale
from heatmap.runs.result import Result
from heatmap.scoring import prepare as preparing
from tests.support.paths import SAMPLES
from tests.support.runs import run

# Drawn by hand on skimage.data.chelsea(), 300 x 451 px: left, top, right, bottom.
CAT_FACE_XYXY = (110, 70, 360, 270)
WALL_XYXY = (0, 0, 60, 60)


@pytest.fixture(scope="module")
def scorer(prepared_once) -> heatmap.Scorer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "_prepared", prepared_once)
        return heatmap.prepare()


def sample(name: str) -> ModuleType:
    """A module of samples/."""
    spec = importlib.util.spec_from_file_location(name, SAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def collage():
    return sample("make_collage").make_collage()


@pytest.fixture(scope="module")
def saved_collage(collage, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "collage.png"
    Image.fromarray(collage[0]).save(path)
    return path


@pytest.fixture(scope="module")
def untold(scorer, saved_collage) -> Result:
    """The collage at its own size, at which its objects fill a window; no class is named."""
    own = MultiScale(scales="native")
    return run(saved_collage, scorer, saved_collage.parent / "untold", placement=own)


@pytest.fixture(scope="module")
def collage_grid(untold) -> heatmap.ScoreGrid:
    return untold.grid


@pytest.fixture(scope="module")
def asked(scorer, saved_collage, collage) -> Result:
    display = Display(classes=[labelled.label for labelled in collage[1]])
    return run(saved_collage, scorer, saved_collage.parent / "asked", display=display)


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0) * max(high, 0)
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (one, other))
    return shared / (areas - shared)


def mean_in(heat: np.ndarray, xyxy: tuple[int, int, int, int]) -> float:
    left, top, right, bottom = xyxy
    return float(heat[top:bottom, left:right].mean())


@pytest.mark.slow
def test_cat_of_the_demo_is_hot_and_the_wall_is_not(scorer, collage, tmp_path, monkeypatch):
    """The demo finds make_collage, which the fixture has loaded."""
    demo, described = sample("demo"), []
    describe = demo.describe
    monkeypatch.setattr(demo, "describe", lambda done: described.append(done) or describe(done))
    assert demo.show_cat(scorer, tmp_path)
    assert (tmp_path / "chelsea.heatmap.jpg").exists()
    (done,) = described
    heat = done.grid.heatmap("Egyptian cat")
    assert heat.shape == (300, 451)
    assert mean_in(heat, CAT_FACE_XYXY) >= 5 * mean_in(heat, WALL_XYXY)


def test_hottest_pixel_of_each_labelled_object_lies_in_its_box(collage_grid, collage):
    objects = collage[1]
    assert len(objects) >= 5
    for labelled in objects:
        heat = collage_grid.heatmap(labelled.label)
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        left, top, right, bottom = labelled.box_xyxy
        assert left <= x < right, labelled.label
        assert top <= y < bottom, labelled.label


def test_localize_finds_the_labelled_objects_without_being_told(collage_grid, collage):
    detections = heatmap.localize(collage_grid, conf=0.3)
    for labelled in collage[1]:
        best = next(item for item in detections if item.name == labelled.label)
        x, y = (best.xyxy[0] + best.xyxy[2]) / 2, (best.xyxy[1] + best.xyxy[3]) / 2
        left, top, right, bottom = labelled.box_xyxy
        assert left <= x < right, labelled.label
        assert top <= y < bottom, labelled.label


def test_boxes_lie_tight_around_the_objects_without_being_told(untold, collage):
    ious = []
    for labelled in collage[1]:
        best = next(item for item in untold.detections if item.name == labelled.label)
        ious.append(iou(best.xyxy, labelled.box_xyxy))
    assert min(ious) >= 0.25
    assert sum(value >= 0.4 for value in ious) >= len(ious) - 1 >= 4


@pytest.mark.slow
def test_nothing_else_is_as_hot_as_the_object_in_a_sharp_map(asked, collage):
    _, objects = collage
    assert asked.findings.maps.classes.names == tuple(labelled.label for labelled in objects)
    for labelled in objects:
        heat = asked.findings.maps.heatmap(labelled.label)
        left, top, right, bottom = labelled.box_xyxy
        x, y = np.arange(heat.shape[1]) + 0.5, np.arange(heat.shape[0]) + 0.5
        inside = np.outer((top <= y) & (y < bottom), (left <= x) & (x < right))
        assert heat[~inside].max() < heat[inside].max(), labelled.label


@pytest.mark.slow
def test_no_box_beside_the_object_is_more_confident_than_one_on_it(asked, collage):
    for labelled in collage[1]:
        boxes = [item for item in asked.detections if item.name == labelled.label]
        on_it = [item.confidence for item in boxes if iou(item.xyxy, labelled.box_xyxy) > 0]
        beside = [item.confidence for item in boxes if iou(item.xyxy, labelled.box_xyxy) == 0]
        assert on_it, labelled.label
        assert max(beside, default=0) <= max(on_it), labelled.label


@pytest.mark.slow
def test_the_demo_runs(tmp_path):
    demo = SAMPLES / "demo.py"
    done = subprocess.run(
        [sys.executable, demo, tmp_path / "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "chelsea.heatmap.jpg").exists()
