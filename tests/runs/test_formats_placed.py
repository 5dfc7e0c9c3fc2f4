"""Exports in the world, read by those libraries that others use."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin
from shapely.geometry import Polygon, shape

from heatmap.classes import ClassGroup
from heatmap.grid.upsample import nearest
from heatmap.localization.detection import Detection
from heatmap.marks import MARK
from heatmap.photo.photo import Photo, read_photo
from heatmap.rendering.palette import PALETTE
from heatmap.runs import formats as exporting
from tests.support.formats import (
    ANIMAL,
    CAT,
    HW,
    NORTH_UP,
    SHEARED,
    export,
    findings,
    made_grid,
    made_photo,
)


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
            "objectType": "detection",
            "classification": {"name": "cat", "color": list(PALETTE[0])},
            "measurements": {"confidence": 0.912346},
            "class": "cat",
            "confidence": 0.912346,
            "scale": 0.5,
            "slide": 0.9,
            "crop": None,
            "box_px": [10.13, 20.0, 110.0, 70.0],
        }

    def test_qupath_gets_the_class_names_and_the_colours_of_the_picture(self, tmp_path):
        collection = self.read(tmp_path, made_photo())
        told = [one["properties"] for one in collection["features"]]
        assert [one["objectType"] for one in told] == ["detection"] * 2
        assert [one["classification"] for one in told] == [
            {"name": "cat", "color": list(PALETTE[0])},
            {"name": "any animal", "color": list(PALETTE[1])},
        ]
        # Only numbers can be measurements there.
        assert [one["measurements"] for one in told] == [
            {"confidence": one["confidence"]} for one in told
        ]

    def test_longitude_and_latitude_on_wgs_84_are_rfc_7946(self, tmp_path):
        """No "crs", closed rings, right-hand rule, coordinates of the earth: sections 3 and 4."""
        degrees = from_origin(14.25, 50.5, 1e-5, 1e-5)
        collection = self.read(tmp_path, made_geotiff(tmp_path / "a.tif", degrees, "EPSG:4326"))
        assert "crs" not in collection
        assert collection["coordinate_frame"].endswith("WGS 84 (EPSG:4326): RFC 7946")
        for one, polygon in zip(collection["features"], polygons(collection), strict=True):
            (ring,) = one["geometry"]["coordinates"]
            assert (len(ring), ring[0]) == (5, ring[-1])
            assert polygon.exterior.is_ccw
            left, bottom, right, top = polygon.bounds
            assert 14.25 <= left < right <= 14.26
            assert 50.49 <= bottom < top <= 50.5

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
        assert "not RFC 7946" in self.read(tmp_path, photo)["coordinate_frame"]
        assert CRS.from_user_input(crs["properties"]["name"]) == CRS.from_epsg(number)

    def test_a_system_without_a_number_gets_no_name(self, tmp_path):
        collection = self.read(tmp_path, made_geotiff(tmp_path / "b.tif", NORTH_UP, None))
        assert collection["crs"] is None
        assert collection["coordinate_frame"] == "world, in a system without an EPSG code"

    def test_names_of_any_kind_are_valid_json(self, tmp_path):
        odd = Detection(
            ClassGroup('"\udce9\n', (0,)), 0.5, (0, 0, 1, 1), (0, 0, 1, 1), (0, 0), 1.0, 0.5
        )
        files = export(tmp_path, ["geojson"], made_photo(), detections=[odd])
        collection = json.loads(files[".geojson"].read_text("utf-8"))
        assert collection["features"][0]["properties"]["class"] == '"\udce9\n'


class TestFloatTiff:
    @pytest.mark.parametrize("hw", [HW, (64, 64), (1, 700), (513, 300)])
    @pytest.mark.parametrize("scale", [1.0, 0.6])
    def test_values_are_those_of_the_heatmap(self, tmp_path, hw, scale):
        grid = made_grid(hw, scale=scale)
        files = export(tmp_path, ["tiff"], made_photo(hw), grid)
        maps = findings(grid, groups=(CAT, ANIMAL)).maps
        for suffix, place in ((".cat.heat.tif", 0), (".any-animal.heat.tif", 1)):
            expected = maps.heatmap(maps.classes.single(place))
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
            assert file.pages[0].tags.valueof(305) == MARK
            assert "ImageDescription" not in file.pages[0].tags
        with rasterio.open(path) as dataset:
            assert dataset.block_shapes == [(256, 256)]
            assert dataset.compression.name == "deflate"
            assert np.isnan(dataset.nodata)

    @pytest.mark.parametrize("missing", [(0, 0), (slice(2), slice(5)), slice(None)])
    def test_where_nothing_was_scored_there_is_no_value(self, tmp_path, missing):
        grid = made_grid(missing=missing)
        read = tifffile.imread(export(tmp_path, ["tiff"], made_photo(), grid)[".cat.heat.tif"])
        maps = findings(grid).maps
        unknown = np.isnan(nearest(maps.class_map(0), grid.geometry))
        assert unknown.any()
        np.testing.assert_array_equal(np.isnan(read), unknown)
        np.testing.assert_array_equal(read[~unknown], maps.heatmap(0)[~unknown])

    @settings(max_examples=10)
    @given(strip_px=st.integers(1, 2**19))
    def test_strips_of_any_height_make_the_whole(self, tmp_path_factory, strip_px):
        grid = made_grid((900, 500), missing=(slice(2), slice(3)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporting, "_STRIP_PX", strip_px)
            folder = tmp_path_factory.mktemp("strips")
            read = tifffile.imread(
                export(folder, ["tiff"], made_photo((900, 500)), grid)[".cat.heat.tif"]
            )
        cells = findings(grid).maps.class_map(0)
        whole = exporting._heat(cells, grid.geometry, (0, 900))
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
        maps = findings(grid, groups=groups).maps
        for place, path in enumerate(files.values()):
            np.testing.assert_array_equal(
                tifffile.imread(path), maps.heatmap(maps.classes.single(place))
            )
