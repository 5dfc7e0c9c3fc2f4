"""Which windows are left to score once flat background and a mask have left theirs out."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heatmap.errors import GeometryError, PhotoError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.skip import BLOCK_PX, FLAT_DEVIATION, Skip
from heatmap.photo.photo import Photo
from heatmap.photo.photo_file import PhotoFile


def busy_by_pixels(photo: np.ndarray, mask: np.ndarray | None, flat: bool) -> np.ndarray:
    """Whether each pixel lies in a block that is left, one block after the other: (H, W)."""
    busy = np.ones(photo.shape[:2], bool)
    for top in range(0, len(photo), BLOCK_PX):
        for left in range(0, photo.shape[1], BLOCK_PX):
            block = np.s_[top : top + BLOCK_PX, left : left + BLOCK_PX]
            textured = photo[block].std(axis=(0, 1)).max() > FLAT_DEVIATION
            shown = mask is None or mask[block].any()
            busy[block] = shown and (textured or not flat)
    return busy


def wanted_by_pixels(busy: np.ndarray, geometry) -> np.ndarray:
    """Which windows see a pixel of a block that is left."""
    height, width = busy.shape
    rows, columns = geometry.grid_hw
    wanted = np.zeros((rows, columns), bool)
    for row in range(rows):
        for column in range(columns):
            left, top, right, bottom = (round(side) for side in geometry.window_xyxy(row, column))
            seen = busy[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            wanted[row, column] = seen.any()
    return wanted


def made_photo(seed: int, hw=(150, 210)) -> np.ndarray:
    """Grey but for a few textured spots."""
    noise = np.random.default_rng(seed)
    photo = np.full((*hw, 3), 120, np.uint8)
    for _ in range(2):
        top, left = noise.integers(0, (hw[0] - 20, hw[1] - 20))
        photo[top : top + 20, left : left + 20] = noise.integers(0, 256, (20, 20, 3))
    return photo


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    flat=st.booleans(),
    corner=st.none() | st.tuples(st.integers(0, 149), st.integers(0, 209)),
    stride=st.sampled_from([8, 16]),
)
def test_wanted_windows_are_those_that_see_what_both_leave(seed, flat, corner, stride):
    photo, mask = made_photo(seed), None
    if corner is not None:
        mask = np.zeros_like(photo)
        mask[corner[0] :, corner[1] :] = 255
    geometry = plan_grid(photo.shape[:2], Placement(stride=stride), window=32, native_stride=16)
    found = Skip(flat, mask).wanted(Photo(photo), geometry)
    expected = wanted_by_pixels(busy_by_pixels(photo, mask, flat), geometry)
    np.testing.assert_array_equal(found, expected)


def test_a_photo_on_disk_and_masks_of_any_kind_give_the_same(tmp_path):
    photo, mask = made_photo(5), np.zeros((75, 105), np.uint8)
    mask[20:50, 30:60] = 1
    tifffile.imwrite(tmp_path / "photo.tif", photo, tile=(64, 64))
    Image.fromarray(mask).save(tmp_path / "mask.png")
    geometry = plan_grid((150, 210), window=32, native_stride=16)
    expected = Skip(True, np.dstack([mask] * 3)).wanted(Photo(photo), geometry)
    assert 0 < expected.mean() < 1
    for name in (tmp_path / "mask.png", str(tmp_path / "mask.png")):
        found = Skip(True, name).wanted(PhotoFile(tmp_path / "photo.tif"), geometry)
        np.testing.assert_array_equal(found, expected)


def test_nothing_left_out_is_everything_wanted():
    geometry = plan_grid((150, 210), window=32, native_stride=16)
    assert Skip().wanted(Photo(made_photo(0)), geometry).all()
    assert (
        not Skip(background=True).wanted(Photo(np.zeros((150, 210, 3), np.uint8)), geometry).any()
    )


def test_masks_that_cannot_be_meant_are_refused(tmp_path):
    geometry = plan_grid((150, 210), window=32, native_stride=16)
    photo = Photo(made_photo(0))
    black = np.zeros((150, 210, 3), np.uint8)
    with pytest.raises(PhotoError, match="the mask is 0 everywhere"):
        Skip(mask=black).wanted(photo, geometry)
    with pytest.raises(GeometryError, match="the mask is 150 x 210 px, the photo 210 x 150"):
        Skip(mask=np.ones((210, 150, 3), np.uint8)).wanted(photo, geometry)
    with pytest.raises(PhotoError, match=r"nowhere\.png"):
        Skip(mask=tmp_path / "nowhere.png").wanted(photo, geometry)
