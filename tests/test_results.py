"""The files of a run: all or none, under names that stay apart; and what is chosen to be drawn."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

import heatmap
from heatmap import grid as grids
from heatmap.classes import ClassList
from heatmap.errors import ResultError
from heatmap.geometry import plan_grid
from heatmap.grid import Origin, ScoreGrid
from heatmap.photos import Photo
from heatmap.results import save_overlays, save_run
from heatmap.running import MOST_OVERLAYS, View

NAMES = ("cat", "crane", "crane", "café", "日本", "a", "b")


def made_grid(path="photos/my cat.jpg", names=NAMES) -> ScoreGrid:
    """Three by four windows; class k wins in window k with a probability that rises with k."""
    geometry = plan_grid((40, 50), window=20, native_stride=10)
    scores = np.full((*geometry.grid_hw, len(names)), 0.05, dtype=np.float32)
    for index in range(len(names)):
        cell = divmod(index, geometry.grid_hw[1])
        scores[(*cell, index)] = 0.3 + 0.09 * index
    origin = Origin(path, "digest", "made", "random (seed 0)", "d", "slide", "exact")
    return ScoreGrid(scores, geometry, ClassList(names), "probabilities", origin)


def made_photo(path="photos/my cat.jpg", notes=()) -> Photo:
    return Photo(np.zeros((40, 50, 3), np.uint8), path, notes)


def picture(value: int) -> np.ndarray:
    return np.full((8, 9, 3), value, np.uint8)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestSaveRun:
    def test_the_files_agree_with_what_was_given(self, tmp_path):
        grid, photo = made_grid(), made_photo(notes=("first of 3 frames",))
        found = View().find(grid)
        saved = save_run(tmp_path / "new" / "folder", photo, grid, found, {0: picture(7)})
        assert sorted(contents(tmp_path / "new" / "folder")) == [
            "my cat.cat.png",
            "my cat.json",
            "my cat.npz",
        ]
        np.testing.assert_array_equal(heatmap.load(saved.grid).scores, grid.scores)
        np.testing.assert_array_equal(cv2.imread(str(saved.overlays[0])), picture(7))
        told = json.loads(saved.description.read_text("utf-8"))
        assert told["grid"] == "my cat.npz"
        assert told["photo"]["notes"] == ["first of 3 frames"]
        assert told["photo"]["sha256"] == photo.digest
        assert (told["photo"]["height"], told["photo"]["width"]) == (40, 50)
        assert told["overlays"] == [{"class": "cat", "index": 0, "file": "my cat.cat.png"}]
        assert [one["class"] for one in told["found"]] == [one.name for one in found]
        assert [one["box_xyxy"] for one in told["found"]] == [list(one.xyxy) for one in found]
        assert told["origin"]["weights"] == "random (seed 0)"

    def test_an_array_is_called_photo(self, tmp_path):
        saved = save_run(tmp_path, made_photo(""), made_grid(""), (), {})
        assert saved.grid.name == "photo.npz"

    def test_classes_of_one_name_keep_files_of_their_own(self, tmp_path):
        saved = save_run(
            tmp_path, made_photo(), made_grid(), (), {1: picture(1), 2: picture(2), 0: picture(3)}
        )
        assert {index: path.name for index, path in saved.overlays.items()} == {
            1: "my cat.crane-1.png",
            2: "my cat.crane-2.png",
            0: "my cat.cat.png",
        }
        assert [int(cv2.imread(str(path)).max()) for path in saved.overlays.values()] == [1, 2, 3]

    @pytest.mark.parametrize("name", ["my cat.npz", "my cat.json", "my cat.cat.png"])
    def test_one_name_that_is_taken_keeps_all_from_being_written(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with pytest.raises(ResultError, match="is a directory"):
            save_run(tmp_path, made_photo(), made_grid(), (), {0: picture(7)})
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_a_failure_leaves_the_earlier_results_as_they_were(self, tmp_path):
        save_run(tmp_path, made_photo(), made_grid(), (), {0: picture(7)})
        before = contents(tmp_path)
        with pytest.raises(ResultError):
            save_run(tmp_path, made_photo(), made_grid(), (), {0: picture(9)[:, :, :2]})
        assert contents(tmp_path) == before

    def test_a_name_that_is_not_utf8_is_escaped(self, tmp_path):
        name = "caf\udce9.jpg"
        saved = save_run(tmp_path, made_photo(name), made_grid(name), (), {})
        assert json.loads(saved.description.read_text("utf-8"))["photo"]["path"] == name
        assert heatmap.load(saved.grid).origin.photo == name


class TestLargePhotosAndScales:
    @pytest.fixture
    def large(self, monkeypatch):
        monkeypatch.setattr(grids, "LARGE_GRID_BYTES", 0)

    def test_scales_lie_beside_the_grid_made_of_them(self, tmp_path, large):
        grid = made_grid()
        scales = {name: self.offset(grid, by) for name, by in (("x0.5", 0.1), ("x1", 0.2))}
        saved = save_run(tmp_path, made_photo(), grid, (), {}, scales)
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
        saved = save_run(tmp_path, made_photo(), made_grid(), (), {0: written, 5: picture(1)})
        assert saved.overlays[0].read_text() == "whole"
        assert {index: path.read_text() for index, path in saved.previews.items()} == {0: "small"}
        assert json.loads(saved.description.read_text("utf-8"))["overlays"] == [
            {
                "class": "cat",
                "index": 0,
                "file": "my cat.cat.tif",
                "preview": "my cat.cat.preview.png",
            },
            {"class": "a", "index": 5, "file": "my cat.a.png"},
        ]

    def test_a_picture_that_fails_late_leaves_all_earlier_files(self, tmp_path, large):
        grid = made_grid()
        scales = {"x1": grid}
        save_run(tmp_path, made_photo(), grid, (), {0: picture(7)}, scales)
        before = contents(tmp_path)

        def interrupted(to):
            to.write_text("half")
            raise KeyboardInterrupt

        pictures = {0: {".tif": lambda to: to.write_text("whole"), ".preview.png": interrupted}}
        with pytest.raises(KeyboardInterrupt):
            save_run(tmp_path, made_photo(), self.offset(grid, 1), (), pictures, scales)
        assert contents(tmp_path) == before

    def test_windows_that_were_not_scored_are_counted(self, tmp_path):
        scores = made_grid().scores.copy()
        scores[0, 1:3] = np.nan
        grid = dataclasses.replace(made_grid(), scores=scores)
        saved = save_run(tmp_path, made_photo(), grid, (), {})
        told = json.loads(saved.description.read_text("utf-8"))
        assert (told["windows"], told["not_scored"]) == (12, 2)

    @staticmethod
    def offset(grid: ScoreGrid, by: float) -> ScoreGrid:
        return dataclasses.replace(grid, scores=grid.scores + np.float32(by))


class TestSaveOverlays:
    def test_names_are_those_of_a_run(self, tmp_path):
        pictures = {index: picture(index) for index in (4, 3, 2, 1)}
        run = save_run(tmp_path / "a", made_photo(), made_grid(), (), pictures)
        paths = save_overlays(tmp_path / "b", "my cat", made_grid(), pictures)
        assert list(paths) == list(pictures)
        assert [p.name for p in paths.values()] == [p.name for p in run.overlays.values()]
        assert all(cv2.imread(str(path)).max() == index for index, path in paths.items())

    def test_all_or_none(self, tmp_path):
        (tmp_path / "my cat.a.png").mkdir()
        with pytest.raises(ResultError, match="is a directory"):
            save_overlays(tmp_path, "my cat", made_grid(), {0: picture(1), 5: picture(2)})
        assert [path.name for path in tmp_path.iterdir()] == ["my cat.a.png"]


class TestView:
    def test_without_wishes_what_was_found_is_drawn_best_first_and_not_without_end(self):
        grid = made_grid()
        view = View()
        found = view.find(grid)
        indices = view.indices(grid, found)
        assert len({one.index for one in found}) >= len(indices) > 1
        assert indices == list(dict.fromkeys(one.index for one in found))[:MOST_OVERLAYS]
        many = [dataclasses.replace(found[0], index=index) for index in range(7)]
        assert view.indices(grid, many) == [0, 1, 2, 3, 4]

    def test_without_finds_the_winner_is_drawn(self):
        grid = made_grid()
        view = View(least_score=0.99)
        assert view.find(grid) == ()
        assert view.indices(grid, ()) == [6]

    def test_top_draws_winners(self):
        assert View(top=3).indices(made_grid(), ()) == [6, 5, 4]

    def test_asked_classes_are_searched_and_drawn_once_each(self):
        grid = made_grid()
        view = View(classes=("a", 0, "cat"), least_score=0.2)
        found = view.find(grid)
        assert {one.index for one in found} == {0, 5}
        assert view.indices(grid, found) == [5, 0]
