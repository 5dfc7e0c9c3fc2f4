"""TIFFs of several images: the photo itself, not its thumbnail; copies and masks are no frames."""

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rasterio.transform import from_origin

from heatmap.errors import PhotoError
from heatmap.photo.georeference import georeference_of
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile, upright_hw
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region
from tests.photo.test_georeference import write_geotiff

HW = (128, 96)
REDUCED, MASK = 1, 4
CFA, LINEAR_RAW = 32803, 34892
FULL = "the full image, 96 x 128 px, is read, not the smaller copy before it"
DNG_VERSION = (50706, 1, 4, (1, 4, 0, 0), True)
RGB = {"photometric": "rgb"}


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def photo_of(hw=HW) -> np.ndarray:
    return noise(*hw, 3, seed=9)


def thumbnail() -> np.ndarray:
    return noise(16, 12, 3)


def halved(pixels: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in pixels.shape[:2])
    return np.rint(pixels.reshape(height, 2, width, 2, 3).mean((1, 3))).astype(np.uint8)


def write_later(path: Path, **options) -> None:
    """A thumbnail, then the photo as the next page."""
    with tifffile.TiffWriter(path) as file:
        file.write(thumbnail(), subfiletype=REDUCED, **RGB)
        file.write(photo_of(), **{**RGB, **options})


def write_below(path: Path, **options) -> None:
    """A thumbnail, and below it a smaller copy and the photo, as cameras write them."""
    with tifffile.TiffWriter(path) as file:
        file.write(thumbnail(), subfiletype=REDUCED, subifds=2, **RGB)
        file.write(halved(photo_of()), subfiletype=REDUCED, **RGB)
        file.write(photo_of(), **{**RGB, **options})


def write_pyramid_later(path: Path) -> None:
    """A thumbnail, then the photo with a pyramid below it."""
    with tifffile.TiffWriter(path) as file:
        file.write(thumbnail(), subfiletype=REDUCED, **RGB)
        file.write(photo_of(), tile=(32, 32), subifds=2, **RGB)
        for level in (halved(photo_of()), halved(halved(photo_of()))):
            file.write(level, subfiletype=REDUCED, tile=(32, 32), **RGB)


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("write", [write_later, write_below])
def test_a_first_page_marked_as_reduced_is_not_the_photo(tmp_path, write, tile):
    path = tmp_path / "a.tif"
    write(path, tile=tile)
    region = Region(10, 20, 50, 60, whole_hw=HW)
    for photo in (read_photo(path), PhotoFile(path)):
        np.testing.assert_array_equal(np.concatenate(list(photo.strips())), photo_of())
        assert photo.notes == (FULL,)
    for photo in (read_photo(path, region), PhotoFile(path, region)):
        pixels = np.concatenate(list(photo.strips()))
        np.testing.assert_array_equal(pixels, photo_of()[20:80, 10:60])
    assert upright_hw(path) == HW
    small = reduced_photo(path, 2)
    assert (small.hw, small.notes) == (HW, (FULL,))
    assert np.abs(small.level.pixels.astype(int) - halved(photo_of())).max() <= 1
    np.testing.assert_array_equal(np.concatenate(list(small.strips())), photo_of())


def test_the_photos_own_pyramid_is_used(tmp_path):
    write_pyramid_later(tmp_path / "a.tif")
    for depth, levels in ((1, halved(photo_of())), (2, halved(halved(photo_of())))):
        photo = reduced_photo(tmp_path / "a.tif", 2**depth)
        assert photo.decoded == f"at 1/{2**depth} of its size, by the file's own pyramid"
        np.testing.assert_array_equal(photo.level.pixels, levels)
        assert photo.notes == (FULL,)


def test_of_several_full_images_after_a_thumbnail_the_largest_is_the_photo(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(thumbnail(), subfiletype=REDUCED, **RGB)
        file.write(noise(20, 30, 3), **RGB)
        file.write(photo_of(), **RGB)
    photo = read_photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(photo.pixels, photo_of())
    assert photo.notes == (FULL, "first of 2 frames")


@pytest.mark.parametrize("photometric", [CFA, LINEAR_RAW])
@pytest.mark.parametrize("name", ["a.dng", "a.nef", "a.tif"])
@pytest.mark.parametrize("below", [True, False])
def test_camera_raw_is_refused_by_name(tmp_path, photometric, name, below):
    """With its thumbnail first, or with the raw values themselves."""
    path = tmp_path / name
    tags = {"extratags": [DNG_VERSION]} if name == "a.dng" else {}
    pixels = noise(*HW) if photometric == CFA else photo_of()
    with tifffile.TiffWriter(path) as file:
        if below:
            file.write(thumbnail(), subfiletype=REDUCED, subifds=1, **RGB, **tags)
        file.write(pixels, photometric=photometric, **({} if below else tags))
    kind = r"camera raw \(DNG\)" if name == "a.dng" else "camera raw"
    message = f"{name}: is {kind}, whose full image .96 x 128 px. is not read: convert it to TIFF"
    for reader in (read_photo, PhotoFile, upright_hw):
        with pytest.raises(PhotoError, match=message):
            reader(path)


def test_a_file_of_nothing_but_a_copy_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", thumbnail(), subfiletype=REDUCED, **RGB)
    with pytest.raises(PhotoError, match=r"a.tif: holds only a .*12 x 16 px .*: give the photo"):
        read_photo(tmp_path / "a.tif")


def test_a_full_image_that_cannot_be_read_is_not_replaced_by_its_thumbnail(tmp_path):
    write_below(tmp_path / "a.tif", compression="zlib")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[-2000:] = bytes(2000)
    (tmp_path / "a.tif").write_bytes(content)
    try:
        photo = read_photo(tmp_path / "a.tif")
    except PhotoError:
        return
    assert (photo.hw, photo.notes[-1]) == (HW, "damaged, partly made up")


def write_overviews(path: Path, *, masks: bool) -> None:
    """As GDAL writes overviews, with masks of each size between them or without."""
    with tifffile.TiffWriter(path) as file:
        level, kind = photo_of(), 0
        for _ in range(3):
            file.write(level, subfiletype=kind, tile=(32, 32), **RGB)
            if masks:
                mask = np.ones(level.shape[:2], bool)
                file.write(mask, subfiletype=kind | MASK, photometric="mask", tile=(32, 32))
            level, kind = halved(level), REDUCED


@pytest.mark.parametrize("masks", [False, True])
def test_overviews_and_masks_are_no_frames(tmp_path, masks):
    path = tmp_path / "a.tif"
    write_overviews(path, masks=masks)
    assert read_photo(path).notes == PhotoFile(path).notes == ()
    photo = reduced_photo(path, 4)
    assert photo.decoded == "at 1/4 of its size, by the file's own pyramid"
    np.testing.assert_array_equal(photo.level.pixels, halved(halved(photo_of())))


def test_levels_of_a_slide_are_no_frames(tmp_path):
    """Of a quarter and a sixteenth of the size; with a thumbnail, a label and a macro."""
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        whole = photo_of((512, 384))
        file.write(whole, tile=(64, 64), **RGB)
        file.write(np.ascontiguousarray(whole[::6, ::6]), **RGB)
        file.write(np.ascontiguousarray(whole[::4, ::4]), tile=(64, 64), **RGB)
        file.write(np.ascontiguousarray(whole[::16, ::16]), tile=(64, 64), **RGB)
        file.write(noise(70, 60, 3), subfiletype=REDUCED, **RGB)
        file.write(noise(60, 170, 3), subfiletype=9, **RGB)
    assert read_photo(tmp_path / "a.svs").notes == ()
    photo = reduced_photo(tmp_path / "a.svs", 4)
    assert photo.notes == ()


def test_pages_of_their_own_are_frames(tmp_path):
    """As large, or of another shape; however many there are."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in [photo_of(), photo_of(), noise(64, 90, 3)]:
            file.write(page, **RGB)
        file.write(halved(photo_of()), subfiletype=REDUCED, **RGB)
    assert read_photo(tmp_path / "a.tif").notes == ("first of 3 frames",)
    tifffile.imwrite(tmp_path / "b.tif", noise(200, 20, 30), photometric="minisblack")
    assert read_photo(tmp_path / "b.tif").notes == ("first of 200 frames",)


def test_the_georeference_is_that_of_the_full_image(tmp_path):
    whole = write_geotiff(tmp_path / "whole.tif", from_origin(421000.5, 5412345.25, 0.3, 0.2))
    expected = georeference_of(read_photo(whole))
    with tifffile.TiffFile(whole) as file:
        page = file.pages.first
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in page.tags]
        tags = [tag for tag in tags if tag[0] > 33000]
        pixels, photometric = page.asarray(), page.photometric
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(noise(2, 2), subfiletype=REDUCED, photometric="minisblack")
        file.write(pixels, photometric=photometric, extratags=tags)
    assert georeference_of(read_photo(tmp_path / "a.tif")) == expected


@pytest.mark.few(4)
@pytest.mark.parametrize("seed", range(12))
def test_damaged_tags_give_a_photo_or_a_photo_error(tmp_path, seed):
    """Of a file with pages and images below them, whose directories stand at its end."""
    path = tmp_path / "a.tif"
    write_pyramid_later(path)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [file.pages[0].offset, file.pages[1].offset, *file.pages[1].subifds]
    random = np.random.default_rng(seed)
    for trial in range(10):
        damaged = content.copy()
        for _ in range(3):
            damaged[random.choice(places) + random.integers(0, 200)] = random.integers(0, 256)
        path = tmp_path / f"{trial}.tif"
        path.write_bytes(damaged)
        said = ""
        try:
            # Others are for the tests of sizes.
            if math.prod(upright_hw(path)) < 10**6:
                read_photo(path)
                PhotoFile(path)
                reduced_photo(path, 2)
        except PhotoError as error:
            said = str(error)
        assert "\n" not in said
