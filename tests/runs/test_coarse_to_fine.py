"""Runs that crop from coarse to fine: ``--stride auto``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import heatmap
from heatmap.errors import GeometryError
from heatmap.photo.photo import Photo
from heatmap.runs.request import MultiScale
from heatmap.scoring.stream import ScoreStream

WINDOW, STRIDE = 32, 4
HW = (120, 200)
# Left, top, right, bottom of a red and of a blue rectangle.
THINGS = {"red": (20, 30, 60, 70), "blue": (130, 50, 170, 90)}
ONE_SCALE = {"scales": 1.0, "progress": False}


class Colours(nn.Module):
    """How much red, or blue, a window shows; counts the windows that it and its copies get."""

    seen = 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        Colours.seen += len(windows)
        red, green, blue = windows.mean(dim=(2, 3)).unbind(1)
        seen = torch.stack([red - green, blue - green, torch.full_like(red, 0.4)], dim=1)
        return 8 * seen


@pytest.fixture(scope="module")
def scorer():
    return heatmap.prepare(
        Colours(),
        engine="crop",
        backend="torch",
        window=WINDOW,
        class_names=[*THINGS, "background"],
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )


@pytest.fixture
def photo(tmp_path):
    pixels = np.full((*HW, 3), 60, np.uint8)
    for channel, (left, top, right, bottom) in zip((0, 2), THINGS.values(), strict=True):
        pixels[top:bottom, left:right] = 0
        pixels[top:bottom, left:right, channel] = 255
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "things.png")
    return folder / "things.png"


@pytest.fixture(autouse=True)
def fine_stride(monkeypatch):
    monkeypatch.setattr("heatmap.scoring.scoring_network.CROP_STRIDE_PX", STRIDE)


def boxes(result):
    return [(each.name, each.xyxy, each.confidence) for each in result.detections]


@pytest.mark.parametrize(
    ("classes", "scales"), [((), 1.0), ((), (0.5, 1.0)), (("red",), 1.0), (("red", "blue"), 1.0)]
)
def test_the_same_is_found_in_fewer_crops(scorer, photo, classes, scales):
    options = {"scales": scales, "classes": classes}
    full = heatmap.run(photo, scorer, **options)
    Colours.seen = 0
    found = heatmap.run(photo, scorer, stride="auto", **options)
    assert boxes(found) == boxes(full)
    assert {each.name for each in found.detections} == set(classes or THINGS)
    done, of = found.maps.origin.cropped
    assert (
        done
        == Colours.seen
        < of
        == sum(grid.scores[:, :, 0].size for grid in full.windows.scales.values())
    )
    assert full.maps.origin.cropped is None
    assert f"{done:,} of {of:,} windows were cropped, from coarse to fine" in found.notes
    # Nothing is left open, and what was not cropped is not far off.
    assert not np.isnan(found.maps.scores).any()
    assert np.abs(found.maps.scores - full.maps.scores).mean() < 0.02


def test_the_result_tells_how_many_were_cropped_and_renders_the_same_boxes(scorer, photo, tmp_path):
    out = tmp_path / "out"
    heatmap.run(photo, scorer, output=out, stride="auto", save_grid=True, scales=(0.5, 1.0))
    told = json.loads((out / "things.json").read_bytes())
    schema = Path(heatmap.__file__).with_name("runs") / "result.schema.json"
    jsonschema.validate(told, json.loads(schema.read_bytes()))
    done, of = told["origin"]["cropped"]
    assert 0 < done < of
    grids = [heatmap.load(out / f"things.{name}.grid.npz") for name in ("x0.5", "x1")]
    assert sum(grid.origin.cropped[0] for grid in grids) == done
    again = [(each.name, list(each.xyxy)) for each in heatmap.localize(grids)]
    assert again == [(each["class"], each["box_xyxy"]) for each in told["detections"]]
    heatmap.render(out, tmp_path / "again", conf=0.35)
    assert (tmp_path / "again" / "things.heatmap.jpg").exists()


def test_skipped_windows_are_neither_cropped_nor_filled_in(scorer, photo):
    mask = np.zeros((*HW, 3), np.uint8)
    mask[:, :60] = 255
    Colours.seen = 0
    found = heatmap.run(photo, scorer, stride="auto", mask=mask, **ONE_SCALE)
    (grid,) = found.windows.scales.values()
    full = heatmap.run(photo, scorer, mask=mask, **ONE_SCALE)
    assert np.array_equal(grid.scored, next(iter(full.windows.scales.values())).scored)
    assert {each.name for each in found.detections} == {"red"}


def test_stored_classes_get_the_same_scores(scorer, photo):
    found = heatmap.run(photo, scorer, stride="auto", **ONE_SCALE)
    some = heatmap.run(photo, scorer, stride="auto", store_classes="red", **ONE_SCALE)
    assert some.windows.grid.scores[:, :, 0] == pytest.approx(
        found.windows.grid.probabilities()[:, :, 0], abs=1e-6
    )


def test_a_batch_does_as_a_run_does(scorer, photo, tmp_path):
    heatmap.run(photo, scorer, output=tmp_path / "one", stride="auto", **ONE_SCALE)
    heatmap.batch(photo.parent, scorer, output=tmp_path / "many", stride="auto", **ONE_SCALE)
    (one,), (many,) = (
        [json.loads(file.read_bytes()) for file in (tmp_path / name).rglob("things.json")]
        for name in ("one", "many")
    )
    assert many["detections"] == one["detections"]
    assert many["origin"]["cropped"] == one["origin"]["cropped"]


def test_evaluating_measures_it(scorer, photo):
    lines = [f"things.png,{name},{','.join(map(str, box))}" for name, box in THINGS.items()]
    listed = photo.with_name("boxes.csv")
    listed.write_text("\n".join(["file,label,xmin,ymin,xmax,ymax", *lines]))
    seen = {}
    for stride in (None, "auto"):
        Colours.seen = 0
        report = heatmap.evaluate(photo.parent, listed, scorer, cam=False, stride=stride, scales=1)
        assert report.named.methods["heatmap"].total.all.pointing == 1
        seen[stride] = Colours.seen
    assert seen["auto"] < seen[None]


def test_sliding_is_not_affected(photo):
    module = nn.Sequential(nn.Conv2d(3, 2, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    sliding = heatmap.prepare(module.eval(), window=WINDOW)
    assert sliding.engine == "slide"
    auto, plain = (
        heatmap.run(photo, sliding, stride=stride, **ONE_SCALE) for stride in ("auto", None)
    )
    assert np.array_equal(auto.maps.scores, plain.maps.scores)
    assert auto.maps.origin.cropped is None


def test_verify_refuses_it_and_other_words_are_refused(scorer, photo):
    with pytest.raises(GeometryError, match="stride is auto, at which only some windows"):
        heatmap.verify(photo, scorer, stride="auto")
    with pytest.raises(GeometryError, match="stride is 'fine': give a number of px, or 'auto'"):
        MultiScale(stride="fine")


def test_a_photo_of_one_window_is_cropped_once(scorer):
    Colours.seen = 0
    small = Photo(np.zeros((WINDOW, WINDOW, 3), np.uint8))
    found = heatmap.run(small, scorer, stride="auto", **ONE_SCALE)
    assert found.maps.origin.cropped == (1, 1)
    assert Colours.seen == 1


def test_workers_that_give_whole_rows_overwrite_nothing(scorer, photo):
    """Blocks of workers hold, as NaN, cells that were scored in an earlier stage."""

    def whole(job, positions):
        stream = job.start()
        rows = np.full((*job.geometry.grid_hw, 3), np.nan, np.float32)
        for row, column, scores in stream.blocks:
            rows[row, column] = scores
        return ScoreStream(stream.computation, iter([(0, 0, rows)]))

    expected = heatmap.run(photo, scorer, stride="auto", **ONE_SCALE)
    spread = heatmap.run(photo, replace(scorer, spread=whole), stride="auto", **ONE_SCALE)
    assert np.array_equal(spread.windows.grid.scores, expected.windows.grid.scores)
