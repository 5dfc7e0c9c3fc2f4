"""Which pixels are no photo: nodata values, transparency, and masks inside of TIFFs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import pyvips
import rasterio
import tifffile

from heatmap import read_photo
from heatmap.geometry import Placement, plan_grid
from heatmap.photo.decoding import decode as decoding
from heatmap.photo.photo_file import PhotoFile
from heatmap.photo.reduced import reduced_photo
from heatmap.region import Region

HW = (171, 230)
NODATA = 42113
# Windows of 64 px of scales whose edges lie between pixels too.
PLACEMENTS = [Placement(), Placement(scale=0.7), Placement(stride=8, scale=1.3, border="valid")]


def picture(seed=0, hw=HW):
    return np.random.default_rng(seed).integers(1, 250, (*hw, 3)).astype(np.uint8)


def holes(seed=1, hw=HW):
    """A corner, a diagonal band and noise: bool (H, W)."""
    down, across = np.ogrid[: hw[0], : hw[1]]
    noise = np.random.default_rng(seed).random(hw) < 0.1
    return (down + across < 150) | (abs(down - across) < 5) | (noise & (across > 150))


def shares(missing, geometry):
    """The share of each window's part within the photo that is missing, by adding up pixels."""
    height, width = missing.shape
    found = np.zeros(geometry.grid_hw)
    for cell in np.ndindex(*geometry.grid_hw):
        left, top, right, bottom = geometry.window_xyxy(*cell)
        down = np.clip(
            np.minimum(np.arange(height) + 1, bottom) - np.maximum(np.arange(height), top), 0, 1
        )
        across = np.clip(
            np.minimum(np.arange(width) + 1, right) - np.maximum(np.arange(width), left), 0, 1
        )
        found[cell] = down @ missing @ across / (down.sum() * across.sum())
    return found


def planned(hw, placement):
    return plan_grid(hw, placement, window=64, native_stride=16)


def assert_missing(photo, missing):
    """The windows of a photo that are judged as these pixels say."""
    assert photo.no_data is not None
    found: set[bool] = set()
    for placement in PLACEMENTS:
        geometry = planned(photo.hw, placement)
        expected = shares(missing, geometry) > 0.5
        found |= set(expected.ravel().tolist())
        np.testing.assert_array_equal(photo.no_data.mostly(geometry), expected)
    assert found == {False, True}


def tiff(path, pixels, nodata=None, mask=None, orientation=None, **options):
    """A TIFF with a nodata value, and a mask that is true where there is photo."""
    tags = [] if nodata is None else [(NODATA, "s", 0, nodata, True)]
    tags += [] if orientation is None else [(274, "H", 1, orientation, True)]
    options = {"photometric": "rgb", "compression": "deflate", **options}
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, extratags=tags, **options)
        if mask is not None:
            file.write(
                mask,
                photometric="mask",
                subfiletype=4,
                compression="deflate",
                **{key: options[key] for key in ("tile", "rowsperstrip") if key in options},
            )
    return path


def png(path, pixels, missing):
    alpha = np.where(missing, 0, 255).astype(np.uint8)
    pyvips.Image.new_from_array(np.dstack([pixels, alpha])).pngsave(str(path))
    return path


def nodata_tiff(path, pixels, missing, **options):
    return tiff(path, np.where(missing[..., None], 0, pixels).astype(np.uint8), "0", **options)


def masked_tiff(path, pixels, missing, **options):
    return tiff(path, pixels, mask=~missing, **options)


Writer = Callable[..., object]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("write", "options"),
    [
        (png, {}),
        (nodata_tiff, {}),
        (nodata_tiff, {"tile": (48, 64)}),
        (masked_tiff, {"tile": (48, 64)}),
        (masked_tiff, {"rowsperstrip": 50}),
        (masked_tiff, {}),
    ],
)
def test_windows_are_judged_by_their_pixels(tmp_path, write, options):
    missing = holes()
    path = tmp_path / ("photo.png" if write is png else "photo.tif")
    write(path, picture(), missing, **options)
    assert_missing(read_photo(path), missing)
    # As one that stays on disk, at a part of its size, and a region of it.
    assert_missing(PhotoFile(path), missing)
    assert_missing(reduced_photo(path, 2), missing)
    region = Region(37, 21, 160, 131, HW)
    part = missing[21 : 21 + 131, 37 : 37 + 160]
    for photo in (
        read_photo(path, region),
        PhotoFile(path, region),
        reduced_photo(path, 2, region),
    ):
        assert_missing(photo, part)


@pytest.mark.few(3)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_photos_turned_upright_are_judged_upright(tmp_path, orientation):
    missing = holes()
    raw = picture()
    path = nodata_tiff(tmp_path / "photo.tif", raw, missing, orientation=orientation)
    photo = read_photo(path)
    upright = (photo.pixels == 0).all(axis=2)
    assert upright.sum() == missing.sum()
    assert_missing(photo, upright)
    region = Region(5, 9, 150, 145, photo.hw)
    assert_missing(read_photo(path, region), upright[9:154, 5:155])


def test_nodata_and_a_mask_and_transparency_add_up(tmp_path):
    first, second, third = (np.zeros(HW, bool) for _ in range(3))
    first[:, :60], second[:70], third[:, 180:] = True, True, True
    alpha = np.where(third, 0, 255).astype(np.uint8)
    pixels = np.dstack([np.where(first[..., None], 0, picture()).astype(np.uint8), alpha])
    path = tiff(tmp_path / "all.tif", pixels, "0", mask=~second, extrasamples=["unassalpha"])
    assert_missing(read_photo(path), first | second | third)


def test_all_bands_must_have_the_value(tmp_path):
    """Black shadows of one or two bands are photo."""
    pixels = picture()
    pixels[:, :100, 0] = 0
    pixels[:, :90, 1] = 0
    assert read_photo(tiff(tmp_path / "a.tif", pixels, "0")).no_data is None


def test_half_transparent_pixels_are_photo(tmp_path):
    for alpha, found in ((0, True), (127, True), (128, False), (255, False)):
        pixels = np.dstack([picture(), np.full(HW, alpha, np.uint8)])
        path = tmp_path / f"{alpha}.png"
        pyvips.Image.new_from_array(pixels).pngsave(str(path))
        assert (read_photo(path).no_data is not None) == found


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("nodata", "value", "kind"),
    [
        ("nan", np.nan, np.float32),
        ("-9999", -9999, np.float32),
        ("-3.4028234663852886e+38", np.finfo(np.float32).min, np.float32),
        ("inf", np.inf, np.float32),
        ("65535", 65535, np.uint16),
        ("0", 0, np.uint16),
    ],
)
def test_values_beyond_those_of_the_photo_become_black(tmp_path, nodata, value, kind):
    missing = holes()
    pixels = picture().astype(kind) * (257 if kind == np.uint16 else 1)
    whole = read_photo(tiff(tmp_path / "whole.tif", pixels)).pixels
    pixels[missing] = value
    photo = read_photo(tiff(tmp_path / "holes.tif", pixels, nodata))
    assert_missing(photo, missing)
    np.testing.assert_array_equal(photo.pixels, np.where(missing[..., None], 0, whole))


def test_other_values_that_are_no_numbers_are_refused_still(tmp_path):
    pixels = picture().astype(np.float32)
    pixels[3, 4] = np.nan
    path = tiff(tmp_path / "a.tif", pixels, "-9999")
    with pytest.raises(Exception, match="not finite"):
        read_photo(path)


def test_values_of_8_bits_keep_their_colour(tmp_path):
    missing = holes()
    pixels = np.where(missing[..., None], 255, picture()).astype(np.uint8)
    photo = read_photo(tiff(tmp_path / "a.tif", pixels, "255"))
    assert_missing(photo, missing)
    np.testing.assert_array_equal(photo.pixels, pixels)


def test_grey_that_is_stored_turned_over(tmp_path):
    missing = holes()
    pixels = np.where(missing, 0, picture()[..., 0]).astype(np.uint8)
    photo = read_photo(tiff(tmp_path / "a.tif", pixels, "0", photometric="miniswhite"))
    assert_missing(photo, missing)


def test_what_cannot_be_used_is_noted(tmp_path):
    (note,) = read_photo(tiff(tmp_path / "a.tif", picture(), "black")).notes
    assert note == "nodata is 'black', which is no number: not used"
    path = masked_tiff(tmp_path / "mask.tif", picture(), holes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[1].tags["Compression"]
        at = tag.valueoffset
    content = bytearray(path.read_bytes())
    content[at : at + 2] = (5).to_bytes(2, "little")
    path.write_bytes(content)
    photo = read_photo(path)
    assert photo.no_data is None
    assert any("mask cannot be read" in note and "taken as photo" in note for note in photo.notes)


def test_photos_that_are_photo_all_over_are_not_read_again(tmp_path, monkeypatch):
    opened = []
    real = decoding.no_data_of
    monkeypatch.setattr(
        decoding, "no_data_of", lambda *given, **more: opened.append(1) or real(*given, **more)
    )
    pyvips.Image.new_from_array(picture()).pngsave(str(tmp_path / "a.png"))
    png(tmp_path / "opaque.png", picture(), np.zeros(HW, bool))
    tiff(tmp_path / "a.tif", picture())
    pyvips.Image.new_from_array(picture()).jpegsave(str(tmp_path / "a.jpg"))
    for path in tmp_path.iterdir():
        assert read_photo(path).no_data is None
    assert opened == []
    # A value that no pixel has.
    assert read_photo(tiff(tmp_path / "none.tif", picture(), "0")).no_data is None
    assert opened == [1]


def test_a_large_mask_is_never_all_in_memory(tmp_path):
    hw = (3072, 3072)
    missing = np.zeros(hw, bool)
    missing[:, :1500] = True
    pixels = np.zeros((*hw, 3), np.uint8)
    pixels[:, 1500:] = 200
    paths = [
        tiff(tmp_path / "nodata.tif", pixels, "0", tile=(256, 256)),
        tiff(tmp_path / "mask.tif", pixels, mask=~missing, tile=(256, 256)),
    ]
    geometry = planned(hw, Placement(scale=0.25))
    for path in paths:
        tracemalloc.start()
        found = PhotoFile(path).no_data.mostly(geometry)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        centres = [geometry.centre_xy(0, column)[0] for column in range(geometry.grid_hw[1])]
        np.testing.assert_array_equal(found, [np.array(centres) < 1500] * len(found))
        # A row of tiles, and numbers along a strip.
        assert peak < missing.nbytes / 2


@pytest.mark.filterwarnings("ignore")
def test_gdal_finds_the_same_pixels(tmp_path):
    """Files that GDAL writes, and what it says of them."""
    missing, bands = holes(), picture().transpose(2, 0, 1)
    hidden = np.where(missing, 0, bands).astype(np.uint8)
    deep = np.where(missing, 65535, bands.astype(np.uint16) * 16).astype(np.uint16)
    floats = np.where(missing, -9999, bands / np.float32(255)).astype(np.float32)
    opacity = np.where(missing, 0, 255).astype(np.uint8)
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "lzw"}
    written = {
        "nodata": (hidden, {"nodata": 0}),
        "deep": (deep, {"nodata": 65535}),
        "grey": (deep[:1], {"nodata": 65535, "photometric": "MINISBLACK"}),
        "float": (floats, {"nodata": -9999}),
        "alpha": (np.concatenate([bands, opacity[None]]), {"alpha": "YES"}),
        "mask": (bands, tiles),
        "strips": (bands, {"compress": "jpeg", "photometric": "YCBCR"}),
    }
    for name, (values, options) in written.items():
        path = str(tmp_path / f"{name}.tif")
        size = {"count": len(values), "height": HW[0], "width": HW[1], "dtype": values.dtype}
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            chosen = {"driver": "GTiff", "photometric": "RGB", **size, **options}
            with rasterio.open(path, "w", **chosen) as file:
                file.write(values)
                if name in ("mask", "strips"):
                    file.write_mask(~missing)
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.dataset_mask() == 0, missing)
        assert_missing(read_photo(path), missing)
        assert_missing(reduced_photo(path, 2), missing)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("nodata", [0, 255])
@pytest.mark.parametrize(
    "layout", [{"tiled": True, "blockxsize": 64, "blockysize": 48}, {"blockysize": 40}]
)
def test_tiles_that_are_not_stored_are_nodata_as_gdal_has_it(tmp_path, layout, nodata):
    path = tmp_path / "sparse.tif"
    size = {"count": 3, "height": HW[0], "width": HW[1], "dtype": "uint8", "photometric": "RGB"}
    with rasterio.open(
        path, "w", driver="GTiff", nodata=nodata, sparse_ok=True, **size, **layout
    ) as file:
        bands = picture().transpose(2, 0, 1)[:, 96:160]
        file.write(bands, window=rasterio.windows.Window(0, 96, HW[1], 64))
    with rasterio.open(path) as file:
        missing = file.dataset_mask() == 0
    assert 0 < missing.mean() < 1
    assert_missing(read_photo(path), missing)
    region = Region(30, 50, 150, 110, HW)
    assert_missing(read_photo(path, region), missing[50:160, 30:180])
