"""Detections in other libraries: the values of the files, in the types that these expect."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_area
from torchvision.utils import draw_bounding_boxes

from heatmap.errors import HeatmapError
from heatmap.localization.findings import Findings
from heatmap.localization.formats.table import COLUMNS
from heatmap.photo.georeference import Georeference
from heatmap.region import Region
from tests.support.coco import opened
from tests.support.formats import ANIMAL, CAT, HW, export, findings, made_grid, made_photo

NOTHING = findings(detections=())
BOXES = [[10.13, 20.0, 110.0, 70.0], [200.5, 100.25, 420.0, 300.0]]
CONFIDENCES = [0.912346, 0.4]


def guessed() -> Findings:
    """The detections of FOUND, as guesses."""
    found = findings()
    return replace(found, detections=(), guesses=found.detections)


class TestNumbers:
    def test_without_names_they_are_the_indices_of_the_grid(self):
        assert [findings().number(group) for group in (CAT, ANIMAL)] == [0, 0]

    def test_of_classes_searched_by_name_they_are_their_places(self):
        named = replace(findings(groups=(ANIMAL, CAT)), named=True)
        assert [named.number(group) for group in (ANIMAL, CAT)] == [0, 1]
        assert named.to_torchvision()["labels"].tolist() == [1, 0]


class TestPandas:
    @pytest.fixture(autouse=True)
    def _pandas(self):
        self.pandas = pytest.importorskip("pandas")

    def test_the_table_is_that_of_the_csv_file(self, tmp_path):
        files = export(tmp_path, ["csv"], made_photo())
        expected = self.pandas.read_csv(
            files[".csv"], keep_default_na=False, na_values={"crop": ""}
        )
        table = findings().to_dataframe()
        assert list(table.columns) == list(COLUMNS)
        for name in COLUMNS:
            assert table[name].tolist() == pytest.approx(expected[name].tolist(), nan_ok=True)
        assert table["class"].tolist() == ["cat", "any animal"]
        assert table[["left", "top", "right", "bottom"]].to_numpy().tolist() == BOXES

    @pytest.mark.parametrize("found", [findings(), NOTHING, guessed()])
    def test_types_do_not_depend_on_what_was_found(self, found):
        table = found.to_dataframe()
        assert len(table) == len(found.detections)
        texts = [name for name in COLUMNS if table[name].dtype != np.float64]
        assert texts == ["photo", "class"]
        assert all(self.pandas.api.types.is_string_dtype(table[name]) for name in texts)


class TestSupervision:
    @pytest.fixture(autouse=True)
    def _supervision(self):
        self.supervision = pytest.importorskip("supervision")

    def test_it_has_boxes_confidences_and_names(self):
        named = replace(findings(groups=(ANIMAL, CAT)), named=True)
        given = named.to_supervision()
        assert given.xyxy == pytest.approx(np.array(BOXES), abs=1e-4)
        assert given.confidence == pytest.approx(np.array(CONFIDENCES))
        assert given.class_id.tolist() == [1, 0]
        assert given["class_name"].tolist() == ["cat", "any animal"]
        # Its own functions take them.
        assert given[given.confidence > 0.5]["class_name"].tolist() == ["cat"]
        drawn = self.supervision.BoxAnnotator().annotate(np.zeros((*HW, 3), np.uint8), given)
        assert drawn.any()

    @pytest.mark.parametrize("found", [NOTHING, guessed()])
    def test_nothing_found_is_empty_and_can_be_joined(self, found):
        none = found.to_supervision()
        assert none.is_empty()
        joined = self.supervision.Detections.merge([none, findings().to_supervision()])
        assert joined["class_name"].tolist() == ["cat", "any animal"]


class TestTorchvision:
    def test_it_has_what_detectors_of_torchvision_give(self):
        given = findings().to_torchvision()
        assert {name: tensor.dtype for name, tensor in given.items()} == {
            "boxes": torch.float32,
            "labels": torch.int64,
            "scores": torch.float32,
        }
        assert given["boxes"].numpy() == pytest.approx(np.array(BOXES), abs=1e-4)
        assert given["scores"].tolist() == pytest.approx(CONFIDENCES)
        assert box_area(given["boxes"]).tolist() == pytest.approx([99.87 * 50, 219.5 * 199.75])
        photo = torch.zeros((3, *HW), dtype=torch.uint8)
        assert draw_bounding_boxes(photo, given["boxes"], colors="red").any()

    @pytest.mark.parametrize("found", [NOTHING, guessed()])
    def test_nothing_found_has_the_same_shapes(self, found):
        shapes = {name: tuple(tensor.shape) for name, tensor in found.to_torchvision().items()}
        assert shapes == {"boxes": (0, 4), "labels": (0,), "scores": (0,)}


class TestCoco:
    def test_it_is_the_dataset_of_the_file_and_pycocotools_takes_it(self, tmp_path):
        files = export(tmp_path, ["coco"], made_photo())
        dataset = findings().to_coco()
        assert dataset == json.loads(files[".coco.dataset.json"].read_text())
        (tmp_path / "a.json").write_text(json.dumps(dataset))
        read = opened(tmp_path / "a.json")
        assert [one["score"] for one in read.anns.values()] == CONFIDENCES

    def test_guesses_are_neither_annotations_nor_categories(self):
        dataset = guessed().to_coco()
        assert (dataset["annotations"], dataset["categories"]) == ([], [])

    def test_of_a_region_the_size_is_that_of_the_whole_photo(self):
        grid = made_grid()
        origin = replace(grid.origin, region=Region(5, 6, HW[1], HW[0], whole_hw=(600, 800)))
        (image,) = findings(replace(grid, origin=origin)).to_coco()["images"]
        assert (image["height"], image["width"]) == (600, 800)


class TestGeoJson:
    def test_it_is_that_of_the_file_without_its_colours(self, tmp_path):
        files = export(tmp_path, ["geojson"], made_photo())
        read = json.loads(files[".geojson"].read_text())
        for feature in read["features"]:
            named = feature["properties"].pop("classification")
            assert named.pop("color")
            # QuPath takes a bare name, and refuses {"name": ...} without a colour.
            feature["properties"]["classification"] = named["name"]
        assert findings().to_geojson() == read
        # With them it is the file.
        colours = dict.fromkeys((CAT, ANIMAL), (1, 2, 3))
        (first, _) = findings().to_geojson(colours=colours)["features"]
        assert first["properties"]["classification"] == {"name": "cat", "color": [1, 2, 3]}

    def test_with_a_georeference_it_is_in_world_coordinates(self):
        placed = findings().to_geojson(Georeference((2.0, 0, 1000.0, 0, -2.0, 500.0), 32633))
        (ring,) = placed["features"][0]["geometry"]["coordinates"]
        assert [min(side) for side in zip(*ring, strict=True)] == [1020.26, 360.0]
        assert placed["crs"]["properties"]["name"].endswith("32633")


@pytest.mark.parametrize(
    ("library", "method", "package"),
    [
        ("pandas", "to_dataframe", "pandas"),
        ("supervision", "to_supervision", "supervision>=0.30"),
        ("torch", "to_torchvision", "torch"),
    ],
)
def test_a_library_that_is_not_installed_is_named(monkeypatch, library, method, package):
    monkeypatch.setitem(sys.modules, library, None)
    message = f"{method}() needs {library}, which is not installed: pip install '{package}'"
    with pytest.raises(HeatmapError) as caught:
        getattr(findings(), method)()
    assert str(caught.value) == message


def test_a_library_that_cannot_be_loaded_says_why(tmp_path, monkeypatch):
    (tmp_path / "pandas.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    with pytest.raises(HeatmapError, match=r"cannot be loaded \(No module named 'no_such_module'"):
        findings().to_dataframe()


def test_the_photo_and_its_size_are_those_of_the_maps():
    found = findings(replace(made_grid(), origin=replace(made_grid().origin, photo="a/b.jpg")))
    assert (found.photo, found.whole_hw) == ("a/b.jpg", HW)
