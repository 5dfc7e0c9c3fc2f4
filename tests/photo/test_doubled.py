"""Photos at twice their size: the bits of libvips."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips

from heatmap.photo.doubled import doubled
from heatmap.photo.photo import Photo
from heatmap.photo.rows import resized


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_libvips(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    image = pyvips.Image.new_from_memory(pixels.data, width, height, 3, "uchar")
    return resized(image, (2 * height, 2 * width)).numpy()


@pytest.mark.parametrize("hw", [(1, 1), (1, 9), (9, 1), (2, 3), (32, 5), (33, 64), (130, 97)])
def test_a_doubled_photo_has_the_bits_of_libvips(hw):
    pixels = noise(*hw)
    np.testing.assert_array_equal(doubled(pixels, 0, 2 * hw[0]), by_libvips(pixels))


def test_extremes_are_clipped_as_by_libvips():
    pixels = noise(20, 20) // 128 * 255
    whole = doubled(pixels, 0, 40)
    np.testing.assert_array_equal(whole, by_libvips(pixels))
    assert {0, 255} <= set(whole.ravel().tolist())


@pytest.mark.parametrize(("first", "end"), [(0, 1), (1, 2), (63, 65), (7, 130), (129, 140)])
def test_some_rows_are_those_of_the_whole(first, end):
    pixels = noise(70, 11)
    np.testing.assert_array_equal(doubled(pixels, first, end), by_libvips(pixels)[first:end])


@pytest.mark.parametrize("height", [1, 7, 200])
def test_strips_of_a_photo_are_those_of_libvips(height):
    pixels = noise(40, 30)
    strips = Photo(pixels).strips(height, first=5, columns=(3, 50), scaled_hw=(80, 60))
    expected = by_libvips(pixels)[5:, 3:50]
    np.testing.assert_array_equal(np.concatenate(list(strips)), expected)
