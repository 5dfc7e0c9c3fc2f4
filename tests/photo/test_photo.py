"""Photos in memory: arrays that are photos, what they tell, and their rows."""

import hashlib
import re

import numpy as np
import pytest
from PIL import Image

from heatmap.errors import PhotoError
from heatmap.photo.photo import Photo, read_photo


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    """The same random values of all the type's range at each call."""
    values = np.random.default_rng(7)
    return values.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def test_an_array_is_viewed_not_copied_and_not_changed():
    pixels = noise(5, 6, 3)
    before = pixels.copy()
    photo = read_photo(pixels)
    assert np.shares_memory(photo.pixels, pixels)
    assert not photo.pixels.flags.writeable
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, before)
    assert (photo.path, photo.notes) == ("", ())
    assert read_photo(photo) is photo


def test_a_strided_array_becomes_contiguous():
    bgr = noise(5, 6, 3)
    photo = read_photo(bgr[:, ::2, ::-1])
    assert photo.pixels.flags.c_contiguous
    np.testing.assert_array_equal(photo.pixels, bgr[:, ::2, ::-1])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 5, 3), np.float32), "float32 array of shape (4, 5, 3)"),
        (np.zeros((4, 5), np.uint8), "uint8 array of shape (4, 5)"),
        (np.zeros((3, 4, 5), np.uint8), "uint8 array of shape (3, 4, 5)"),
        (np.zeros((4, 5, 4), np.uint8), "uint8 array of shape (4, 5, 4)"),
        (np.zeros((0, 5, 3), np.uint8), "uint8 array of shape (0, 5, 3)"),
        (None, "photo is a NoneType: give a path or an RGB uint8 array"),
        ([[[1, 2, 3]]], "photo is a list: give a path or an RGB uint8 array"),
    ],
)
def test_pixels_of_a_photo_are_of_one_kind(source, message):
    with pytest.raises(PhotoError, match=re.escape(message)):
        Photo(source)


def test_digest_tells_content_and_shape_apart(tmp_path):
    pixels = noise(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    other = pixels.copy()
    other[3, 5, 2] ^= 1
    digest = Photo(pixels).digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    of_file = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert read_photo(tmp_path / "a.png").digest == of_file
    assert Photo(other).digest != digest
    assert Photo(pixels.reshape(6, 4, 3)).digest != digest


def test_strips_are_views_from_top_to_bottom():
    photo = Photo(noise(70, 9, 3))
    strips = list(photo.strips(32))
    assert [len(strip) for strip in strips] == [32, 32, 6]
    assert all(np.shares_memory(strip, photo.pixels) for strip in strips)
    np.testing.assert_array_equal(np.concatenate(strips), photo.pixels)
    assert photo.hw == (70, 9)


def test_strips_of_some_rows_and_columns():
    photo = Photo(noise(70, 9, 3))
    strips = photo.strips(20, first=30, columns=(2, 5))
    np.testing.assert_array_equal(np.concatenate(list(strips)), photo.pixels[30:, 2:5])


@pytest.mark.parametrize("scaled_hw", [(31, 43), (120, 33), (100, 130)])
def test_a_photo_resized_at_once_is_that_of_strips(scaled_hw):
    photo = Photo(noise(60, 80, 3))
    (whole,) = photo.strips(200, first=3, columns=(2, 30), scaled_hw=scaled_hw)
    strips = list(photo.strips(7, first=3, columns=(2, 30), scaled_hw=scaled_hw))
    assert len(strips) > 1
    np.testing.assert_array_equal(whole, np.concatenate(strips))
