"""The files of a run: all or none, under names that stay apart; and what is chosen to be drawn."""

import dataclasses
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
from heatmap.localization.detect import detect as detect_objects
from heatmap.photo.photo import Photo
from heatmap.runs.coco import CocoIds
from heatmap.runs.pictures import drawn_groups, search_of
from heatmap.runs.request import MOST_OVERLAYS, Display
from heatmap.runs.save import Extras, RunFiles, save_overlays, save_run

NAMES = ("cat", "crane", "crane", "café", "日本", "a", "b")
CAT, CRANE, OTHER_CRANE, _, _, A, B = (
    ClassGroup(name, (index,)) for index, name in enumerate(NAMES)
)
ANIMAL = ClassGroup("animal", (0, 1))


def detect(display, grid):
    """What a display finds in a grid, without a network."""
    return detect_objects([grid], search_of(display)).detections


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


def files(photo=None, grid=None, detections=(), **more) -> RunFiles:
    return RunFiles(photo or made_photo(), grid or made_grid(), detections, **more)


def made_photo(path="photos/my cat.jpg", notes=()) -> Photo:
    return Photo(np.zeros((40, 50, 3), np.uint8), path, notes)


def picture(value: int) -> np.ndarray:
    return np.full((8, 9, 3), value, np.uint8)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestSaveRun:
    def test_the_files_agree_with_what_was_given(self, tmp_path):
        grid, photo = made_grid(), made_photo(notes=("first of 3 frames",))
        found = detect(Display(), grid)
        saved = save_run(tmp_path / "new" / "folder", files(photo, grid, found), {CAT: picture(7)})
        assert sorted(contents(tmp_path / "new" / "folder")) == [
            "my cat.cat.png",
            "my cat.json",
            "my cat.npz",
        ]
        np.testing.assert_array_equal(heatmap.load(saved.grid).scores, grid.scores)
        np.testing.assert_array_equal(cv2.imread(str(saved.overlays[CAT])), picture(7))
        told = json.loads(saved.description.read_text("utf-8"))
        assert told["grid"] == "my cat.npz"
        assert told["photo"]["notes"] == ["first of 3 frames"]
        assert told["photo"]["sha256"] == photo.digest
        assert (told["photo"]["height"], told["photo"]["width"]) == (40, 50)
        assert told["overlays"] == [{"class": "cat", "indices": [0], "file": "my cat.cat.png"}]
        assert [one["class"] for one in told["detections"]] == [one.name for one in found]
        assert [one["box_xyxy"] for one in told["detections"]] == [list(one.xyxy) for one in found]
        assert told["origin"]["weights"]["text"] == "random (seed 0)"

    def test_an_array_is_called_photo(self, tmp_path):
        saved = save_run(tmp_path, files(made_photo(""), made_grid("")), {})
        assert saved.grid.name == "photo.npz"

    def test_classes_of_one_name_keep_files_of_their_own(self, tmp_path):
        pictures = {CRANE: picture(1), OTHER_CRANE: picture(2), CAT: picture(3)}
        saved = save_run(tmp_path, files(), pictures)
        assert {group: path.name for group, path in saved.overlays.items()} == {
            CRANE: "my cat.crane-1.png",
            OTHER_CRANE: "my cat.crane-2.png",
            CAT: "my cat.cat.png",
        }
        assert [int(cv2.imread(str(path)).max()) for path in saved.overlays.values()] == [1, 2, 3]

    @pytest.mark.parametrize("name", ["my cat.npz", "my cat.json", "my cat.cat.png"])
    def test_one_name_that_is_taken_keeps_all_from_being_written(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(ResultError, match="is a directory"):
            save_run(tmp_path, files(), {CAT: picture(7)})
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_a_failure_leaves_the_earlier_results_as_they_were(self, tmp_path):
        save_run(tmp_path, files(), {CAT: picture(7)})
        before = contents(tmp_path)
        with pytest.raises(ResultError):
            save_run(tmp_path, files(), {CAT: picture(9)[:, :, :2]})
        assert contents(tmp_path) == before

    def test_a_name_that_is_not_utf8_is_escaped(self, tmp_path):
        name = "caf\udce9.jpg"
        saved = save_run(tmp_path, files(made_photo(name), made_grid(name)), {})
        assert json.loads(saved.description.read_text("utf-8"))["photo"]["path"] == name
        assert heatmap.load(saved.grid).origin.photo == name


class TestLargePhotosAndScales:
    @pytest.fixture
    def large(self, monkeypatch):
        monkeypatch.setattr(grids, "LARGE_GRID_BYTES", 0)

    def test_scales_lie_beside_the_grid_made_of_them(self, tmp_path, large):
        grid = made_grid()
        scales = {name: self.offset(grid, by) for name, by in (("x0.5", 0.1), ("x1", 0.2))}
        saved = save_run(tmp_path, files(grid=grid, scales=scales), {})
        stems = ("my cat", "my cat.x0.5", "my cat.x1")
        expected = [f"{stem}{suffix}" for stem in stems for suffix in (".npz", ".scores.npy")]
        assert sorted(contents(tmp_path)) == sorted([*expected, "my cat.json"])
        for name, one in scales.items():
            np.testing.assert_array_equal(heatmap.load(saved.scales[name]).scores, one.scores)
        np.testing.assert_array_equal(heatmap.load(saved.grid).scores, grid.scores)
        told = json.loads(saved.description.read_text("utf-8"))
        assert told["scales"] == {"x0.5": "my cat.x0.5.npz", "x1": "my cat.x1.npz"}

    def test_a_picture_in_several_files_is_named_with_its_preview(self, tmp_path):
        written = {
            ".tif": lambda to: to.write_text("whole"),
            ".preview.png": lambda to: to.write_text("small"),
        }
        saved = save_run(tmp_path, files(), {CAT: written, A: picture(1)})
        assert saved.overlays[CAT].read_text() == "whole"
        assert {group: path.read_text() for group, path in saved.previews.items()} == {CAT: "small"}
        assert json.loads(saved.description.read_text("utf-8"))["overlays"] == [
            {
                "class": "cat",
                "indices": [0],
                "file": "my cat.cat.tif",
                "preview": "my cat.cat.preview.png",
            },
            {"class": "a", "indices": [5], "file": "my cat.a.png"},
        ]

    def test_a_picture_that_fails_late_leaves_all_earlier_files(self, tmp_path, large):
        grid = made_grid()
        scales = {"x1": grid}
        save_run(tmp_path, files(grid=grid, scales=scales), {CAT: picture(7)})
        before = contents(tmp_path)

        def interrupted(to):
            to.write_text("half")
            raise KeyboardInterrupt

        pictures = {CAT: {".tif": lambda to: to.write_text("whole"), ".preview.png": interrupted}}
        with pytest.raises(KeyboardInterrupt):
            save_run(tmp_path, files(grid=self.offset(grid, 1), scales=scales), pictures)
        assert contents(tmp_path) == before

    def test_windows_that_were_not_scored_are_counted(self, tmp_path):
        scores = made_grid().scores.copy()
        scores[0, 1:3] = np.nan
        grid = dataclasses.replace(made_grid(), scores=scores)
        saved = save_run(tmp_path, files(grid=grid), {})
        told = json.loads(saved.description.read_text("utf-8"))
        assert (told["windows"], told["not_scored"]) == (12, 2)

    @staticmethod
    def offset(grid: ScoreGrid, by: float) -> ScoreGrid:
        return dataclasses.replace(grid, scores=grid.scores + np.float32(by))


class TestExtras:
    """Sharp maps, exports and the page beside the rest."""

    EVERYTHING = Extras(("csv", "tiff"), html=True)

    def test_all_are_written_and_listed(self, tmp_path):
        grid, sharp = made_grid(), made_grid(names=("animal", "a"))
        run = files(made_photo(""), grid, detect(Display(), grid), sharp=sharp)
        saved = save_run(tmp_path, run, {ANIMAL: picture(1), A: picture(2)}, self.EVERYTHING)
        told = json.loads(saved.description.read_text("utf-8"))
        assert [(one["class"], one["indices"], one["file"]) for one in told["overlays"]] == [
            ("animal", [0, 1], "photo.animal.png"),
            ("a", [5], "photo.a.png"),
        ]
        assert told["sharp"] == "photo.sharp.npz"
        assert told["exports"] == {
            "csv": ["photo.csv"],
            "tiff": ["photo.animal.heat.tif", "photo.a.heat.tif"],
        }
        assert told["page"] == "photo.html"
        exports = [path for paths in saved.exports.values() for path in paths]
        single = [saved.grid, saved.description, saved.sharp, saved.page]
        expected = [path.name for path in (*single, *exports, *saved.overlays.values())]
        assert sorted(contents(tmp_path)) == sorted(expected)
        np.testing.assert_array_equal(heatmap.load(saved.sharp).scores, sharp.scores)

    def test_without_them_none_is_listed(self, tmp_path):
        told = json.loads(save_run(tmp_path, files(), {}).description.read_text("utf-8"))
        assert not {"sharp", "exports", "page"} & told.keys()

    def test_drawn_are_sharp_maps_by_their_place_or_the_grid_by_its_classes(self):
        sharp = made_grid(names=("crane", "crane", "cat"))
        run = files(sharp=sharp)
        grid, drawn = run.drawn([OTHER_CRANE, CRANE])
        assert grid is sharp
        assert [group.indices for group in drawn] == [(0,), (1,)]
        assert files(grid=made_grid()).drawn([CRANE])[1] == [CRANE]

    @pytest.mark.parametrize("name", ["photo.html", "photo.csv", "photo.sharp.npz"])
    def test_one_that_cannot_be_written_keeps_all_from_being_written(self, tmp_path, name):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
        run = files(made_photo(""), made_grid(), sharp=made_grid())
        with pytest.raises(ResultError, match="directory"):
            save_run(tmp_path, run, {CAT: picture(7)}, self.EVERYTHING)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_ids_of_a_dataset_are_taken(self, tmp_path):
        grid, ids = made_grid(), CocoIds("coco.json", {"my cat.jpg": 7}, {"b": 40})
        run = files(made_photo(), grid, detect(Display(classes=(6,)), grid))
        saved = save_run(tmp_path, run, {}, Extras(("coco",), coco=ids))
        (written,) = saved.exports["coco"]
        told = json.loads(written.read_text("utf-8"))
        assert {(one["image_id"], one["category_id"]) for one in told} == {(7, 40)}


class TestSaveOverlays:
    def test_names_are_those_of_a_run(self, tmp_path):
        groups = made_grid().classes.find_all([4, 3, 2, 1])
        pictures = {group: picture(*group.indices) for group in groups}
        run = save_run(tmp_path / "a", files(), pictures)
        paths = save_overlays(tmp_path / "b", "my cat", pictures)
        assert list(paths) == list(pictures)
        assert [p.name for p in paths.values()] == [p.name for p in run.overlays.values()]
        for group, path in paths.items():
            assert (cv2.imread(str(path)).max(),) == group.indices

    def test_all_or_none(self, tmp_path):
        (tmp_path / "my cat.a.png").mkdir()
        with pytest.raises(ResultError, match="is a directory"):
            save_overlays(tmp_path, "my cat", {CAT: picture(1), A: picture(2)})
        assert [path.name for path in tmp_path.iterdir()] == ["my cat.a.png"]


class TestView:
    def test_without_wishes_what_was_found_is_drawn_best_first_and_not_without_end(self):
        grid = made_grid()
        display = Display()
        found = detect(display, grid)
        groups = drawn_groups(display, grid, found)
        assert len({one.group for one in found}) >= len(groups) > 1
        assert groups == list(dict.fromkeys(one.group for one in found))[:MOST_OVERLAYS]
        singles = [grid.classes.single(index) for index in range(7)]
        many = [dataclasses.replace(found[0], group=group) for group in singles]
        assert drawn_groups(display, grid, many) == singles[:5]

    def test_without_finds_the_winner_is_drawn(self):
        grid = made_grid()
        display = Display(conf=0.99)
        assert detect(display, grid) == ()
        assert drawn_groups(display, grid, ()) == [B]

    def test_top_draws_winners(self):
        assert drawn_groups(Display(top=3), made_grid(), ()) == made_grid().classes.find_all(
            [6, 5, 4]
        )

    def test_asked_classes_are_searched_and_drawn_once_each(self):
        grid = made_grid()
        display = Display(classes=("a", 0, "cat"), conf=0.1)
        found = detect(display, grid)
        assert {one.group for one in found} == {CAT, A}
        assert drawn_groups(display, grid, found) == [A, CAT]
