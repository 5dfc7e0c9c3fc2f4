"""Exported files: as csv, pycocotools, shapely, rasterio and tifffile read them."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin
from shapely.geometry import Polygon, shape

from heatmap.classes import ClassGroup, ClassList
from heatmap.errors import PhotoError, ResultError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.localize import Detection
from heatmap.photo.photo import Photo, read_photo
from heatmap.rendering.paint import nearest
from heatmap.runs import formats as exporting
from heatmap.runs.coco import CocoIds
from heatmap.runs.formats import FORMATS, export_files

HW = (300, 420)
NAMES = ("cat", "crane", "crane", "Crane")
CAT, ANIMAL = ClassGroup("cat", (0,)), ClassGroup("any animal", (0, 1, 2, 3))
NORTH_UP = from_origin(421000.5, 5412345.25, 0.3, 0.2)
SHEARED = Affine(0.2, 0.05, 421000.0, -0.07, 0.3, 5412345.0)


def made_grid(hw=HW, *, missing: Any = None, scale: float = 1.0) -> ScoreGrid:
    geometry = plan_grid(hw, Placement(scale=scale), window=64, native_stride=32)
    scores = np.random.default_rng(1).dirichlet(np.ones(4) / 2, geometry.grid_hw)
    scores = scores.astype(np.float32)
    if missing is not None:
        scores[missing] = np.nan
    origin = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")
    return ScoreGrid(scores, geometry, ClassList(NAMES), "probabilities", origin)


def made_photo(hw=HW, path: str = "") -> Photo:
    return Photo(np.zeros((*hw, 3), np.uint8), path)


def made_geotiff(path: Path, transform: Affine, crs: str | None = "EPSG:32633") -> Photo:
    height, width = HW
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=3,
        dtype="uint8",
        crs=crs,
        transform=transform,
    ) as dataset:
        dataset.write(np.zeros((3, height, width), np.uint8))
    return read_photo(path)


FOUND = (
    Detection(CAT, 0.91234567, (10.126, 20.0, 110.0, 70.0), (0.0, 0.0, 128.0, 128.0), (0, 1), 0.5),
    Detection(ANIMAL, 0.4, (200.5, 100.25, 420.0, 300.0), (192.0, 96.0, 420.0, 300.0), (3, 6), 1.0),
)


def export(
    folder: Path,
    formats: Sequence[str],
    photo: Photo,
    grid: ScoreGrid | None = None,
    detections: Sequence[Detection] = FOUND,
    groups: Sequence[ClassGroup] = (CAT, ANIMAL),
) -> dict[str, Path]:
    files = export_files(formats, photo, grid or made_grid(), detections, groups)
    for suffix, write in files.items():
        write(folder / f"photo{suffix}")
    return {suffix: folder / f"photo{suffix}" for suffix in files}


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
        ]

    def test_none(self):
        assert export_files((), made_photo(), made_grid(), FOUND, (CAT,)) == {}

    def test_an_unknown_format_is_named(self):
        message = "format 'xml' is unknown: choose among csv, coco, geojson, tiff"
        with pytest.raises(ResultError, match=message):
            export_files(["csv", "xml"], made_photo(), made_grid(), FOUND, ())

    def test_another_photo_is_refused(self):
        with pytest.raises(ResultError, match="photo is 421 x 300 px, the scored one was"):
            export_files(["csv"], made_photo((300, 421)), made_grid(), FOUND, ())

    def test_the_photo_is_opened_again_only_for_its_place(self, tmp_path):
        photo = made_photo(path=str(tmp_path / "gone.tif"))
        export(tmp_path, ["csv", "coco"], photo)
        for name in ("geojson", "tiff"):
            with pytest.raises(PhotoError, match=r"gone\.tif: no such file"):
                export(tmp_path, [name], photo)


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
        }
        assert [row[1] for row in rows] == ["cat", "any animal"]

    def test_lines_end_as_rfc_4180_says_and_nothing_found_leaves_the_names(self, tmp_path):
        content = export(tmp_path, ["csv"], made_photo(), detections=())[".csv"].read_bytes()
        assert content.startswith(b"photo,class,confidence,left,")
        assert content.endswith(b",scale\r\n")
        assert content.count(b"\n") == 1

    @pytest.mark.parametrize("name", ["a, b", 'say "hi"', "two\nlines", "a\r\nb", "日本", " x "])
    def test_any_name_comes_back(self, tmp_path, name):
        found = Detection(ClassGroup(name, (0,)), 0.5, (0, 0, 1, 1), (0, 0, 1, 1), (0, 0), 1.0)
        rows = self.rows(tmp_path, [found, *FOUND], f"{name}/x.jpg")
        assert rows[1][:2] == [f"{name}/x.jpg", name]
        assert len(rows) == 4

    @pytest.mark.parametrize(
        "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1", "'=1", "''-1"]
    )
    def test_no_name_is_a_formula_and_one_mark_undoes_it(self, tmp_path, name):
        found = Detection(ClassGroup(name, (0,)), 0.5, (0, 0, 1, 1), (0, 0, 1, 1), (0, 0), 1.0)
        row = self.rows(tmp_path, [found], f"{name}.jpg")[1]
        assert row[:2] == [f"'{name}.jpg", f"'{name}"]

    @pytest.mark.parametrize("name", ["it's", "'quoted'", "a=b", "1-2", "x@y"])
    def test_other_names_are_not_marked(self, tmp_path, name):
        assert self.rows(tmp_path, FOUND, name)[1][0] == name

    def test_a_file_name_that_is_not_utf8_shows_its_bytes(self, tmp_path):
        assert self.rows(tmp_path, FOUND, "caf\udce9.jpg")[1][0] == "caf\\udce9.jpg"


class TestCoco:
    def test_both_files_load_together(self, tmp_path):
        photo = made_photo(path="caf\udce9 9.jpg")
        files = export(tmp_path, ["coco"], photo)
        truth = COCO(str(files[".coco.dataset.json"]))
        results = truth.loadRes(str(files[".coco.json"]))
        (image,) = truth.loadImgs(results.getImgIds())
        assert image["file_name"] == photo.path
        assert [truth.cats[one["category_id"]]["name"] for one in results.anns.values()] == [
            "cat",
            "any animal",
        ]

    def test_with_the_ids_of_a_dataset_there_are_results_alone(self, tmp_path):
        ids = CocoIds("instances.json", {"a.jpg": 7}, {"cat": 17, "any animal": 3})
        photo, grid, drawn = made_photo(path="x/a.jpg"), made_grid(), [ClassGroup("crane", (1,))]
        files = export_files(["coco"], photo, grid, FOUND, drawn, coco_ids=ids)
        assert list(files) == [".coco.json"]
        files[".coco.json"](tmp_path / "a.json")
        rows = json.loads((tmp_path / "a.json").read_bytes())
        assert [(row["image_id"], row["category_id"]) for row in rows] == [(7, 17), (7, 3)]

    def test_a_photo_that_the_dataset_does_not_have_is_refused(self):
        ids = CocoIds("instances.json", {"a.jpg": 7}, {"cat": 17, "any animal": 3})
        photo = made_photo(path="b.jpg")
        with pytest.raises(ResultError, match=r"b\.jpg is not among the 1 images"):
            export_files(["coco"], photo, made_grid(), FOUND, (CAT,), coco_ids=ids)


def polygons(collection: dict[str, Any]) -> list[Polygon]:
    return [shape(feature["geometry"]) for feature in collection["features"]]


class TestGeoJson:
    def read(self, folder: Path, photo: Photo) -> dict[str, Any]:
        return json.loads(export(folder, ["geojson"], photo)[".geojson"].read_text("utf-8"))

    def test_without_a_place_in_photo_pixels(self, tmp_path):
        collection = self.read(tmp_path, made_photo(path=""))
        assert collection["type"] == "FeatureCollection"
        assert collection["coordinate_frame"].startswith("photo pixels: x to the right, y down")
        assert collection["crs"] is None
        (ring,) = collection["features"][0]["geometry"]["coordinates"]
        assert (len(ring), ring[0]) == (5, ring[-1])
        assert [polygon.bounds for polygon in polygons(collection)] == [
            (10.13, 20.0, 110.0, 70.0),
            (200.5, 100.25, 420.0, 300.0),
        ]
        assert collection["features"][0]["properties"] == {
            "class": "cat",
            "confidence": 0.912346,
            "scale": 0.5,
            "box_px": [10.13, 20.0, 110.0, 70.0],
        }

    @pytest.mark.parametrize("transform", [NORTH_UP, SHEARED, NORTH_UP @ Affine.rotation(30)])
    def test_all_four_corners_lie_where_rasterio_puts_them(self, tmp_path, transform):
        photo = made_geotiff(tmp_path / "a.tif", transform)
        collection = self.read(tmp_path, photo)
        assert collection["coordinate_frame"].startswith("world, EPSG:32633")
        with rasterio.open(photo.path) as dataset:
            for one, polygon in zip(collection["features"], polygons(collection), strict=True):
                left, top, right, bottom = one["properties"]["box_px"]
                corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
                expected = Polygon([dataset.transform @ corner for corner in corners])
                assert polygon.symmetric_difference(expected).area < 1e-6 * expected.area
                assert polygon.hausdorff_distance(expected) < 1e-6

    @pytest.mark.parametrize(
        "transform", [NORTH_UP, SHEARED, Affine(-1, 0.1, 5, 0, -1, 5), Affine(0, 1, 5, 1, 0, 5)]
    )
    def test_rings_are_counter_clockwise(self, tmp_path, transform):
        for photo in (made_geotiff(tmp_path / "a.tif", transform), made_photo()):
            for polygon in polygons(self.read(tmp_path, photo)):
                assert polygon.is_valid
                assert polygon.exterior.is_ccw

    @pytest.mark.parametrize("number", [32633, 3857, 4258])
    def test_the_coordinate_system_is_one_that_gdal_knows(self, tmp_path, number):
        photo = made_geotiff(tmp_path / "a.tif", NORTH_UP, f"EPSG:{number}")
        crs = self.read(tmp_path, photo)["crs"]
        assert crs["type"] == "name"
        assert CRS.from_user_input(crs["properties"]["name"]) == CRS.from_epsg(number)

    def test_wgs84_needs_no_name_and_a_system_without_a_number_gets_none(self, tmp_path):
        degrees = from_origin(14.25, 50.5, 1e-5, 1e-5)
        assert "crs" not in self.read(
            tmp_path, made_geotiff(tmp_path / "a.tif", degrees, "EPSG:4326")
        )
        collection = self.read(tmp_path, made_geotiff(tmp_path / "b.tif", NORTH_UP, None))
        assert collection["crs"] is None
        assert collection["coordinate_frame"] == "world, in a system without an EPSG code"

    def test_names_of_any_kind_are_valid_json(self, tmp_path):
        odd = Detection(ClassGroup('"\udce9\n', (0,)), 0.5, (0, 0, 1, 1), (0, 0, 1, 1), (0, 0), 1.0)
        files = export(tmp_path, ["geojson"], made_photo(), detections=[odd])
        collection = json.loads(files[".geojson"].read_text("utf-8"))
        assert collection["features"][0]["properties"]["class"] == '"\udce9\n'


class TestFloatTiff:
    @pytest.mark.parametrize("hw", [HW, (64, 64), (1, 700), (513, 300)])
    @pytest.mark.parametrize("scale", [1.0, 0.6])
    def test_values_are_those_of_the_heatmap(self, tmp_path, hw, scale):
        grid = made_grid(hw, scale=scale)
        files = export(tmp_path, ["tiff"], made_photo(hw), grid)
        for suffix, group in ((".cat.heat.tif", CAT), (".any-animal.heat.tif", ANIMAL)):
            expected = grid.heatmap(group)
            read = tifffile.imread(files[suffix])
            assert read.dtype == np.float32
            np.testing.assert_array_equal(read, expected)
            with rasterio.open(files[suffix]) as dataset:
                np.testing.assert_array_equal(dataset.read(1), expected)
                assert dataset.count == 1

    def test_it_is_tiled_and_compressed(self, tmp_path):
        path = export(tmp_path, ["tiff"], made_photo())[".cat.heat.tif"]
        with tifffile.TiffFile(path) as file:
            assert file.pages[0].predictor == 2
            assert file.pages[0].tags.valueof(305) == "heatmap"
            assert "ImageDescription" not in file.pages[0].tags
        with rasterio.open(path) as dataset:
            assert dataset.block_shapes == [(256, 256)]
            assert dataset.compression.name == "deflate"
            assert np.isnan(dataset.nodata)

    @pytest.mark.parametrize("missing", [(0, 0), (slice(2), slice(5)), slice(None)])
    def test_where_nothing_was_scored_there_is_no_value(self, tmp_path, missing):
        grid = made_grid(missing=missing)
        read = tifffile.imread(export(tmp_path, ["tiff"], made_photo(), grid)[".cat.heat.tif"])
        unknown = np.isnan(nearest(grid.class_map(CAT), grid.geometry))
        assert unknown.any()
        np.testing.assert_array_equal(np.isnan(read), unknown)
        np.testing.assert_array_equal(read[~unknown], grid.heatmap(CAT)[~unknown])

    @settings(max_examples=10, deadline=None)
    @given(strip_px=st.integers(1, 2**19))
    def test_strips_of_any_height_make_the_whole(self, tmp_path_factory, strip_px):
        grid = made_grid((900, 500), missing=(slice(2), slice(3)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporting, "_STRIP_PX", strip_px)
            folder = tmp_path_factory.mktemp("strips")
            read = tifffile.imread(
                export(folder, ["tiff"], made_photo((900, 500)), grid)[".cat.heat.tif"]
            )
        whole = exporting._heat(grid.class_map(CAT), grid.geometry, (0, 900))
        # Positions of rows count from the first of a strip, in float32.
        np.testing.assert_allclose(read, whole, atol=5e-6)

    def test_a_large_heatmap_is_never_whole_in_memory(self, tmp_path, monkeypatch):
        monkeypatch.setattr(exporting, "_STRIP_PX", 2**18)
        hw = (4096, 1024)
        photo, grid = made_photo(hw), made_grid(hw)
        tracemalloc.start()
        try:
            export(tmp_path, ["tiff"], photo, grid, groups=[CAT])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 * hw[0] * hw[1] / 2

    @pytest.mark.parametrize("transform", [NORTH_UP, SHEARED])
    def test_the_place_of_the_photo_is_kept(self, tmp_path, transform):
        photo = made_geotiff(tmp_path / "a.tif", transform)
        files = export(tmp_path, ["tiff"], photo)
        with rasterio.open(files[".cat.heat.tif"]) as dataset:
            assert dataset.transform == transform
            assert dataset.crs == CRS.from_epsg(32633)

    def test_classes_of_one_name_have_files_of_their_own(self, tmp_path):
        groups = [
            ANIMAL,
            ClassGroup("crane", (1,)),
            ClassGroup("crane", (2,)),
            ClassGroup("cat", (0, 1, 3)),
            ClassGroup("Cat", (3,)),
        ]
        grid = made_grid()
        files = export(tmp_path, ["tiff"], made_photo(), grid, groups=groups)
        assert list(files) == [
            ".any-animal.heat.tif",
            ".crane-1.heat.tif",
            ".crane-2.heat.tif",
            ".cat-0-1.heat.tif",
            ".Cat-3.heat.tif",
        ]
        for path, group in zip(files.values(), groups, strict=True):
            np.testing.assert_array_equal(tifffile.imread(path), grid.heatmap(group))
