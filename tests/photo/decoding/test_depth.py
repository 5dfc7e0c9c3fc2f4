"""Values of more than 8 bits: by the depth that a tag names or the values have, or by a range."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
import tifffile

from heatmap.errors import PhotoError
from heatmap.photo.decoding import decode
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reading import Reading
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region
from tests.support.odd_files import packed_tiff, with_chunk

HW = (64, 48)
FULL = "16-bit reduced to 8"
LAID = "transparency laid over white"


def noise(highest: int, *shape: int, dtype=np.uint16) -> np.ndarray:
    """Random values up to just this one; the highest stands at the bottom right."""
    values = np.random.default_rng(5).integers(0, highest, (*HW, *shape)).astype(dtype)
    values.reshape(HW[0] * HW[1], -1)[-1] = highest
    return values


def found(highest: int, bits: int) -> str:
    return f"16-bit values up to {highest:,}: taken as {bits} bits; an input range says otherwise"


def said(bits: int) -> str:
    return f"16-bit values taken as {bits} bits, as the file says"


def write_png(path: Path, values: np.ndarray, bits: tuple[int, ...] = ()) -> Path:
    content = cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)[1].tobytes()
    path.write_bytes(with_chunk(content, b"sBIT", bytes(bits)) if bits else content)
    return path


def write_tiff(path: Path, values: np.ndarray, **options) -> Path:
    photometric = options.pop("photometric", "rgb" if values.ndim == 3 else "minisblack")
    tifffile.imwrite(path, values, photometric=photometric, **options)
    return path


def as_rgb(grey_or_rgb: np.ndarray) -> np.ndarray:
    return grey_or_rgb if grey_or_rgb.ndim == 3 else np.repeat(grey_or_rgb[:, :, None], 3, axis=2)


def assert_read_alike(path, expected, notes, most=0, reading=None) -> None:
    """Whole, from disk, a region without the highest value, and at a half."""
    given = {} if reading is None else {"reading": reading}
    expected = as_rgb(expected).astype(float)
    region, part = Region(0, 0, 30, 40, whole_hw=HW), expected[:40, :30]
    half = expected.reshape(HW[0] // 2, 2, HW[1] // 2, 2, 3).mean((1, 3))
    for photo, wanted in (
        (read_photo(path, **given), expected),
        (PhotoFile(path, **given), expected),
        (read_photo(path, region, **given), part),
        (PhotoFile(path, region, **given), part),
        (reduced_photo(path, 2, **given).level, half),
        (reduced_photo(path, 2, region, **given), part),
    ):
        pixels = np.concatenate(list(photo.strips())).astype(float)
        assert np.abs(pixels - wanted).max() <= most + (wanted is half)
        assert photo.notes == notes


@pytest.mark.few(8)
@pytest.mark.parametrize("write", [write_png, write_tiff])
@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize(
    ("highest", "bits"), [(3912, 12), (4095, 12), (1000, 10), (16383, 14), (255, 8), (200, 8)]
)
def test_the_smallest_depth_that_holds_the_highest_value_is_taken(
    tmp_path, write, shape, highest, bits
):
    values = noise(highest, *shape)
    path = write(tmp_path / "a", values)
    assert_read_alike(path, values >> (bits - 8), (found(highest, bits),))


@pytest.mark.parametrize("write", [write_png, write_tiff])
@pytest.mark.parametrize("highest", [16384, 40000, 65535])
def test_more_than_14_bits_are_16(tmp_path, write, highest):
    values = noise(highest, 3)
    assert_read_alike(write(tmp_path / "a", values), values >> 8, (FULL,))


def test_a_photo_all_black_stays_black(tmp_path):
    path = write_png(tmp_path / "a.png", np.zeros(HW, np.uint16))
    assert_read_alike(path, np.zeros(HW), (found(0, 8),))


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_tiff_names_its_depth(tmp_path, tile):
    values = noise(900, 3)
    tag = (341, 3, 3, (4095, 4095, 4095), True)
    path = write_tiff(tmp_path / "a.tif", values, extratags=[tag], tile=tile)
    assert_read_alike(path, values >> 4, (said(12),))
    full = (341, 3, 3, (65535, 65535, 65535), True)
    path = write_tiff(tmp_path / "full.tif", values, extratags=[full], tile=tile)
    assert_read_alike(path, values >> 8, (FULL,))


def test_a_tag_that_the_values_belie_does_not_count(tmp_path):
    values = noise(16000)
    path = write_tiff(tmp_path / "a.tif", values, extratags=[(341, 3, 1, 1023, True)])
    assert_read_alike(path, values >> 6, (found(16000, 14),))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_png_names_its_depth(tmp_path, shape):
    """Values in the lowest bits; or, as the format wants it, in the highest."""
    bits = (12,) * (shape[0] if shape else 1)
    values = noise(900, *shape)
    assert_read_alike(write_png(tmp_path / "low.png", values, bits), values >> 4, (said(12),))
    high = noise(9000, *shape)
    assert_read_alike(write_png(tmp_path / "high.png", high, bits), high >> 8, (FULL,))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_tiff_of_values_without_gaps(tmp_path, bits, shape):
    values = noise(2**bits - 200, *shape)
    path = tmp_path / "a.tif"
    path.write_bytes(packed_tiff(values, bits))
    assert_read_alike(path, values >> (bits - 8), (said(bits),))


@pytest.mark.parametrize(("white", "bits"), [(4095, 12), (1000, 16)])
def test_pgm_names_its_highest_value(tmp_path, white, bits):
    values = noise(300)
    head = f"P5 {HW[1]} {HW[0]} {white}\n".encode()
    path = tmp_path / "a.pgm"
    path.write_bytes(head + values.astype(">u2").tobytes())
    notes = (said(bits) if bits < 16 else FULL,)
    assert_read_alike(path, np.floor(values / (white + 1) * 256), notes, most=1)


def test_other_depths_are_refused_by_name(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(packed_tiff(noise(4000, 3), 12)[:-2000])
    with pytest.raises(PhotoError, match="cut short or damaged, or has values of 12 bits stored"):
        read_photo(path)
    write_tiff(path, noise(9).astype(np.float64))
    with pytest.raises(PhotoError, match=r"has values of 64 bits, .*gdal_translate -ot Float32"):
        read_photo(path)


def test_0_may_be_white(tmp_path):
    values = noise(3912)
    path = write_tiff(tmp_path / "a.tif", values, photometric="miniswhite")
    assert_read_alike(path, 255 - (values >> 4), (found(3912, 12),))
    by_range = Reading(input_range=(0, 3912))
    expected = 255 - np.rint(values / 3912 * 255)
    notes = ("values from 0 to 3912 taken as black to white",)
    assert_read_alike(path, expected, notes, reading=by_range)
    unit = write_tiff(tmp_path / "b.tif", (values / 3912).astype("f4"), photometric="miniswhite")
    notes = ("float values taken as 0..1, reduced to 8 bits",)
    assert_read_alike(unit, expected, notes)


def test_a_profile_is_applied_after_the_depth(tmp_path):
    """As to the same photo of 16 bits."""
    profile = pyvips.Image.profile_load("p3")
    values = noise(4095, 3) // 2 + 1000
    for name, stored in (("low", values), ("full", np.rint(values * (65535 / 4095)))):
        image = pyvips.Image.new_from_array(stored.astype(np.uint16)).copy(interpretation="rgb16")
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        image.pngsave(str(tmp_path / f"{name}.png"))
    expected = read_photo(tmp_path / "full.png")
    assert expected.notes == (FULL,)
    highest = int(values.max())
    assert_read_alike(tmp_path / "low.png", expected.pixels, (found(highest, 12),), most=1)
    assert np.abs(expected.pixels.astype(int) - (values >> 4)).max() > 10


@pytest.mark.parametrize("opaque", [4095, 65535])
@pytest.mark.parametrize("profile", [False, True])
def test_transparency_has_the_depth_of_the_colours_or_all_16_bits(tmp_path, opaque, profile):
    values = noise(4095, 4)
    values[:, :, 3] = np.where(np.arange(HW[0]) < 20, 0, opaque)[:, None]
    image = pyvips.Image.new_from_array(values).copy(interpretation="rgb16")
    if profile:
        srgb = pyvips.Image.profile_load("srgb")
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", srgb)
    image.pngsave(str(tmp_path / "a.png"))
    expected = values[:, :, :3] >> 4
    expected[:20] = 255
    notes = (found(4095, 12), LAID)
    assert_read_alike(tmp_path / "a.png", expected, notes, most=2 if profile else 0)


def test_levels_of_a_pyramid_are_as_deep_as_the_whole(tmp_path):
    """Their highest value is lower."""
    values = np.full((256, 256), 900, np.uint16)
    values[100, 100] = 4000
    image = pyvips.Image.new_from_array(values).copy(interpretation="grey16")
    image.tiffsave(str(tmp_path / "a.tif"), tile=True, tile_width=64, tile_height=64, pyramid=True)
    photo = reduced_photo(tmp_path / "a.tif", 4)
    assert photo.decoded.endswith("the file's own pyramid")
    assert photo.notes == (found(4000, 12),)
    assert photo.level.pixels[0, 0].tolist() == [56] * 3


def test_10_bit_avif_fills_16_bits(tmp_path):
    image = pyvips.Image.new_from_array(np.full((*HW, 3), 40 * 256, np.uint16))
    path = tmp_path / "a.avif"
    image.copy(interpretation="rgb16").heifsave(
        str(path), compression="av1", bitdepth=10, lossless=True
    )
    photo = read_photo(path)
    assert photo.notes == (FULL,)
    assert np.abs(photo.pixels.astype(int) - 40).max() <= 1


def test_a_file_is_looked_through_once_and_no_further_than_needed(tmp_path, monkeypatch):
    passes, seen = [], []
    look, rows = decode.extremes_of, decode.extremes_of.__globals__["rows_of"]
    monkeypatch.setattr(decode, "extremes_of", lambda *a: passes.append(1) or look(*a))
    monkeypatch.setitem(
        look.__globals__, "rows_of", lambda image: (seen.append(1) or row for row in rows(image))
    )
    path = write_png(tmp_path / "deep.png", noise(3000, 3))
    photo = PhotoFile(path)
    for _ in range(3):
        list(photo.strips())
    read_photo(path)
    assert (len(passes), len(seen)) == (1, 2)
    bright = noise(65535, 3)
    read_photo(write_png(tmp_path / "bright.png", bright))
    assert (len(passes), len(seen)) == (2, 3)
    # A new file of that name.
    write_png(tmp_path / "bright.png", bright >> 3)
    assert read_photo(tmp_path / "bright.png").notes == (found(65535 >> 3, 13),)


RANGED = "values from {:g} to {:g} taken as black to white"


@pytest.mark.few(6)
@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.uint8, 10, 200),
        (np.int8, -100, 100),
        (np.uint16, 100, 3000),
        (np.uint16, 0, 60000),
        (np.int16, -2000, 2000),
        (np.int32, -1, 70000),
        (np.uint32, 0, 4_000_000_000),
        (np.float32, -0.25, 1.5),
        (np.float32, 0, 10000),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_range_says_what_becomes_black_and_white(tmp_path, dtype, low, high, shape):
    """Of every type; values beyond it are cut off."""
    span = high - low
    values = np.random.default_rng(2).uniform(low - span / 4, high + span / 4, (*HW, *shape))
    if np.dtype(dtype).kind != "f":
        info = np.iinfo(dtype)
        values = np.rint(values).clip(info.min, info.max)
    values = values.astype(dtype)
    path = write_tiff(tmp_path / "a.tif", values)
    expected = np.rint(((values.astype(float) - low) / span * 255).clip(0, 255))
    notes = (RANGED.format(low, high),)
    assert_read_alike(path, expected, notes, most=1, reading=Reading(input_range=(low, high)))
    pixels = read_photo(path, reading=Reading(input_range=(low, high))).pixels
    assert (pixels == as_rgb(expected)).mean() > 0.99


def test_a_range_of_all_8_bits_changes_nothing(tmp_path):
    values = noise(255, 3).astype(np.uint8)
    path = write_png(tmp_path / "a.png", values)
    reading = Reading(input_range=(0, 255))
    assert_read_alike(path, values, (RANGED.format(0, 255),), reading=reading)


def test_a_range_leaves_transparency_as_it_is(tmp_path):
    for dtype, opaque in ((np.uint8, 255), (np.uint16, 65535), (np.uint16, 4095), (np.float32, 1)):
        values = np.full((*HW, 4), 100).astype(dtype)
        values[:, :, 3] = np.where(np.arange(HW[0]) < 20, 0, opaque)[:, None]
        path = write_tiff(tmp_path / "a.tif", values, extrasamples=["unassalpha"])
        expected = np.full((*HW, 3), 128)
        expected[:20] = 255
        notes = (RANGED.format(0, 200), LAID)
        assert_read_alike(path, expected, notes, reading=Reading(input_range=(0, 200)))


@pytest.mark.parametrize(
    ("values", "message", "way"),
    [
        (np.float32([-0.5, 0.25]), "float values go from -0.5 to 0.25, which is not", (-0.5, 0.25)),
        (np.float32([0, 300]), "float values go from 0 to 300, which is not 0..1 or", (0, 300)),
        (np.int16([-5, 900]), "values of type short go from -5 to 900", (-5, 900)),
        (np.uint32([7, 70000]), "values of type uint go from 7 to 70000", (7, 70000)),
        (np.int8([0, 0]), "values of type char go from 0 to 0", None),
    ],
)
@pytest.mark.parametrize("reader", [read_photo, PhotoFile])
def test_values_without_a_known_range_are_refused_with_one(tmp_path, values, message, way, reader):
    path = write_tiff(tmp_path / "a.tif", np.resize(values, HW))
    with pytest.raises(PhotoError, match=f"a.tif: {message}") as caught:
        reader(path)
    (use,) = caught.value.ways
    assert (use.parameter, use.value) == ("input_range", way)
    if way:
        assert reader(path, reading=Reading(input_range=way)).notes == (RANGED.format(*way),)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused_in_any_range(tmp_path, value):
    values = noise(9).astype(np.float32)
    values[3, 4] = value
    path = write_tiff(tmp_path / "a.tif", values)
    for reading in (Reading(), Reading(input_range=(0, 9))):
        with pytest.raises(PhotoError, match="holds values that are not finite"):
            read_photo(path, reading=reading)
