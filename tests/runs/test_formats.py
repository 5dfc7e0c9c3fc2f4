"""Exports: which files there are, and the tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from heatmap.classes import ClassGroup
from heatmap.errors import PhotoError, ResultError
from heatmap.localization.detection import Detection
from heatmap.localization.formats.coco import CocoIds
from heatmap.runs.formats import FORMATS, export_files, relative_path
from tests.support.coco import opened
from tests.support.formats import (
    FOUND,
    export,
    findings,
    made_photo,
)


class TestFiles:
    def test_all_of_them(self, tmp_path):
        files = export(tmp_path, FORMATS, made_photo())
        assert sorted(files) == [
            ".any-animal.heat.tif",
            ".cat.heat.tif",
            ".coco.dataset.json",
            ".coco.json",
            ".csv",
            ".geojson",
            ".labelme.json",
            ".txt",
            ".xml",
        ]

    def test_none(self):
        assert export_files((), made_photo(), findings()) == {}

    def test_an_unknown_format_is_named(self):
        message = r"format 'xml' is unknown: choose among csv, coco, geojson, yolo, voc, labelme, "
        with pytest.raises(ResultError, match=message):
            export_files(["csv", "xml"], made_photo(), findings())

    def test_another_photo_is_refused(self):
        with pytest.raises(ResultError, match="photo is 421 x 300 px, the scored one was"):
            export_files(["csv"], made_photo((300, 421)), findings())

    def test_the_photo_is_opened_again_only_for_its_place(self, tmp_path):
        photo = made_photo(path=str(tmp_path / "gone.tif"))
        export(tmp_path, ["csv", "coco"], photo)
        for name in ("geojson", "tiff"):
            with pytest.raises(PhotoError, match=r"gone\.tif: no such file"):
                export(tmp_path, [name], photo)


class TestRelativePath:
    def test_it_leads_from_the_folder_to_the_photo(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert relative_path("photos/a.jpg", Path("out/deep")) == "../../photos/a.jpg"
        assert relative_path(str(tmp_path / "out/a.jpg"), Path("out")) == "a.jpg"

    def test_it_leads_out_of_a_linked_folder_too(self, tmp_path):
        (tmp_path / "disk/far/away").mkdir(parents=True)
        (tmp_path / "out").symlink_to(tmp_path / "disk/far/away")
        (tmp_path / "a.jpg").write_text("")
        found = relative_path(str(tmp_path / "a.jpg"), tmp_path / "out")
        assert (tmp_path / "out" / found).samefile(tmp_path / "a.jpg")

    def test_an_array_is_called_photo(self, tmp_path):
        assert relative_path("", tmp_path) == "photo"


class TestCsv:
    def rows(
        self, folder: Path, detections: Sequence[Detection], path: str = ""
    ) -> list[list[str]]:
        with export(folder, ["csv"], made_photo(path=path), detections=detections)[".csv"].open(
            newline="", encoding="utf-8"
        ) as file:
            return list(csv.reader(file, strict=True))

    def test_a_row_each_below_the_names(self, tmp_path):
        head, *rows = self.rows(tmp_path, FOUND, "photos/a.jpg")
        assert dict(zip(head, rows[0], strict=True)) == {
            "photo": "photos/a.jpg",
            "class": "cat",
            "confidence": "0.912346",
            "left": "10.13",
            "top": "20.0",
            "right": "110.0",
            "bottom": "70.0",
            "window_left": "0.0",
            "window_top": "0.0",
            "window_right": "128.0",
            "window_bottom": "128.0",
            "scale": "0.5",
            "slide": "0.9",
            "crop": "",
        }
        assert [row[1] for row in rows] == ["cat", "any animal"]

    def test_lines_end_as_rfc_4180_says_and_nothing_found_leaves_the_names(self, tmp_path):
        content = export(tmp_path, ["csv"], made_photo(), detections=())[".csv"].read_bytes()
        assert content.startswith(b"photo,class,confidence,left,")
        assert content.endswith(b",scale,slide,crop\r\n")
        assert content.count(b"\n") == 1

    @pytest.mark.parametrize("name", ["a, b", 'say "hi"', "two\nlines", "a\r\nb", "日本", " x "])
    def test_any_name_comes_back(self, tmp_path, name):
        found = Detection(ClassGroup(name, (0,)), 0.5, (0, 0, 1, 1), (0, 0, 1, 1), (0, 0), 1.0, 0.5)
        rows = self.rows(tmp_path, [found, *FOUND], f"{name}/x.jpg")
        assert rows[1][:2] == [f"{name}/x.jpg", name]
        assert len(rows) == 4

    @pytest.mark.parametrize("name", ["=1+1", "\t=1", "\tname", "＝1", "''-1"])
    def test_no_name_is_a_formula_and_one_mark_undoes_it(self, tmp_path, name):
        found = Detection(ClassGroup(name, (0,)), 0.5, (0, 0, 1, 1), (0, 0, 1, 1), (0, 0), 1.0, 0.5)
        row = self.rows(tmp_path, [found], f"{name}.jpg")[1]
        assert row[:2] == [f"'{name}.jpg", f"'{name}"]

    def test_a_file_name_that_is_not_utf8_shows_its_bytes(self, tmp_path):
        assert self.rows(tmp_path, FOUND, "caf\udce9.jpg")[1][0] == "caf\\udce9.jpg"


class TestCoco:
    def test_both_files_load_together(self, tmp_path):
        photo = made_photo(path="caf\udce9 9.jpg")
        files = export(tmp_path, ["coco"], photo)
        truth = opened(files[".coco.dataset.json"])
        results = truth.loadRes(str(files[".coco.json"]))
        (image,) = truth.loadImgs(results.getImgIds())
        assert image["file_name"] == photo.path
        assert [truth.cats[one["category_id"]]["name"] for one in results.anns.values()] == [
            "cat",
            "any animal",
        ]

    def test_with_the_ids_of_a_dataset_there_are_results_alone(self, tmp_path):
        ids = CocoIds("instances.json", {"a.jpg": 7}, {"cat": 17, "any animal": 3})
        photo, drawn = made_photo(path="x/a.jpg"), [ClassGroup("crane", (1,))]
        files = export_files(["coco"], photo, findings(groups=drawn), coco_ids=ids)
        assert list(files) == [".coco.json"]
        files[".coco.json"](tmp_path / "a.json")
        rows = json.loads((tmp_path / "a.json").read_bytes())
        assert [(row["image_id"], row["category_id"]) for row in rows] == [(7, 17), (7, 3)]

    def test_a_photo_that_the_dataset_does_not_have_is_refused(self):
        ids = CocoIds("instances.json", {"a.jpg": 7}, {"cat": 17, "any animal": 3})
        photo = made_photo(path="b.jpg")
        with pytest.raises(ResultError, match=r"b\.jpg is not among the 1 images"):
            export_files(["coco"], photo, findings(), coco_ids=ids)
