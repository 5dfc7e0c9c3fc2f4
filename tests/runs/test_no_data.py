"""Runs on photos of which a part is no photo: the sharp maps stay, and the note says how many."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips
import skimage.data

import heatmap
from heatmap.runs.batch import BatchSources, run_batch
from heatmap.runs.request import Display, Extras, Limits, MultiScale, Request
from heatmap.runs.settings import ScorerRecipe
from tests.support.command_networks import pooled
from tests.support.runs import run, told

HW = (160, 416)
SCALES = MultiScale(scales=(0.5, 1.0))
SURE = Display(conf=0.1)


@pytest.fixture(scope="module")
def scorer():
    return heatmap.prepare(pooled(), window=32)


@pytest.fixture
def photos(tmp_path):
    """A photo whose left part is transparent, the same opaque, and one that is all transparent."""
    pixels = skimage.data.chelsea()[70:230, :416].copy()
    pixels[:, :64] = 255
    alphas = {name: np.full(HW, 255, np.uint8) for name in ("part", "whole", "nothing")}
    alphas["part"][:, :64] = 0
    alphas["nothing"][:] = 0
    for name, alpha in alphas.items():
        image = pyvips.Image.new_from_array(np.dstack([pixels, alpha]))
        image.pngsave(str(tmp_path / f"{name}.png"))
    return tmp_path


def test_a_transparent_part_leaves_sharp_maps_and_detections_beside_it(photos, scorer):
    part, whole = (
        run(photos / f"{name}.png", scorer, photos / name, placement=SCALES, display=SURE)
        for name in ("part", "whole")
    )
    assert part.findings.maps.origin.is_sharp
    left_out = ~part.grid.scored
    assert 0 < left_out.sum() < left_out.size
    # Nothing is found where there is no photo; what was found far from it stays.
    assert all(detection.window_xyxy[2] > 64 for detection in part.detections)
    found, expected = (
        [one for one in done.detections if one.window_xyxy[0] >= 160] for done in (part, whole)
    )
    assert len(expected) >= 3
    assert found == expected


def test_the_note_counts_the_windows_of_all_scales(photos, scorer):
    done = run(photos / "part.png", scorer, photos / "out", placement=SCALES)
    missing = sum(int((~grid.scored).sum()) for grid in done.grids.values())
    windows = sum(grid.scored.size for grid in done.grids.values())
    note = f"{missing:,} of {windows:,} windows show mostly no data and were not scored"
    assert note in done.grid.origin.notes
    described = told(done)
    assert note in described["origin"]["notes"]
    assert described["photo"]["notes"] == ["transparency laid over white"]
    assert described["not_scored"] == int((~done.grid.scored).sum()) > 0
    # They are shown as what was not scored.
    assert np.isnan(done.findings.maps.scores).any()


def test_regions_are_judged_alone(photos, scorer):
    inside = Limits(region=(80, 0, 320, 160))
    done = run(photos / "part.png", scorer, photos / "out", limits=inside, placement=SCALES)
    assert done.grid.scored.all()
    assert not any("no data" in note for note in done.grid.origin.notes)
    outside = Limits(region=(0, 0, 64, 160))
    with pytest.raises(heatmap.PhotoError, match=r"part.png: all \d+ windows show mostly no data"):
        run(photos / "part.png", scorer, photos / "out", limits=outside, placement=SCALES)


def test_a_scale_without_a_scored_window_is_left_out(photos, scorer):
    """At 1/8 one window shows all; at 1 many show only photo."""
    pixels = skimage.data.chelsea()[70:230, :416].copy()
    alpha = np.zeros(HW, np.uint8)
    alpha[:, 290:] = 255
    path = photos / "third.png"
    pyvips.Image.new_from_array(np.dstack([pixels, alpha])).pngsave(str(path))
    coarse, fine = MultiScale(scales=(0.125,)), MultiScale(scales=(0.125, 1.0))
    with pytest.raises(heatmap.PhotoError, match="mostly no data"):
        run(path, scorer, photos / "out", placement=coarse)
    done = run(path, scorer, photos / "out", placement=fine, extras=Extras(html=True))
    assert not done.grids["x0.125"].scored.any()
    assert done.grids["x1"].scored.any()
    assert done.findings.maps.origin.is_sharp


def test_a_batch_notes_the_windows_of_each_photo(photos):
    recipe = ScorerRecipe("tests.support.command_networks:pooled", options={"window": 32})
    done = run_batch(BatchSources([photos]), photos / "out", recipe, Request(placement=SCALES))
    notes = {record.name: record.notes for record in done.records}
    assert any("show mostly no data and were not scored" in note for note in notes["part.png"])
    assert notes["whole.png"] == ()
