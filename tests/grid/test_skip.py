"""What is left out of scoring."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap import GeometryError, PhotoError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.skip import cells_to_score, flat_blocks, mask_blocks

properties = settings(max_examples=40)


@dataclass(frozen=True)
class Streamed:
    """A photo in memory that gives its rows a few at a time."""

    pixels: np.ndarray
    strip_px: int = 7

    @property
    def hw(self):
        return self.pixels.shape[:2]

    def strips(self, height=256):
        for top in range(0, len(self.pixels), self.strip_px):
            yield self.pixels[top : top + self.strip_px]


def noise(deviation, hw=(128, 128), base=238, seed=0):
    """Grey with noise in each channel, and a slope of 8 levels from left to right."""
    random = np.random.default_rng(seed).normal(0, deviation, (*hw, 3))
    slope = np.linspace(0, 8, hw[1])[:, None]
    return np.clip(np.round(base + random + slope), 0, 255).astype(np.uint8)


def test_white_of_a_slide_and_clear_sky_are_flat_and_texture_is_not():
    assert flat_blocks([noise(3)], 32).all()
    assert flat_blocks([noise(1.5) - np.array([110, 60, 5], np.uint8)], 32).all()
    assert not flat_blocks([noise(6)], 32).any()
    assert not flat_blocks([noise(20, base=120)], 32).any()


def test_a_small_thing_on_white_is_not_flat():
    photo = noise(2)
    photo[70:76, 40:46] = 60
    expected = np.ones((4, 4), bool)
    expected[2, 1] = False
    np.testing.assert_array_equal(flat_blocks([photo], 32), expected)


def test_one_channel_is_enough_to_differ():
    photo = np.full((64, 64, 3), 200, np.uint8)
    photo[:32, ::2, 1] = 180
    np.testing.assert_array_equal(flat_blocks([photo], 32), [[False] * 2, [True] * 2])


def test_the_limit_itself_is_flat():
    photo = np.full((4, 4, 3), 100, np.uint8)
    photo[::2] = 110
    assert flat_blocks([photo], 4, most_deviation=5).all()
    assert not flat_blocks([photo], 4, most_deviation=4.99).any()


@properties
@given(
    hw=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    block=st.integers(1, 40),
    strip=st.integers(1, 70),
    seed=st.integers(0, 99),
)
def test_strips_of_any_height_give_the_same_flat_blocks(hw, block, strip, seed):
    photo = noise(4, hw, seed=seed)
    expected = [
        [
            (photo[top : top + block, left : left + block].std(axis=(0, 1)) <= 4).all()
            for left in range(0, hw[1], block)
        ]
        for top in range(0, hw[0], block)
    ]
    found = flat_blocks(Streamed(photo, strip).strips(), block, most_deviation=4)
    np.testing.assert_array_equal(found, expected)


def test_a_tall_photo_is_never_held():
    strip = noise(2, (256, 1000))
    tracemalloc.start()
    flat = flat_blocks((strip.copy() for _ in range(60)), 50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert flat.shape == (math.ceil(256 * 60 / 50), 20)
    assert peak < 5 * strip.nbytes


@properties
@given(
    proportions=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    multiples=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    block=st.integers(1, 30),
    strip=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_mask_blocks_are_those_that_touch_a_pixel_other_than_0(
    proportions, multiples, block, strip, seed
):
    photo_hw, mask_hw = ((proportions[0] * times, proportions[1] * times) for times in multiples)
    rng = np.random.default_rng(seed)
    mask = np.zeros((*mask_hw, 3), np.uint8)
    mask[..., rng.integers(3)] = rng.random(mask_hw) < 0.1
    mask[rng.integers(mask_hw[0]), rng.integers(mask_hw[1])] = 1
    # Both drawn onto one fine canvas, on which each pixel of either is whole.
    shown = mask.any(axis=2).repeat(photo_hw[0], 0).repeat(photo_hw[1], 1)
    down, across = block * mask_hw[0], block * mask_hw[1]
    expected = [
        [
            shown[top : top + down, left : left + across].any()
            for left in range(0, shown.shape[1], across)
        ]
        for top in range(0, shown.shape[0], down)
    ]
    np.testing.assert_array_equal(mask_blocks(Streamed(mask, strip), photo_hw, block), expected)


def test_a_mask_within_a_percent_of_the_proportions_is_taken():
    mask = np.zeros((100, 200, 3), np.uint8)
    mask[99, 199] = 255
    assert np.argwhere(mask_blocks(Streamed(mask), (1009, 2000), 100)).tolist() == [
        [9, 19],
        [10, 19],
    ]
    for photo_hw in ((1011, 2000), (1000, 2021)):
        with pytest.raises(GeometryError, match=r"mask is 200 x 100 px, the photo \d+ x \d+"):
            mask_blocks(Streamed(mask), photo_hw, 100)


def test_what_makes_no_sense_is_refused():
    black = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(PhotoError, match="0 everywhere"):
        mask_blocks(Streamed(black), (100, 100), 10)
    with pytest.raises(GeometryError, match="block is 0 px"):
        mask_blocks(Streamed(black), (100, 100), 0)
    with pytest.raises(GeometryError, match="block is 0 px"):
        flat_blocks([black], 0)
    for deviation in (-1, math.nan):
        with pytest.raises(GeometryError, match="flat deviation is"):
            flat_blocks([black], 10, most_deviation=deviation)
    geometry = plan_grid((300, 410), window=64, native_stride=32)
    with pytest.raises(GeometryError, match=r"blocks are \(2, 2\), a photo of 410 x 300 px has"):
        cells_to_score(np.ones((2, 2), bool), geometry, 32)


@properties
@given(
    hw=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    scale=st.sampled_from([0.5, 0.77, 1, 2]),
    stride=st.sampled_from([8, 16]),
    block=st.integers(5, 50),
    seed=st.integers(0, 99),
)
def test_cells_to_score_are_those_whose_window_touches_a_busy_block(hw, scale, stride, block, seed):
    geometry = plan_grid(hw, Placement(stride=stride, scale=scale), window=40, native_stride=16)
    blocks_hw = (math.ceil(hw[0] / block), math.ceil(hw[1] / block))
    busy = np.random.default_rng(seed).random(blocks_hw) < 0.1
    expected = np.zeros(geometry.grid_hw, bool)
    for row, column in np.ndindex(*geometry.grid_hw):
        left, top, right, bottom = geometry.window_xyxy(row, column)
        expected[row, column] = any(
            down * block < bottom
            and (down + 1) * block > top
            and across * block < right
            and (across + 1) * block > left
            for down, across in np.argwhere(busy)
        )
    found = cells_to_score(busy, geometry, block)
    assert found.shape == geometry.grid_hw
    np.testing.assert_array_equal(found, expected)
