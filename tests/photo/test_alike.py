"""One file read whole, in parts, at a part of its size and row by row: the same photo each time."""

import numpy as np
import pytest
import pyvips
import tifffile

from heatmap.errors import PhotoError
from heatmap.geometry import plan_grid
from heatmap.photo.photo import read_photo
from heatmap.photo.photo_file import PhotoFile, upright_hw
from heatmap.photo.reading import Reading
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region
from tests.support.odd_files import packed_tiff, ycbcr_tiff

HW = (208, 144)


def smooth(bands: int, high: float = 255, dtype: type = np.uint8) -> np.ndarray:
    """Slow waves of values from 0 to ``high``; (H, W) if of one band."""
    y, x = np.ogrid[: HW[0], : HW[1]]
    waves = [(2 + np.sin(x / 17 + band) + np.cos(y / 23 - band)) / 4 for band in range(bands)]
    values = np.rint(np.dstack(waves) * high) if dtype != np.float32 else np.dstack(waves) * high
    return values.astype(dtype).squeeze()


def with_hole(values: np.ndarray, value: float) -> np.ndarray:
    holed = values.copy()
    holed[16:120, 32:100] = value
    return holed


def tiff(values: np.ndarray, **options):
    kind = "rgb" if values.ndim == 3 and values.shape[-1] >= 3 else "minisblack"

    def write(path):
        tifffile.imwrite(path, values, **{"photometric": kind, **options})

    return write


def vips(values: np.ndarray, kind: str, orientation: int = 1, **options):
    def write(path):
        image = pyvips.Image.new_from_array(values).copy(interpretation=kind)
        if orientation > 1:
            image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        image.write_to_file(str(path), **options)

    return write


def cut_short(write, share: float):
    def write_part(path):
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return write_part


def thumbnail_first(path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(smooth(3)[::8, ::8].copy(), photometric="rgb", subfiletype=1)
        file.write(smooth(3), photometric="rgb")


def masked(path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(smooth(3), photometric="rgb")
        mask = with_hole(np.full(HW, 255, np.uint8), 0) > 0
        file.write(mask, photometric="mask", subfiletype=4, rowsperstrip=16)


def nodata(value: str) -> dict:
    return {"extratags": [(42113, "s", 0, value, True)]}


DEEP = smooth(3, 60000, np.uint16)
TILED = {"tile": (64, 48)}
GONE = with_hole(smooth(3, 1, np.float32), -9999)
FILES = {
    "infrared.tif": tiff(smooth(4), extrasamples=[0]),
    "five bands.tif": tiff(smooth(5), extrasamples=[0, 2], **TILED),
    "three greys.tif": tiff(smooth(3), photometric="minisblack", planarconfig="contig"),
    "associated.tif": tiff(smooth(4), extrasamples=[1]),
    "12 bits.tif": tiff(smooth(3, 4095, np.uint16), **TILED),
    "12 bits, turned.png": vips(smooth(3, 4000, np.uint16), "rgb16", 6),
    "10 bits packed.tif": lambda path: path.write_bytes(
        packed_tiff(smooth(3, 1023, np.uint16), 10)
    ),
    "white is zero.tif": tiff(smooth(1, 4000, np.uint16), photometric="miniswhite"),
    "white is zero planes.tif": tiff(
        np.moveaxis(255 - smooth(3), 2, 0),
        photometric="miniswhite",
        planarconfig="separate",
        **TILED,
    ),
    "float.tif": tiff(smooth(3, 1, np.float32), **TILED),
    "planes.tif": tiff(np.moveaxis(smooth(3), 2, 0), planarconfig="separate", **TILED),
    "ycbcr.tif": lambda path: path.write_bytes(ycbcr_tiff(smooth(3), 1)),
    "thumbnail first.tif": thumbnail_first,
    "mask.tif": masked,
    "nodata.tif": tiff(with_hole(smooth(3), 0), **TILED, **nodata("0")),
    "deep nodata.tif": tiff(with_hole(smooth(3, 4000, np.uint16), 65535), **nodata("65535")),
    "float nodata.tif": tiff(GONE, **TILED, **nodata("-9999")),
    "clear, turned.png": vips(with_hole(smooth(4) | 128, 0), "srgb", 8),
    "clear.webp": vips(with_hole(smooth(4) | 128, 0), "srgb", lossless=True),
    "deep clear.png": vips(with_hole(smooth(4, 60000, np.uint16) | 32768, 0), "rgb16"),
    "cmyk.tif": tiff(smooth(5), photometric="separated", extrasamples=[0]),
    "a.gif": vips(smooth(3), "srgb"),
    "a.avif": vips(smooth(3), "srgb"),
    "turned.jpg": vips(smooth(3), "srgb", 5, Q=95),
    "progressive.jpg": vips(smooth(3), "srgb", Q=95, interlace=True),
    "half.jpg": cut_short(vips(smooth(3), "srgb", Q=95), 0.5),
    "half, turned.jpg": cut_short(vips(smooth(3), "srgb", 6, Q=95), 0.5),
    "half.png": cut_short(vips(smooth(3), "srgb"), 0.5),
    "half deep.png": cut_short(vips(DEEP, "rgb16"), 0.5),
}
READ = [(name, Reading()) for name in FILES]
READ += [(name, Reading(input_range=(0, 200))) for name in FILES if "half" not in name]
READ += [(name, Reading(damaged="refuse")) for name in FILES if "half" in name]


def rows_of(photo) -> np.ndarray:
    return np.concatenate(list(photo.strips(24)))


def windows_left_out(photo) -> np.ndarray | None:
    if photo.no_data is None:
        return None
    return photo.no_data.mostly(plan_grid(photo.hw, window=32, native_stride=16))


def told(read) -> str | None:
    """What a reader refuses a file for; None if it takes it."""
    try:
        read()
    except PhotoError as error:
        return str(error)
    return None


@pytest.mark.few(6)
@pytest.mark.parametrize(("name", "reading"), READ)
def test_every_way_of_reading_gives_the_same_photo(tmp_path, name, reading):
    path = tmp_path / name
    FILES[name](path)
    hw = upright_hw(path)
    # Down to the end, so that it holds whatever damage there is.
    region = Region(16, 32, hw[1] - 32, hw[0] - 32, whole_hw=hw)
    ways = {
        "whole": lambda: read_photo(path, reading=reading),
        "rows": lambda: rows_of(PhotoFile(path, reading=reading)),
        "region": lambda: read_photo(path, region, reading),
        "rows of region": lambda: rows_of(PhotoFile(path, region, reading)),
        "reduced": lambda: reduced_photo(path, 2, reading=reading),
    }
    refused = {way: told(read) for way, read in ways.items()}
    assert len(set(refused.values())) == 1, refused
    if refused["whole"]:
        return
    whole, rows, reduced = (
        read_photo(path, reading=reading),
        PhotoFile(path, reading=reading),
        reduced_photo(path, 2, reading=reading),
    )
    part, part_rows = read_photo(path, region, reading), PhotoFile(path, region, reading)
    np.testing.assert_array_equal(rows_of(rows), whole.pixels)
    cut = whole.pixels[region.top : region.top + region.height, region.left :][:, : region.width]
    np.testing.assert_array_equal(part.pixels, cut)
    np.testing.assert_array_equal(rows_of(part_rows), cut)
    halves = np.array(hw) // 2
    averaged = whole.pixels.reshape(halves[0], 2, halves[1], 2, 3).mean((1, 3))
    assert np.abs(reduced.level.pixels - averaged).mean() < 1.5
    notes = {photo.notes for photo in (whole, rows, reduced, part, part_rows)}
    assert len(notes) == 1, notes
    np.testing.assert_array_equal(windows_left_out(rows), windows_left_out(whole))
    np.testing.assert_array_equal(windows_left_out(reduced), windows_left_out(whole))
    np.testing.assert_array_equal(windows_left_out(part_rows), windows_left_out(part))


def test_the_bands_of_an_ordinary_photo_are_not_taken_apart(tmp_path, monkeypatch):
    FILES["turned.jpg"](tmp_path / "a.jpg")
    called, call = [], pyvips.Operation.call

    def noted(name, *given, **options):
        called.append(name)
        return call(name, *given, **options)

    monkeypatch.setattr(pyvips.Operation, "call", staticmethod(noted))
    read_photo(tmp_path / "a.jpg")
    assert "jpegload_source" in called
    assert not {"extract_band", "bandjoin"} & set(called)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_where_zero_is_white_are_as_bands_where_it_is_black(tmp_path, dtype):
    values = smooth(3, np.iinfo(dtype).max, dtype)
    white = np.moveaxis(np.iinfo(dtype).max - values, 2, 0)
    tiff(values)(tmp_path / "black.tif")
    stored = {"photometric": "miniswhite", "planarconfig": "separate"}
    tiff(white, **stored, **TILED)(tmp_path / "tiles.tif")
    tiff(white, **stored)(tmp_path / "strips.tif")
    expected = read_photo(tmp_path / "black.tif").pixels
    np.testing.assert_array_equal(read_photo(tmp_path / "tiles.tif").pixels, expected)
    np.testing.assert_array_equal(read_photo(tmp_path / "strips.tif").pixels, expected)
