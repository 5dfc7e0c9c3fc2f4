"""Where a photo lies in the world: as rasterio (GDAL) reads the same files."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import Affine, from_origin

from heatmap.errors import PhotoError
from heatmap.photo.georeference import Georeference, georeference_of
from heatmap.photo.photo import Photo, read_photo
from heatmap.photo.photo_file import PhotoFile

HEIGHT, WIDTH = 6, 9
POINTS = [(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT), (2.5, 3.25)]
PIXELS = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)

NORTH_UP = from_origin(421000.5, 5412345.25, 0.3, 0.2)
SHEARED = Affine(0.2, 0.05, 421000.0, -0.07, 0.3, 5412345.0)
TURNED = NORTH_UP @ Affine.rotation(30)
SCALE, TIEPOINT, MATRIX, KEYS, ORIENTATION = 33550, 33922, 34264, 34735, 274
DOUBLE, SHORT, ASCII = 12, 3, 2
SQUARE = (SCALE, DOUBLE, (1.0, 1.0, 0.0))
CORNER = (TIEPOINT, DOUBLE, (0.0,) * 6)
UTM_33 = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)


def write_geotiff(path: Path, transform: Affine, *, crs="EPSG:32633", point=False) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=HEIGHT,
        width=WIDTH,
        count=3,
        dtype="uint8",
        crs=crs,
        transform=transform,
    ) as dataset:
        dataset.write(PIXELS.transpose(2, 0, 1))
        if point:
            dataset.update_tags(AREA_OR_POINT="Point")
    return path


def write_tags(path: Path, *tags: tuple) -> Path:
    """A TIFF with tags of one's own: (code, type, values)."""
    extra = [
        (code, kind, len(values), values if kind == ASCII else tuple(values), True)
        for code, kind, values in tags
    ]
    tifffile.imwrite(path, PIXELS, photometric="rgb", extratags=extra, metadata=None)
    return path


def place_of(path: Path) -> Georeference:
    place = georeference_of(read_photo(path))
    assert place is not None
    return place


def assert_places(place: Georeference, transform: Affine, tolerance: float = 1e-9) -> None:
    """Points of the photo lie where a transform of rasterio's puts them."""
    for point in POINTS:
        assert place.world_xy(*point) == pytest.approx(transform @ point, rel=0, abs=tolerance)


def as_rasterio_reads(path: Path) -> Affine:
    with rasterio.open(path) as dataset:
        return dataset.transform


class TestGeoTiff:
    @pytest.mark.parametrize("point", [False, True])
    @pytest.mark.parametrize("transform", [NORTH_UP, SHEARED])
    def test_points_lie_where_rasterio_puts_them(self, tmp_path, transform, point):
        path = write_geotiff(tmp_path / "a.tif", transform, point=point)
        with tifffile.TiffFile(path) as file:
            assert (MATRIX in file.pages[0].tags) == (transform == SHEARED)
            raster_type = file.pages[0].geotiff_tags["GTRasterTypeGeoKey"]
            assert raster_type == (2 if point else 1)
        assert_places(place_of(path), as_rasterio_reads(path))
        assert_places(place_of(path), transform)

    @settings(max_examples=20)
    @given(
        sides=st.tuples(*[st.floats(-50, 50)] * 4),
        corner=st.tuples(*[st.floats(-1e7, 1e7)] * 2),
        point=st.booleans(),
    )
    def test_any_turn_and_shear(self, tmp_path_factory, sides, corner, point):
        a, b, d, e = sides
        assume(abs(a * e - b * d) > 1e-6)
        # Without a turn GDAL writes mirrored sides as a scale below 0, which is refused.
        assume(b or d or (a > 0 and e < 0))
        transform = Affine(a, b, corner[0], d, e, corner[1])
        path = tmp_path_factory.mktemp("any") / "a.tif"
        write_geotiff(path, transform, point=point)
        assert_places(place_of(path), as_rasterio_reads(path), 1e-6)

    @pytest.mark.parametrize(
        ("crs", "epsg"), [("EPSG:32633", 32633), ("EPSG:4326", 4326), ("EPSG:3857", 3857)]
    )
    def test_the_coordinate_system_has_its_number(self, tmp_path, crs, epsg):
        assert place_of(write_geotiff(tmp_path / "a.tif", NORTH_UP, crs=crs)).epsg == epsg

    @pytest.mark.parametrize("crs", [None, "+proj=laea +lat_0=12 +lon_0=34 +ellps=GRS80"])
    def test_a_coordinate_system_without_a_number_has_none(self, tmp_path, crs):
        path = write_geotiff(tmp_path / "a.tif", NORTH_UP, crs=crs)
        assert place_of(path).epsg is None
        assert_places(place_of(path), NORTH_UP)

    def test_a_key_that_stands_elsewhere_is_no_number(self, tmp_path):
        keys = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 34736, 1, 32633)
        assert (
            place_of(write_tags(tmp_path / "a.tif", SQUARE, CORNER, (KEYS, SHORT, keys))).epsg
            is None
        )

    def test_the_tiepoint_may_be_any_pixel(self, tmp_path):
        path = write_tags(
            tmp_path / "a.tif",
            (SCALE, DOUBLE, (2.0, 3.0, 0.0)),
            (TIEPOINT, DOUBLE, (4.0, 5.0, 0.0, 1000.0, 2000.0, 0.0)),
        )
        assert place_of(path).world_xy(4, 5) == (1000, 2000)
        assert_places(place_of(path), as_rasterio_reads(path))

    def test_a_photo_left_on_disk_has_the_same_place(self, tmp_path):
        path = write_geotiff(tmp_path / "a.tif", SHEARED)
        assert georeference_of(PhotoFile(path)) == place_of(path)

    def test_a_file_name_need_not_be_utf8(self, tmp_path):
        path = write_geotiff(tmp_path / "a.tif", SHEARED)
        odd = path.rename(tmp_path / "caf\udce9.tif")
        assert_places(place_of(odd), SHEARED)


class TestTagsForAnotherFile:
    @pytest.mark.parametrize("point", [False, True])
    @pytest.mark.parametrize("transform", [NORTH_UP, SHEARED, TURNED])
    def test_rasterio_reads_the_same_place_from_them(self, tmp_path, transform, point):
        path = write_geotiff(tmp_path / "a.tif", transform, point=point)
        self.assert_kept(path, tmp_path / "copy.tif")

    def test_maps_with_north_above_have_the_plainest_form(self, tmp_path):
        place = place_of(write_geotiff(tmp_path / "a.tif", NORTH_UP))
        assert [tag[0] for tag in place.tiff_tags()][:2] == [SCALE, TIEPOINT]

    def test_parameters_and_names_come_along(self, tmp_path):
        crs = "+proj=laea +lat_0=12.5 +lon_0=34.25 +ellps=GRS80"
        path = write_geotiff(tmp_path / "a.tif", NORTH_UP, crs=crs)
        self.assert_kept(path, tmp_path / "copy.tif")
        with rasterio.open(tmp_path / "copy.tif") as dataset:
            assert dataset.crs.to_dict()["lon_0"] == 34.25

    @staticmethod
    def assert_kept(path: Path, copy: Path) -> None:
        tifffile.imwrite(copy, PIXELS, photometric="rgb", extratags=place_of(path).tiff_tags())
        with rasterio.open(path) as expected, rasterio.open(copy) as found:
            assert found.transform.almost_equals(expected.transform, 1e-8)
            assert found.crs == expected.crs
            assert found.tags()["AREA_OR_POINT"] == expected.tags()["AREA_OR_POINT"]


class TestWorldFiles:
    LINES = "0.2\n-0.07\n0.05\n0.3\n421000.125\n5412345.25\n"

    @pytest.mark.parametrize(
        ("photo", "world"),
        [
            ("a.tif", "a.tfw"),
            ("a.tif", "a.tifw"),
            ("a.tif", "a.wld"),
            ("a.jpg", "a.jgw"),
            ("a.jpg", "a.wld"),
            ("a.png", "a.pgw"),
            ("b.c.png", "b.c.PGW"),
        ],
    )
    def test_points_lie_where_rasterio_puts_them(self, tmp_path, photo, world):
        path = tmp_path / photo
        Image.fromarray(PIXELS).save(path)
        (tmp_path / world).write_text(self.LINES)
        assert_places(place_of(path), as_rasterio_reads(path))
        assert place_of(path).epsg is None

    def test_the_last_two_numbers_are_the_centre_of_the_first_pixel(self, tmp_path):
        Image.fromarray(PIXELS).save(tmp_path / "a.jpeg")
        (tmp_path / "a.jpegw").write_text(self.LINES)
        assert place_of(tmp_path / "a.jpeg").world_xy(0.5, 0.5) == (421000.125, 5412345.25)

    def test_tags_go_before_a_world_file(self, tmp_path):
        path = write_geotiff(tmp_path / "a.tif", NORTH_UP)
        (tmp_path / "a.tfw").write_text(self.LINES)
        assert_places(place_of(path), NORTH_UP)

    @pytest.mark.parametrize("raster_type", [1, 2])
    def test_a_tiff_that_names_its_system_alone_takes_the_place_from_the_file(
        self, tmp_path, raster_type
    ):
        keys = (*UTM_33[:11], raster_type, *UTM_33[12:])
        path = write_tags(tmp_path / "a.tif", (KEYS, SHORT, keys))
        (tmp_path / "a.tfw").write_text(self.LINES)
        place = place_of(path)
        assert place.epsg == 32633
        assert place.world_xy(0.5, 0.5) == (421000.125, 5412345.25)
        copy = tmp_path / "copy.tif"
        tifffile.imwrite(copy, PIXELS, photometric="rgb", extratags=place.tiff_tags())
        assert_places(place, as_rasterio_reads(copy))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("1\n2\n3\n4\n5\n", "holds 5 numbers, not 6"),
            ("1\n0\n0\n-1\n5\n6\n7\n", "holds 7 numbers, not 6"),
            ("", "holds 0 numbers, not 6"),
            ("1,5\n0\n0\n-1\n5\n6\n", "holds more than numbers"),
            ("\xff\xfe\n", "holds more than numbers"),
            ("1\n0\n0\nnan\n5\n6\n", "gives no valid position"),
            ("1\n2\n2\n4\n5\n6\n", "gives no valid position"),
        ],
    )
    def test_a_broken_one_is_refused_in_one_line(self, tmp_path, content, message):
        Image.fromarray(PIXELS).save(tmp_path / "a.png")
        (tmp_path / "a.pgw").write_bytes(content.encode("latin-1"))
        with pytest.raises(PhotoError, match=rf"a\.png: world file a\.pgw .*{message}") as caught:
            place_of(tmp_path / "a.png")
        assert "\n" not in str(caught.value)


class TestTurnedPhotos:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("keys", [UTM_33, (*UTM_33[:11], 2, *UTM_33[12:])])
    def test_each_pixel_keeps_its_place(self, tmp_path, orientation, keys):
        """Pixels of unlike colours: each is found in the upright photo by its own."""
        matrix = (0.2, 0.05, 0, 421000, -0.07, 0.3, 0, 5412345, *[0] * 7, 1)
        tags = ((MATRIX, DOUBLE, matrix), (KEYS, SHORT, keys))
        path = write_tags(tmp_path / "a.tif", *tags, (ORIENTATION, SHORT, (orientation,)))
        photo, place = read_photo(path), place_of(path)
        raw = as_rasterio_reads(write_tags(tmp_path / "raw.tif", *tags))
        assert photo.hw == ((WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH))
        for row in range(HEIGHT):
            for column in range(WIDTH):
                same = (photo.pixels == PIXELS[row, column]).all(axis=2)
                (y,), (x,) = np.nonzero(same)
                expected = raw @ (column + 0.5, row + 0.5)
                assert place.world_xy(x + 0.5, y + 0.5) == pytest.approx(expected, abs=1e-9)

    def test_a_jpeg_turned_by_its_exif(self, tmp_path):
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
        (tmp_path / "a.jgw").write_text("2\n0\n0\n-3\n100\n200\n")
        place = place_of(tmp_path / "a.jpg")
        # Turned clockwise, the first pixel of the file is at the upper right.
        assert place.world_xy(HEIGHT - 0.5, 0.5) == pytest.approx((100, 200))
        assert place.world_xy(HEIGHT - 0.5, 1.5) == pytest.approx((102, 200))


class TestWithoutAPlace:
    @pytest.mark.parametrize("name", ["a.tif", "a.jpg", "a.png", "a.webp", "a.gif", "a"])
    def test_photos_that_say_nothing(self, tmp_path, name):
        Image.fromarray(PIXELS).save(tmp_path / name, format=None if "." in name else "PNG")
        assert georeference_of(read_photo(tmp_path / name)) is None

    def test_a_name_too_long_for_one_of_a_world_file(self, tmp_path):
        path = tmp_path / ("a" * 251 + ".png")
        Image.fromarray(PIXELS).save(path)
        assert georeference_of(read_photo(path)) is None

    def test_an_array(self):
        assert georeference_of(Photo(PIXELS)) is None

    def test_a_file_that_is_gone_is_named(self, tmp_path):
        with pytest.raises(PhotoError, match=r"gone\.tif: no such file"):
            georeference_of(Photo(PIXELS, str(tmp_path / "gone.tif")))

    def test_a_file_of_another_size_is_named(self, tmp_path):
        path = write_geotiff(tmp_path / "a.tif", NORTH_UP)
        with pytest.raises(PhotoError, match=r"a\.tif: is 9 x 6 px in the file now.* 9 x 5 px"):
            georeference_of(Photo(PIXELS[:5], str(path)))


BROKEN = {
    "no scale": ([CORNER], "ModelTiepoint alone gives no transform: warp the photo"),
    "four points": ([(TIEPOINT, DOUBLE, (1.0,) * 24)], "ModelTiepoint alone gives no transform"),
    "no tiepoint": ([SQUARE], "ModelPixelScale alone gives no transform"),
    "scale of 2": ([(SCALE, DOUBLE, (1.0, 1.0)), CORNER], "holds 2 numbers, not 3"),
    "scale of 6": ([(SCALE, DOUBLE, (1.0,) * 6), CORNER], "holds 6 numbers, not 3"),
    "tiepoint of 5": ([SQUARE, (TIEPOINT, DOUBLE, (0.0,) * 5)], "holds 5 numbers, not 6"),
    "scale 0": ([(SCALE, DOUBLE, (0.0, 1.0, 0.0)), CORNER], "0 x 1, not above 0"),
    "scale below 0": ([(SCALE, DOUBLE, (1.0, -1.0, 0.0)), CORNER], "1 x -1, not above 0"),
    "scale nan": ([(SCALE, DOUBLE, (np.nan, 1.0, 0.0)), CORNER], "not above 0"),
    "far": ([SQUARE, (TIEPOINT, DOUBLE, (0, 0, 0, 1e300, 0, 0))], "gives no valid position"),
    "nan": ([SQUARE, (TIEPOINT, DOUBLE, (0, 0, 0, np.nan, 0, 0))], "gives no valid position"),
    "flat": ([(MATRIX, DOUBLE, (1, 2, 0, 0, 2, 4, 0, 0, *[0] * 8))], "gives no valid position"),
    "matrix of 12": ([(MATRIX, DOUBLE, (1.0,) * 12)], "holds 12 numbers, not 16"),
    "text": ([(SCALE, ASCII, "one"), CORNER], "GeoTIFF tags cannot be read"),
    "keys cut": ([SQUARE, CORNER, (KEYS, SHORT, UTM_33[:9])], "GeoKeyDirectory is damaged"),
    "keys empty": ([SQUARE, CORNER, (KEYS, SHORT, UTM_33[:3])], "GeoKeyDirectory is damaged"),
    "keys nan": ([SQUARE, CORNER, (KEYS, DOUBLE, (np.nan,) * 8)], "GeoKeyDirectory is damaged"),
}


class TestBrokenTags:
    @pytest.mark.parametrize(("tags", "message"), BROKEN.values(), ids=BROKEN)
    def test_each_is_refused_in_one_line(self, tmp_path, tags, message):
        path = write_tags(tmp_path / "a.tif", *tags)
        with pytest.raises(PhotoError, match=f"a.tif: .*{message}") as caught:
            place_of(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("code", "name"), [(SCALE, "ModelPixelScale"), (KEYS, "GeoKeyDir")])
    def test_a_tag_that_points_past_the_file_is_not_taken_for_absent(
        self, tmp_path, code, name, caplog
    ):
        path = write_tags(tmp_path / "a.tif", SQUARE, CORNER, (KEYS, SHORT, UTM_33))
        with tifffile.TiffFile(path) as file:
            at = file.pages[0].tags[code].offset + 8
        content = bytearray(path.read_bytes())
        content[at : at + 4] = struct.pack("<I", 2**31)
        path.write_bytes(content)
        with pytest.raises(PhotoError, match=f"GeoTIFF tag {name}.* is damaged"):
            place_of(path)
        assert [record for record in caplog.records if record.name == "tifffile"] == []
        assert logging.getLogger("tifffile").filters == []

    def test_other_tags_may_be_broken(self, tmp_path):
        path = write_tags(tmp_path / "a.tif", SQUARE, CORNER, (65000, DOUBLE, (1.0, 2.0)))
        with tifffile.TiffFile(path) as file:
            at = file.pages[0].tags[65000].offset + 8
        content = bytearray(path.read_bytes())
        content[at : at + 4] = struct.pack("<I", 2**31)
        path.write_bytes(content)
        assert place_of(path).world_xy(1, 1) == (1, -1)
