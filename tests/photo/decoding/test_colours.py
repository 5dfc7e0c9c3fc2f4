"""Bands of photo files: colours, transparency, and what is neither."""

from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile

from heatmap.errors import PhotoError
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reading import Reading
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region
from tests.support.odd_files import jpeg_of_planes

HW = (64, 48)
LAID = "transparency laid over white"
AS_RGB = "bands that do not say their colours taken as RGB"
CMYK = "CMYK converted to sRGB"


def left_out(bands: int, beyond: str) -> str:
    s = "" if bands == 1 else "s"
    return f"left out {bands} band{s} beyond {beyond} (not marked as transparency)"


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    values = np.random.default_rng(3)
    return values.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def write(path: Path, values: np.ndarray, photometric: str, **options) -> Path:
    options = {"planarconfig": "contig", **options}
    if options["planarconfig"] == "separate":
        values = np.moveaxis(values, -1, 0)
    tifffile.imwrite(path, values, photometric=photometric, **options)
    return path


def assert_read_alike(path: Path, expected: np.ndarray, notes: tuple[str, ...], most: int = 0):
    """Whole, from disk, a region of it and at a half."""
    region = Region(7, 9, 30, 40, whole_hw=HW)
    part = (slice(9, 49), slice(7, 37))
    half = expected.reshape(HW[0] // 2, 2, HW[1] // 2, 2, 3).mean((1, 3))
    for photo, wanted in (
        (read_photo(path), expected),
        (PhotoFile(path), expected),
        (read_photo(path, region), expected[part]),
        (PhotoFile(path, region), expected[part]),
        (reduced_photo(path, 2).level, half),
    ):
        pixels = np.concatenate(list(photo.strips())).astype(float)
        assert pixels.shape == wanted.shape
        assert np.abs(pixels - wanted).max() <= most + (wanted is half)
        assert photo.notes == notes


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("extra", [[0], None])
def test_infrared_beyond_rgb_is_left_out(tmp_path, layout, tile, extra):
    values = noise(*HW, 4)
    path = write(
        tmp_path / "a.tif", values, "rgb", planarconfig=layout, tile=tile, extrasamples=extra or [0]
    )
    if extra is None:
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages.first.tags["ExtraSamples"].overwrite(0)
            # Of a code that no reader knows: the tag is not there.
            tag = file.pages.first.tags["ExtraSamples"]
            file.filehandle.seek(tag.offset)
            file.filehandle.write((339 + 60000).to_bytes(3, "little")[:2])
    assert_read_alike(path, values[:, :, :3], (left_out(1, "RGB"),))


@pytest.mark.few(3)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_only_a_band_marked_as_transparency_is_laid_over_white(tmp_path, depth, kind, tile):
    white = int(np.iinfo(depth).max)
    colours, alpha = noise(*HW, 3).astype(float), noise(*HW, 1) / 255
    stored = colours * (alpha if kind == "assocalpha" else 1)
    values = np.dstack([stored, alpha * 255]) / 255 * white
    layout = "separate" if tile else "contig"
    path = write(
        tmp_path / "a.tif",
        np.rint(values).astype(depth),
        "rgb",
        extrasamples=[kind],
        tile=tile,
        planarconfig=layout,
    )
    expected = colours * alpha + 255 * (1 - alpha)
    notes = (LAID,) if depth == np.uint8 else ("16-bit reduced to 8", LAID)
    assert_read_alike(path, expected, notes, most=2)


def test_the_band_that_is_marked_may_stand_anywhere(tmp_path):
    values = noise(*HW, 5)
    values[:, :, 3] = 255
    for extra, bands in (((2, 0), (3, 4)), ((0, 2), (4, 3))):
        path = write(tmp_path / "a.tif", values[:, :, [0, 1, 2, *bands]], "rgb", extrasamples=extra)
        assert_read_alike(path, values[:, :, :3], (left_out(1, "RGB"),))


@pytest.mark.parametrize("bands", [5, 8])
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_of_many_bands_tagged_rgb_the_first_three_are_read(tmp_path, bands, layout):
    values = noise(*HW, bands)
    path = write(
        tmp_path / "a.tif", values, "rgb", planarconfig=layout, extrasamples=[0] * (bands - 3)
    )
    assert_read_alike(path, values[:, :, :3], (left_out(bands - 3, "RGB"),))


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_three_or_four_bands_without_colours_are_rgb(tmp_path, bands, layout, tile):
    values = noise(*HW, bands)
    path = write(tmp_path / "a.tif", values, "minisblack", planarconfig=layout, tile=tile)
    left = (left_out(1, "RGB"),) if bands == 4 else ()
    assert_read_alike(path, values[:, :, :3], (f"{bands} {AS_RGB}", *left))


def test_three_bands_without_colours_and_transparency(tmp_path):
    values = noise(*HW, 4)
    path = write(tmp_path / "a.tif", values, "minisblack", extrasamples=[0, 0, 2])
    alpha = values[:, :, 3:] / 255
    expected = values[:, :, :3] * alpha + 255 * (1 - alpha)
    assert_read_alike(path, expected, (f"3 {AS_RGB}", LAID), most=1)


@pytest.mark.parametrize(("extra", "notes"), [(0, (left_out(1, "grey"),)), (2, (LAID,))])
def test_grey_and_one_band_more(tmp_path, extra, notes):
    values = noise(*HW, 2)
    path = write(tmp_path / "a.tif", values, "minisblack", extrasamples=[extra])
    alpha = values[:, :, 1:] / 255 if extra else 1
    expected = np.repeat(values[:, :, :1] * alpha + 255 * (1 - alpha), 3, axis=2)
    assert_read_alike(path, expected, notes, most=1)


@pytest.mark.few(3)
@pytest.mark.parametrize("extra", [[], [2], [1], [0], [0, 2]])
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_cmyk_is_read_whatever_lies_beyond(tmp_path, extra, layout):
    """Inks as without the band, and where it is transparency, white where it is 0."""
    inks = noise(*HW, 4) // 2
    beyond = [np.full(HW, 255, np.uint8)] * len(extra)
    if 2 in extra or 1 in extra:
        beyond[-1] = np.where(np.arange(HW[0]) < 32, 255, 0)[:, None] * np.ones(HW)
        inks[32:] = 0
    values = np.dstack([inks, *beyond]).astype(np.uint8)
    path = write(
        tmp_path / "a.tif", values, "separated", **({"extrasamples": extra} if extra else {})
    )
    plain = write(tmp_path / "plain.tif", inks, "separated")
    expected = read_photo(plain).pixels.copy()
    notes = [left_out(1, "CMYK")] if 0 in extra else []
    notes += [CMYK]
    if 2 in extra or 1 in extra:
        expected[32:] = 255
        notes += [LAID]
    assert_read_alike(path, expected, tuple(notes), most=1)


def test_five_bands_without_colours_are_refused_with_the_way_out(tmp_path):
    for extra in ([0] * 4, [0, 0, 0, 0, 2]):
        path = write(
            tmp_path / "a.tif", noise(*HW, len(extra) + 1), "minisblack", extrasamples=extra
        )
        with pytest.raises(PhotoError, match=r"has 5 bands and .* red, green .*gdal_translate -b"):
            read_photo(path)


def test_planes_that_are_too_much_for_memory_are_refused_by_the_header(tmp_path):
    """Of few pixels, but many bands."""
    options = {"planarconfig": "separate", "tile": (32, 32), "extrasamples": [0] * 37}
    path = write(tmp_path / "a.tif", noise(*HW, 40), "rgb", **options)
    assert read_photo(path).notes == (left_out(37, "RGB"),)
    few = Reading(max_pixels=HW[0] * HW[1] * 4)
    with pytest.raises(PhotoError, match=r"has 40 planes of 48 x 64 px, .* 0.0 GB: save it with"):
        read_photo(path, reading=few)


def test_float_bands_beyond_rgb_do_not_count(tmp_path):
    """Their values neither: the infrared goes up to 40."""
    values = (noise(*HW, 4) / 255).astype(np.float32)
    values[:, :, 3] *= 40
    path = write(tmp_path / "a.tif", values, "rgb", extrasamples=[0])
    notes = (left_out(1, "RGB"), "float values taken as 0..1, reduced to 8 bits")
    assert_read_alike(path, np.rint(values[:, :, :3] * 255), notes)


def test_levels_of_other_bands_are_no_levels(tmp_path):
    """A pyramid whose smaller copies have lost a band, or are masks."""
    values = noise(*HW, 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values, photometric="rgb", tile=(32, 32))
        file.write(noise(HW[0] // 2, HW[1] // 2), photometric="minisblack", subfiletype=1)
    photo = reduced_photo(tmp_path / "a.tif", 2)
    assert photo.decoded == "at 1/2 of its size, by averaging"
    half = values.reshape(HW[0] // 2, 2, HW[1] // 2, 2, 3).mean((1, 3))
    assert np.abs(photo.level.pixels - half).max() <= 1


@pytest.mark.parametrize(("suffix", "bands"), [("png", 2), ("png", 4), ("webp", 4), ("avif", 4)])
def test_transparency_of_other_formats_stays_transparency(tmp_path, suffix, bands):
    pixels = np.full((*HW, bands), 100, np.uint8)
    pixels[:, :, -1] = np.where(np.arange(HW[0]) < 32, 0, 255)[:, None]
    image = pyvips.Image.new_from_array(pixels)
    path = tmp_path / f"a.{suffix}"
    options = {} if suffix == "png" else {"lossless": True}
    image.copy(interpretation="srgb" if bands > 2 else "b-w").write_to_file(str(path), **options)
    photo = read_photo(path)
    assert photo.notes == (LAID,)
    assert np.abs(photo.pixels[[5, 60], 20].astype(int) - [[255] * 3, [100] * 3]).max() <= 2


def test_a_jpeg_of_two_components_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of_planes(noise(16, 16), noise(16, 16)))
    with pytest.raises(PhotoError, match=r"has 2 channels .*: give grey, RGB or CMYK"):
        read_photo(path)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_lab_is_refused_by_name(tmp_path, depth):
    path = write(tmp_path / "a.tif", noise(*HW, 3, dtype=depth), "cielab")
    for reader in (read_photo, PhotoFile):
        with pytest.raises(PhotoError, match=r"a.tif: is a TIFF of Lab colours .*: convert it to"):
            reader(path)
