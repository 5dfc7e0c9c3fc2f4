"""Regions of photo files, against the same pixels cut out of the whole photo."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from heatmap.errors import GeometryError
from heatmap.photo import photo_file
from heatmap.photo.georeference import georeference_of
from heatmap.photo.photo import Photo, read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reduced import ReducedPhoto, open_photo, reduced_photo
from heatmap.region import Region, moved
from tests.photo.test_georeference import write_geotiff
from tests.photo.test_photo_file import FILES

HW = (300, 170)


def cut(path, region: Region) -> np.ndarray:
    whole = read_photo(path).pixels
    return whole[region.top : region.top + region.height, region.left :][:, : region.width]


@pytest.mark.few(8)
@pytest.mark.parametrize("name", FILES)
def test_a_region_is_what_is_cut_out_of_the_whole(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    whole = read_photo(path)
    region = Region(21, 33, whole.hw[1] - 40, whole.hw[0] - 57, whole_hw=whole.hw)
    expected = cut(path, region)
    in_memory, on_disk = read_photo(path, region), PhotoFile(path, region)
    for photo in (in_memory, on_disk):
        assert (photo.hw, photo.whole_hw, photo.region) == (region.hw, whole.hw, region)
        assert (photo.digest, photo.notes) == (whole.digest, whole.notes)
        np.testing.assert_array_equal(np.concatenate(list(photo.strips(40))), expected)
        part = np.concatenate(list(photo.strips(9, first=10, columns=(5, 30))))
        np.testing.assert_array_equal(part, expected[10:, 5:30])
    reduced = reduced_photo(path, 2, region)
    assert (reduced.hw, reduced.whole_hw, reduced.region) == (region.hw, whole.hw, region)
    assert reduced.decoded == "at 1/2 of its size, by averaging"
    height, width = (side // 2 for side in region.hw)
    assert np.subtract(reduced.level.hw, (height, width)).max() <= 1
    even = expected[: 2 * height, : 2 * width]
    small = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(reduced.level.pixels[:height, :width] - small).max() <= 1
    np.testing.assert_array_equal(np.concatenate(list(reduced.strips())), expected)


def test_a_region_is_opened_as_a_photo_of_its_size_would_be(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    FILES["plain.jpg"](path)
    region = Region(10, 20, 100, 200, whole_hw=HW)
    assert isinstance(open_photo(path, None, region), Photo)
    reduced = open_photo(path, (50, 25), region)
    assert isinstance(reduced, ReducedPhoto)
    assert reduced.denominator == 4
    monkeypatch.setattr(photo_file, "LARGE_PX", 100 * 200)
    assert isinstance(open_photo(path, None, region), Photo)
    monkeypatch.setattr(photo_file, "LARGE_PX", 100 * 200 - 1)
    assert isinstance(open_photo(path, None, region), PhotoFile)


@pytest.mark.parametrize("name", ["turned.jpg", "deep clear.tif"])
def test_a_region_of_a_photo_too_large_for_memory_goes_by_disk(tmp_path, monkeypatch, name):
    FILES[name](tmp_path / name)
    path, copied, on_disk = tmp_path / name, [], photo_file._on_disk
    whole = read_photo(path)
    region = Region(10, 20, 60, 80, whole_hw=whole.hw)

    def noted(image):
        copied.append((image.width, image.height))
        return on_disk(image)

    monkeypatch.setattr(photo_file, "_on_disk", noted)
    monkeypatch.setattr(photo_file, "LARGE_PX", 10_000)
    part = open_photo(path, None, region)
    assert isinstance(part, Photo)
    np.testing.assert_array_equal(part.pixels, whole.pixels[20:100, 10:70])
    assert len(copied) == 1
    assert isinstance(open_photo(path, (40, 30), region), ReducedPhoto)
    assert len(copied) == 2


def test_a_tiled_file_is_read_only_where_the_region_lies(tmp_path):
    path = tmp_path / "a.tif"
    FILES["tiles.tif"](path)
    # The last tiles are missing: the top of the photo can be read all the same.
    path.write_bytes(path.read_bytes()[:-3000])
    region = Region(0, 0, 170, 100, whole_hw=HW)
    assert read_photo(path, region).hw == (100, 170)
    assert reduced_photo(path, 2, region).level.hw == (50, 85)


@given(st.lists(st.integers(-50, 400), min_size=4, max_size=4))
def test_only_regions_inside_the_photo_are_taken(given_sides):
    left, top, width, height = given_sides
    fits = min(left, top) >= 0 and min(width, height) > 0
    if fits and left + width <= HW[1] and top + height <= HW[0]:
        assert Region(left, top, width, height, whole_hw=HW).hw == (height, width)
        return
    with pytest.raises(GeometryError, match="is not inside the photo of 170 x 300 px: give left"):
        Region(left, top, width, height, whole_hw=HW)


def test_a_box_is_moved_with_its_size():
    assert moved((1, 2, 5, 9), 100, -2) == (101, 0, 105, 7)


def test_a_regions_place_in_the_world_is_that_of_its_pixels(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", from_origin(421000.5, 5412345.25, 0.3, 0.2))
    whole = read_photo(path)
    region = Region(3, 2, 4, 3, whole_hw=whole.hw)
    of_whole = georeference_of(read_photo(path, region))
    assert of_whole == georeference_of(whole)
    placed = of_whole.of_region(region)
    for x, y in ((0, 0), (4, 3), (1.5, 2.25)):
        assert placed.world_xy(x, y) == pytest.approx(of_whole.world_xy(x + 3, y + 2))
