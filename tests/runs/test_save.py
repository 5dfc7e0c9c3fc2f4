"""The files of a run: all or none, under names that stay apart."""

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest

import heatmap
from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import ResultError
from heatmap.geometry import plan_grid
from heatmap.grid import score_grid as grids
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.areas import areas_of
from heatmap.localization.findings import find
from heatmap.localization.formats.coco import CocoIds
from heatmap.localization.scales import Windows, fuse_scales
from heatmap.marks import Mark
from heatmap.photo.photo import Photo
from heatmap.rendering.overlay import encode_image, overlay
from heatmap.rendering.palette import PALETTE
from heatmap.runs import pictures
from heatmap.runs.pictures import Drawing
from heatmap.runs.request import NO_EXTRAS, Display, Extras, Request, image_of
from heatmap.runs.result import Result
from heatmap.runs.save import SavedRun

NAMES = ("cat", "crane", "crane", "café", "日本", "a", "b")
CAT, CRANE, OTHER_CRANE, _, _, A, B = (
    ClassGroup(name, (index,)) for index, name in enumerate(NAMES)
)
ANIMAL = ClassGroup("animal", (0, 1))
GRID = Extras(save_grid=True)
NO_WISHES = Display()


def made_grid(path="photos/my cat.jpg", names=NAMES) -> ScoreGrid:
    """Three by four windows; class k wins in window k with a probability that rises with k."""
    geometry = plan_grid((40, 50), window=20, native_stride=10)
    scores = np.full((*geometry.grid_hw, len(names)), 0.05, dtype=np.float32)
    for index in range(len(names)):
        cell = divmod(index, geometry.grid_hw[1])
        scores[(*cell, index)] = 0.3 + 0.09 * index
    origin = Origin(
        path, "digest", "made", Weights("random", "random (seed 0)", "d"), "slide", "exact"
    )
    return ScoreGrid(scores, geometry, ClassList(names), "probabilities", origin)


def made(photo=None, grid=None, display=NO_WISHES, grids=None, **more) -> Result:
    """What a display finds in a grid, without a network."""
    grid, photo = grid or made_grid(), photo or made_photo()
    windows = Windows(grids or {"x1": grid})
    findings = find([grid], windows, display.search)
    request = Request(display=display)
    image = image_of(request, photo)
    return Result(photo, findings, windows, request, image, **more)


def save(folder, result=None, *, extras=NO_EXTRAS, display=NO_WISHES) -> SavedRun:
    result = result or made(display=display)
    return dataclasses.replace(result, request=Request(display=display, extras=extras)).save(folder)


def made_photo(path="photos/my cat.jpg", notes=()) -> Photo:
    return Photo(np.zeros((40, 50, 3), np.uint8), path, notes)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def digests(folder, *but) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in but
    }


def told_by(saved):
    return json.loads(saved.description.read_text("utf-8"))


class TestSaveRun:
    def test_by_default_there_are_three_files_that_agree_with_what_was_given(self, tmp_path):
        outcome = made(made_photo(notes=("first of 3 frames",)))
        saved = save(tmp_path / "new" / "folder", outcome)
        assert sorted(contents(tmp_path / "new" / "folder")) == [
            "my cat.heatmap.jpg",
            "my cat.json",
            "my cat.maps.npz",
        ]
        findings = outcome.findings
        np.testing.assert_array_equal(heatmap.load(saved.maps).scores, findings.maps.scores)
        told = told_by(saved)
        assert told["photo"]["notes"] == ["first of 3 frames"]
        assert told["photo"]["sha256"] == outcome.photo.digest
        assert (told["photo"]["height"], told["photo"]["width"]) == (40, 50)
        assert told["files"] == {
            "written": digests(tmp_path / "new" / "folder", "my cat.json"),
            "pictures": ["my cat.heatmap.jpg"],
            "maps": "my cat.maps.npz",
        }
        found = findings.detections
        assert [one["class"] for one in told["detections"]] == [one.name for one in found]
        assert [one["box_xyxy"] for one in told["detections"]] == [list(one.xyxy) for one in found]
        assert [one["confidence"] for one in told["detections"]] == [
            one.confidence for one in found
        ]
        assert [one["peak"] for one in told["maps"]] == list(findings.peaks)
        assert told["origin"]["weights"]["text"] == "random (seed 0)"

    def test_an_array_is_called_photo(self, tmp_path):
        saved = save(tmp_path, made(made_photo(""), made_grid("")))
        assert saved.maps.name == "photo.maps.npz"

    def test_classes_of_one_name_keep_files_of_their_own(self, tmp_path):
        display = Display(classes=(1, 2, 0), per_class=True)
        saved = save(tmp_path, display=display)
        assert {group: path.name for group, path in saved.per_class.items()} == {
            CRANE: "my cat.crane-1.jpg",
            OTHER_CRANE: "my cat.crane-2.jpg",
            CAT: "my cat.cat.jpg",
        }
        drawn = [cv2.imread(str(path)) for path in saved.per_class.values()]
        assert len({picture.tobytes() for picture in drawn}) == 3

    @pytest.mark.parametrize("name", ["my cat.maps.npz", "my cat.json", "my cat.heatmap.jpg"])
    def test_one_name_that_is_taken_keeps_all_from_being_written(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(ResultError, match="is a directory"):
            save(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("failure", [ResultError("full"), KeyboardInterrupt()])
    def test_a_failure_leaves_the_earlier_results_as_they_were(
        self, tmp_path, monkeypatch, failure
    ):
        display = Display(full=True)
        save(tmp_path, display=display)
        before = contents(tmp_path)

        def pyramid(*_, **__):
            def write(to):
                to.write_text("half")
                raise failure

            return write

        monkeypatch.setattr(pictures, "_LONGEST_PX", 10)
        monkeypatch.setattr(pictures, "pyramid", pyramid)
        with pytest.raises(type(failure)):
            save(tmp_path, made(grid=offset(made_grid(), 1)), display=display)
        assert contents(tmp_path) == before

    def test_a_name_that_is_not_utf8_is_escaped(self, tmp_path):
        name = "caf\udce9.jpg"
        saved = save(tmp_path, made(made_photo(name), made_grid(name)))
        assert told_by(saved)["photo"]["path"] == name
        assert heatmap.load(saved.maps).origin.photo == name

    def test_a_picture_longer_than_a_jpeg_can_be_is_a_pyramid_too(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pictures, "_LONGEST_PX", 49)
        saved = save(tmp_path, display=Display(full=True))
        names = ["my cat.heatmap.jpg", "my cat.heatmap.tif"]
        assert [path.name for path in saved.pictures] == told_by(saved)["files"]["pictures"]
        assert [path.name for path in saved.pictures] == names
        assert [path.name for path in save(tmp_path).pictures] == names[:1]


def offset(grid: ScoreGrid, by: float) -> ScoreGrid:
    return dataclasses.replace(grid, scores=grid.scores + np.float32(by))


class TestGrids:
    @pytest.mark.parametrize("large", [False, True])
    def test_scales_lie_beside_the_grid_made_of_them(self, tmp_path, monkeypatch, large):
        if large:
            monkeypatch.setattr(grids, "LARGE_GRID_BYTES", 0)
        grid = made_grid()
        scales = {name: offset(grid, by) for name, by in (("x0.5", 0.1), ("x1", 0.2))}
        saved = save(tmp_path, made(grid=grid, grids=scales), extras=GRID)
        assert (tmp_path / "my cat.x1.grid.scores.npy").exists() == large
        for name, one in scales.items():
            np.testing.assert_array_equal(heatmap.load(saved.scales[name]).scores, one.scores)
        fused = fuse_scales(list(scales.values()))
        np.testing.assert_array_equal(heatmap.load(saved.grid).scores, fused.scores)
        files = told_by(saved)["files"]
        assert files["grid"] == "my cat.grid.npz"
        assert files["scales"] == {"x0.5": "my cat.x0.5.grid.npz", "x1": "my cat.x1.grid.npz"}

    def test_windows_that_were_not_scored_are_counted(self, tmp_path):
        scores = made_grid().scores.copy()
        scores[0, 1:3] = np.nan
        grid = dataclasses.replace(made_grid(), scores=scores)
        told = told_by(save(tmp_path, made(grid=grid)))
        assert (told["windows"], told["not_scored"]) == (12, 2)


class TestExtras:
    """Exports, cut-outs, areas and the page beside the rest."""

    EVERYTHING = Extras(("csv", "tiff"), html=True, save_crops=True, thumbnail=True)

    def test_all_are_written_and_listed(self, tmp_path):
        display = Display(classes=(ANIMAL, 5), per_class=True)
        outcome = made(made_photo(""), display=display)
        saved = save(tmp_path, outcome, extras=self.EVERYTHING, display=display)
        files = told_by(saved)["files"]
        assert files["per_class"] == [
            {"class": "animal", "indices": [0, 1], "file": "photo.animal.jpg"},
            {"class": "a", "indices": [5], "file": "photo.a.jpg"},
        ]
        assert files["exports"] == {
            "csv": ["photo.csv"],
            "tiff": ["photo.animal.heat.tif", "photo.a.heat.tif"],
        }
        assert (files["page"], files["crops"]) == ("photo.html", "photo.crops")
        assert len(list((tmp_path / "photo.crops").iterdir())) == len(outcome.findings.detections)
        written = sorted(path.name for path in tmp_path.iterdir())
        assert sorted(path.name for path in saved.written) == written
        assert files["written"] == digests(tmp_path, "photo.json")

    def test_a_guess_has_no_box_in_a_picture_of_its_class_and_no_category(self, tmp_path):
        display = Display(conf=0.99, per_class=True)
        outcome = made(display=display)
        assert outcome.findings.guesses
        saved = save(tmp_path, outcome, extras=Extras(("coco",)), display=display)
        group, path = next(iter(saved.per_class.items()))
        maps = outcome.findings.maps
        picture = overlay(
            outcome.photo, maps, maps.classes.single(outcome.findings.groups.index(group))
        )
        mark = Mark.of(outcome.photo.path, digest=outcome.photo.digest).text
        assert path.read_bytes() == encode_image(picture, ".jpg", mark=mark)
        assert json.loads(saved.exports["coco"][1].read_text("utf-8"))["categories"] == []

    def test_areas_have_the_colours_of_the_annotated_picture(self, tmp_path):
        outcome = made(display=Display(classes=(5, 0)))
        areas = areas_of(outcome.grid)
        drawing = Drawing(outcome.photo, outcome.findings, Display())
        colours = drawing._colours_of(areas).tolist()
        places = {group: list(PALETTE[place]) for place, group in enumerate((A, CAT))}
        for group, colour in zip(areas.groups, colours, strict=True):
            assert (colour == places[group]) if group in places else colour not in places.values()
        assert len(set(map(tuple, colours))) == len(colours)

    def test_without_them_none_is_listed(self, tmp_path):
        assert told_by(save(tmp_path))["files"].keys() == {"written", "pictures", "maps"}

    @pytest.mark.parametrize("name", ["photo.html", "photo.csv", "photo.maps.npz"])
    def test_one_that_cannot_be_written_keeps_all_from_being_written(self, tmp_path, name):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
        with pytest.raises(ResultError, match="directory"):
            save(tmp_path, made(made_photo("")), extras=self.EVERYTHING)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_ids_of_a_dataset_are_taken(self, tmp_path):
        ids = CocoIds("coco.json", {"my cat.jpg": 7}, {"b": 40})
        photo = made_photo()
        outcome = made(photo, display=Display(classes=(6,)))
        outcome = dataclasses.replace(outcome, image=ids.image(photo.path))
        saved = save(tmp_path, outcome, extras=Extras(("coco",), coco=ids))
        (written,) = saved.exports["coco"]
        told = json.loads(written.read_text("utf-8"))
        assert {(one["image_id"], one["category_id"]) for one in told} == {(7, 40)}
