"""The page of a photo as a file; test_browser.py opens it."""

import base64
import hashlib
import os

import numpy as np
import pytest

from heatmap.classes import ClassList
from heatmap.errors import ResultError
from heatmap.grid.origin import Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.photo.photo import Photo
from heatmap.rendering import page as viewing
from heatmap.rendering.page import page_data, page_files
from tests.support.pages import (
    CLASSES,
    REGION,
    data_of,
    find,
    findings_of,
    make_grid,
    make_photo,
    origin,
    picture_of,
    written,
)

HOSTILE = "<img src=x onerror=alert(1)></script><!--$title.png"
MISSING = (slice(0, 4), slice(0, 3))
FINDINGS = findings_of(make_grid())


def test_hostile_names_stay_text(tmp_path):
    hostile = ClassList((HOSTILE, *CLASSES.names[1:]))
    grid = make_grid(
        origin=origin(model=HOSTILE, weights=Weights("own", HOSTILE, ""), photo=HOSTILE)
    )
    grid = ScoreGrid(grid.scores, grid.geometry, hostile, "logits", grid.origin)
    findings = findings_of(grid, [find(grid, hostile.single(0))])
    page = written(tmp_path, make_photo(f"some/{HOSTILE}"), findings, grid)
    tags = [tag for tag, _ in page.found]
    assert "img" not in tags
    assert tags.count("script") == 2
    assert page.of("title")[0][1] == "script><!--$title.png"  # of the path, the last part
    data = data_of(page)
    assert HOSTILE in data["windows"]["names"]
    assert data["detections"][0]["name"] == HOSTILE
    assert dict(data["about"])["Photo"] == f"some/{HOSTILE}"


def test_the_title_is_the_name_of_the_file(tmp_path):
    assert written(tmp_path, make_photo("a/cat.jpg")).of("title")[0][1] == "cat.jpg"
    assert written(tmp_path).of("title")[0][1] == "photo"


def test_name_that_is_not_utf8_does_no_harm(tmp_path):
    page = written(tmp_path, make_photo(os.fsdecode(b"caf\xe9.png")))
    assert data_of(page)["title"] == os.fsdecode(b"caf\xe9.png")
    assert page.of("title")[0][1] == "caf?.png"


def test_policy_allows_the_pages_own_script_and_style_only(tmp_path):
    page = written(tmp_path)
    [policy] = [
        attributes["content"]
        for attributes, _ in page.of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    [script] = [text for attributes, text in page.of("script") if attributes["type"] == "module"]
    [(_, style)] = page.of("style")
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"


def test_nothing_in_the_page_points_elsewhere(tmp_path):
    page = written(tmp_path)
    links = [value for _, attributes in page.found for value in attributes.values() if value]
    assert not [value for value in links if "//" in value]
    assert [attributes["href"] for attributes, _ in page.of("link")] == ["data:,"]


def test_small_photo_is_embedded_without_loss_and_a_larger_one_as_jpeg(monkeypatch):
    photo = make_photo()
    kind, pixels = picture_of(page_data(photo, FINDINGS, None, title="", stem=""))
    assert kind == "data:image/png"
    np.testing.assert_array_equal(pixels, photo.pixels)
    monkeypatch.setattr(viewing, "LOSSLESS_PX", 1000)
    kind, pixels = picture_of(page_data(photo, FINDINGS, None, title="", stem=""))
    assert kind == "data:image/jpeg"
    assert np.abs(pixels.astype(int) - photo.pixels).mean() < 4


def test_photo_longer_than_jpeg_allows_is_embedded_as_png(monkeypatch):
    monkeypatch.setattr(viewing, "LOSSLESS_PX", 1000)
    findings = findings_of(make_grid((4, 70_000)))
    photo = Photo(np.zeros((4, 70_000, 3), np.uint8))
    data = page_data(photo, findings, None, title="", stem="")
    assert data["photo"]["image"].startswith("data:image/png")


def test_photo_of_another_size_is_refused():
    with pytest.raises(ResultError, match="photo is 100 x 200 px, the scored one was 420 x 300"):
        page_files(make_photo(hw=(200, 100)), FINDINGS)


def of_page(grid: ScoreGrid, photo: Photo | None = None, *, sharp: bool = False) -> dict:
    findings = findings_of(grid, sharp=sharp)
    return page_data(photo or make_photo(), findings, None, title="", stem="")


def test_settings_say_what_made_the_maps():
    data = of_page(make_grid(scale=0.5), make_photo("a/cat.jpg"))
    assert data["settings"] == "vgg16 · weights: default (ImageNet) · scale 0.5"
    about = dict(data["about"])
    assert about["Maps"] == "8, of windows, one every 32 px"
    assert about["Size"] == "420 × 300 px"
    assert data["warnings"] == []


def test_sharp_maps_are_said_to_be_of_positions():
    about = dict(of_page(make_grid(), sharp=True)["about"])
    assert about["Maps"] == "8, of positions of the feature map, one every 16 px"


def test_region_is_told_with_the_whole_photo():
    about = dict(of_page(make_grid(origin=origin(region=REGION)))["about"])
    assert about["Region"] == "from x 1000, y 500 px of a photo of 4000 × 3000 px"
    assert "Region" not in dict(of_page(make_grid())["about"])


def test_several_scales_are_named_with_how_they_were_fused():
    fused = make_grid(origin=origin(scales=(0.5, 1.0, 2.0), fuse="mean"))
    assert of_page(fused)["settings"].endswith(" · scales 0.5, 1, 2 (mean)")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"weights": Weights("random", "random (seed 0)", "")},
            ["Random weights: this means nothing."],
        ),
        (
            {"sliding": "inexact"},
            ["Inexact: each score depends on what else is in the photo."],
        ),
        ({"sliding": "inexact", "engine": "crop"}, []),
    ],
)
def test_what_a_reader_must_know_is_said(changes, expected):
    assert of_page(make_grid(origin=origin(**changes)))["warnings"] == expected


def test_notes_on_the_network_stand_among_the_facts():
    grid = make_grid(origin=origin(notes=("scored in one pass", "prefixes taken off")))
    about = dict(of_page(grid)["about"])
    assert about["Notes"] == "scored in one pass; prefixes taken off"


def test_windows_not_scored_are_counted():
    about = dict(of_page(make_grid(missing=MISSING))["about"])
    assert about["Not scored"] == f"12 of {make_grid().scored.size} windows"
