"""Runs on a region of a photo, against runs on a photo that has only its pixels."""

import csv
import json

import numpy as np
import pytest
import tifffile

import heatmap
from heatmap.errors import GeometryError
from heatmap.grid.skip import Skip
from heatmap.names import ResultNames
from heatmap.photo.photo_file import PhotoFile
from heatmap.runs.request import Display, Extras, Limits, MultiScale
from heatmap.runs.saved import saved_results
from heatmap.runs.view import render, view
from tests.support.runs import PHOTO, assert_same, run, told

LEFT, TOP, WIDTH, HEIGHT = REGION = (17, 9, 80, 70)
CUT = PHOTO[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]
DISPLAY = Display(classes=(1, 3), conf=0.01, confirm=0)
FORMATS = Extras(formats=("csv", "coco", "geojson", "tiff"), html=True)


@pytest.fixture
def cut(tmp_path):
    (tmp_path / "cut").mkdir()
    tifffile.imwrite(tmp_path / "cut" / "cat.tif", CUT)
    return tmp_path / "cut" / "cat.tif"


@pytest.fixture(params=[(1.0,), (0.8, 1.5)])
def both(request, tmp_path, scorer, photo, cut):
    """A run on the region, and one on the photo cut out."""
    options = {"display": DISPLAY, "placement": MultiScale(scales=request.param), "extras": FORMATS}
    limits = Limits(region=REGION)
    of_region = run(photo, scorer, tmp_path / "region", limits=limits, **options)
    return of_region, run(cut, scorer, tmp_path / "alone", **options)


def test_boxes_are_those_of_the_part_moved_to_the_whole_photo(both):
    of_region, alone = both
    assert len(alone.detections) > 2
    assert_same(of_region.grid.scores, alone.grid.scores)
    for found, expected in zip(of_region.detections, alone.detections, strict=True):
        assert found.name == expected.name
        assert found.confidence == pytest.approx(expected.confidence, rel=1e-4)
        for ours, theirs in (
            (found.xyxy, expected.xyxy),
            (found.window_xyxy, expected.window_xyxy),
        ):
            assert ours == pytest.approx(np.add(theirs, (LEFT, TOP, LEFT, TOP)), abs=1e-3)


def test_files_have_boxes_on_the_whole_photo_and_pictures_of_the_part(both):
    of_region, alone = both
    described = told(of_region)
    assert described["photo"]["region_xywh"] == list(REGION)
    assert (described["photo"]["width"], described["photo"]["height"]) == (120, 100)
    assert told(alone)["photo"]["region_xywh"] is None
    boxes = [list(found.xyxy) for found in of_region.detections]
    assert [found["box_xyxy"] for found in described["detections"]] == boxes
    exports = of_region.saved.exports
    rows = list(csv.DictReader(exports["csv"][0].open()))
    assert [float(row["left"]) for row in rows] == [box[0] for box in boxes]
    features = json.loads(exports["geojson"][0].read_text())["features"]
    assert [feature["properties"]["box_px"] for feature in features] == boxes
    (image,) = json.loads(exports["coco"][1].read_text())["images"]
    assert (image["width"], image["height"]) == (120, 100)
    heat = tifffile.imread(exports["tiff"][0])
    assert heat.shape == (HEIGHT, WIDTH)
    paths = (of_region.saved.pictures[0], alone.saved.pictures[0])
    ours, theirs = (heatmap.read_photo(path).pixels.astype(int) for path in paths)
    assert np.abs(ours - theirs).mean() < 0.5


def test_what_is_saved_is_read_back_drawn_and_viewed(both, tmp_path):
    of_region, _ = both
    description, page = of_region.saved.description, of_region.saved.page
    (saved,) = saved_results(description)
    assert saved.detections == of_region.detections
    assert saved.findings().maps.origin.region == of_region.photo.region
    expected, drawn = page.read_bytes(), of_region.saved.pictures[0].read_bytes()
    assert view(description) == [page]
    assert page.read_bytes() == expected
    (again,) = render(description, tmp_path / "again")
    assert again.read_bytes() == drawn


def test_a_region_of_a_large_photo_gives_the_same(tmp_path, scorer, photo, monkeypatch):
    limits = Limits(region=REGION)
    small = run(photo, scorer, tmp_path / "small", display=DISPLAY, limits=limits)
    monkeypatch.setattr("heatmap.photo.photo_file.LARGE_PX", 1000)
    large = run(photo, scorer, tmp_path / "large", display=DISPLAY, limits=limits)
    assert isinstance(large.photo, PhotoFile)
    assert_same(large.grid.scores, small.grid.scores)
    assert [found.name for found in large.detections] == [found.name for found in small.detections]


def test_scales_follow_the_region(tmp_path, scorer, photo):
    placement = MultiScale(scales="photo")
    window = scorer.classifier.preprocessing.window_px
    options = {"placement": placement, "limits": Limits(region=(0, 0, 120, 33))}
    done = run(photo, scorer, tmp_path / "out", **options)
    expected = placement.scales_for((33, 120), scorer.classifier.scale_rule, window, named=False)
    scales = [grid.geometry.scaled_hw[0] / 33 for grid in (done.grids or {"": done.grid}).values()]
    assert scales == pytest.approx(expected, abs=0.02)


def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path, scorer, photo):
    outside = Limits(region=(100, 0, 40, 40))
    with pytest.raises(GeometryError, match="region 100,0,40,40 is not inside the photo of 120 x"):
        run(photo, scorer, tmp_path / "out", limits=outside)
    masked = Limits(region=REGION, skip=Skip(mask=np.full((100, 120, 3), 255, np.uint8)))
    with pytest.raises(GeometryError, match="a mask is for the whole photo"):
        run(photo, scorer, tmp_path / "out", limits=masked)
    assert not ResultNames.of_photo(tmp_path / "out", str(photo)).path(".json").exists()
