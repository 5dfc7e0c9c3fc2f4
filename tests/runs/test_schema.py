"""The schema of ``cat.json``: what runs write is valid, and what they do not write is not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import heatmap
from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.areas import areas_of
from heatmap.localization.detection import Detection
from heatmap.localization.findings import Findings, stored_maps, window_maps
from heatmap.localization.formats.coco import OWN_IDS
from heatmap.localization.scales import Windows
from heatmap.photo.photo import Photo
from heatmap.runs.formats import FORMATS
from heatmap.runs.request import Display, Extras, Request
from heatmap.runs.result import Result

SCHEMA = json.loads(
    Path(heatmap.__file__).with_name("runs").joinpath("result.schema.json").read_bytes()
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def made_grid(missing: bool = False) -> ScoreGrid:
    geometry = plan_grid((40, 50), Placement(scale=1.5), window=20, native_stride=10)
    scores = np.full((*geometry.grid_hw, 3), 0.1, dtype=np.float32)
    scores[0, 0, 0] = scores[2, 3, 1] = 0.8
    if missing:
        scores[1, 1] = np.nan
    origin = Origin(
        "photos/cat.jpg",
        "digest",
        "vgg16",
        Weights("random", "random (seed 0)", "d"),
        "slide",
        "exact",
        computation=Computation(threads=2, parts=1, band_px=40),
        notes=("scored crop by crop: it mixes positions",),
        versions={"torch": "2.14.1"},
    )
    classes = ClassList(("cat", "dog", "cup"), groups=(ClassGroup("pet", (0, 1)),))
    return ScoreGrid(scores, geometry, classes, "probabilities", origin)


def described(
    folder: Path, *, missing: bool = False, scales: bool = False, extras: bool = False
) -> dict[str, Any]:
    """What a run writes as ``cat.json``; extras are all files that can be asked for."""
    grid = made_grid(missing)
    photo = Photo(np.zeros((40, 50, 3), np.uint8), "photos/cat.jpg", ("first of 3 frames",))
    cat, pet = grid.classes.single(0), ClassGroup("pet", (0, 1))
    found = (
        Detection(cat, 0.8, (0, 0, 10.5, 9.25), (0, 0, 20, 20), (0, 0), 1.5, 0.8),
        Detection(pet, 0.4, (3, 4, 50, 40), (2, 3, 50, 40), (2, 3), 0.5, 0.4, 0.4),
    )
    maps = stored_maps(window_maps(grid, [cat, pet]))
    # A guess is described as a detection is.
    findings = Findings(*((found, ()) if extras else ((), found)), (cat, pet), maps)
    windows = Windows(dict.fromkeys(("x1", "x2") if scales else ("x1",), grid))
    areas = areas_of(grid) if extras else None
    if extras:
        photo = Photo(photo.pixels, "", photo.notes)
    every = Extras(FORMATS, html=True, thumbnail=True, save_grid=True, save_crops=True)
    display = Display(classes=(0,), color_range=(0.0, 0.5), per_class=True) if extras else Display()
    request = Request(display, extras=every if extras else Extras(save_grid=scales))
    image = OWN_IDS.image(photo.path)
    saved = Result(photo, findings, windows, request, image, areas).save(folder)
    return json.loads(saved.description.read_bytes())


@pytest.fixture
def valid(tmp_path) -> dict[str, Any]:
    return described(tmp_path)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("scales", [False, True])
def test_what_a_run_writes_is_valid(tmp_path, missing, scales):
    VALIDATOR.validate(described(tmp_path, missing=missing, scales=scales))


def test_all_files_that_can_be_asked_for_are_valid(tmp_path):
    told = described(tmp_path, extras=True, scales=True)
    VALIDATOR.validate(told)
    assert list(told["files"]["exports"]) == list(FORMATS)
    assert told["files"].keys() == SCHEMA["properties"]["files"]["properties"].keys()
    areas = told["areas"]
    shares = [one["fraction"] for one in (*areas["classes"], areas["others"])]
    assert sum(shares) + areas["not_scored"] == pytest.approx(1, abs=1e-5)


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every part of a schema that describes an object by its properties."""
    if isinstance(schema, list):
        return [found for part in schema for found in objects(part)]
    if not isinstance(schema, dict):
        return []
    inner = [found for part in schema.values() for found in objects(part)]
    return [schema, *inner] if "object" in schema.get("type", ()) else inner


def test_everything_is_described_and_nothing_else_is_allowed():
    assert len(objects(SCHEMA)) >= 8
    for part in objects(SCHEMA):
        assert "additionalProperties" in part
        if "properties" in part:
            assert part["additionalProperties"] is False
            optional = set(part["properties"]) - set(part["required"])
            assert optional <= {"areas", "per_class", "crops", "grid", "scales", "exports", "page"}
            assert all("description" in one or "$ref" in one for one in part["properties"].values())


def test_formats_are_those_that_are_exported():
    exports = SCHEMA["properties"]["files"]["properties"]["exports"]
    assert exports["propertyNames"]["enum"] == list(FORMATS)


WRONG = {
    "format": [("format",), 1],
    "score above 1": [("guesses", 0, "confidence"), 1.01],
    "score as text": [("guesses", 0, "confidence"), "0.5"],
    "no class": [("guesses", 0, "indices"), []],
    "index below 0": [("guesses", 0, "indices"), [-1]],
    "box of 3": [("guesses", 0, "box_xyxy"), [0, 0, 1]],
    "window of 5": [("guesses", 0, "window_xyxy"), [0, 0, 1, 1, 1]],
    "scale 0": [("guesses", 0, "scale"), 0],
    "half a cell": [("guesses", 0, "cell"), [0.5, 1]],
    "old name": [("guesses", 0, "index"), 3],
    "map of no class": [("maps", 0, "indices"), None],
    "peak above 1": [("maps", 0, "peak"), 2],
    "no map": [("maps",), []],
    "picture elsewhere": [("files", "pictures"), ["../x.jpg"]],
    "no picture": [("files", "pictures"), []],
    "nothing written": [("files", "written"), {}],
    "areas of no share": [("areas",), {"classes": [], "others": {}, "not_scored": 0}],
    "range of 1": [("settings", "color_range"), [0.5]],
    "threshold": [("settings", "conf"), 35],
    "four guesses": [("guesses",), [{}] * 4],
    "digest": [("photo", "sha256"), "abc"],
    "height 0": [("photo", "height"), 0],
    "border": [("geometry", "border"), "wrap"],
    "origin above 0": [("geometry", "origin_yx"), [1, 0]],
    "engine": [("origin", "engine"), "guess"],
    "weights kind": [("origin", "weights", "kind"), "guess"],
    "weights in words": [("origin", "weights"), "random (seed 0)"],
    "settings": [("origin", "settings"), {"a": 1}],
    "threads": [("origin", "computation", "threads"), "2"],
    "unknown computation": [("origin", "computation", "memory"), 1],
    "fuse": [("origin", "fuse"), "median"],
    "scales of words": [("origin", "scales"), "0.5, 1"],
    "maps": [("origin", "maps"), "yes"],
    "scales": [("files", "scales"), {"x1": 3}],
    "windows": [("windows",), 0],
    "not scored": [("not_scored",), -1],
    "maps elsewhere": [("files", "maps"), "../cat.maps.npz"],
    "no maps": [("files", "maps"), None],
    "page elsewhere": [("files", "page"), "/cat.html"],
    "exports": [("files", "exports"), {"xml": ["cat.xml"]}],
    "exports of nothing": [("files", "exports"), {"csv": []}],
    "exports of no name": [("files", "exports"), {"csv": [1]}],
    "width 0": [("photo", "width"), 0],
    "notes": [("photo", "notes"), [1]],
    "score below 0": [("guesses", 0, "confidence"), -0.01],
    "indices twice": [("guesses", 0, "indices"), [1, 1]],
    "box of text": [("guesses", 0, "box_xyxy"), [0, 0, 1, "1"]],
    "box outside": [("guesses", 0, "box_xyxy"), [-1, 0, 1, 1]],
    "cell below 0": [("guesses", 0, "cell"), [-1, 0]],
    "row alone": [("guesses", 0, "cell"), [1]],
    "cell of 3": [("guesses", 0, "cell"), [1, 2, 3]],
    "no rows": [("geometry", "grid_hw"), [0, 1]],
    "window 0": [("geometry", "window_px"), 0],
    "stride 0": [("geometry", "stride_px"), 0],
    "sliding": [("origin", "sliding"), "perhaps"],
    "statistics": [("origin", "statistics"), "global"],
    "notes of the network": [("origin", "notes"), [None]],
    "versions": [("origin", "versions"), {"torch": 2}],
    "more": [("more",), 1],
}


@pytest.mark.parametrize(("where", "value"), WRONG.values(), ids=WRONG)
def test_other_values_are_not(valid, where, value):
    VALIDATOR.validate(valid)
    part = valid
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    assert not VALIDATOR.is_valid(valid)


def test_every_member_is_needed(valid):
    for name in SCHEMA["required"]:
        less = copy.deepcopy(valid)
        del less[name]
        assert not VALIDATOR.is_valid(less), name
