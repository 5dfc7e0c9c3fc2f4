"""Views of examples: where they are cut, and what chance may change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatmap import GeometryError
from heatmap.training.augment import view

MANY = range(1, 300)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def places(height: int, width: int) -> np.ndarray:
    """A photo whose red says the column and whose green the row, in px; blue is 128."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack((columns, rows, np.full_like(rows, 128)), axis=2).astype(np.uint8)


sides = st.sampled_from([1, 2, 3, 5, 17, 64, 500])


@given(
    height=sides,
    width=sides,
    window=st.integers(1, 70),
    number=st.integers(0, 5),
    corner=st.none() | st.tuples(st.floats(-90, 90), st.floats(-90, 90), st.floats(0, 120)),
)
def test_any_region_of_any_photo_has_the_size_of_the_window(height, width, window, number, corner):
    pixels = noise(height, width)
    before = pixels.copy()
    pixels.flags.writeable = False
    xyxy = corner and (corner[0], corner[1], corner[0] + corner[2], corner[1] + corner[2])
    seen = view(pixels, xyxy, window, number=number, seed=(7, 1))
    assert (seen.shape, seen.dtype) == ((window, window, 3), np.uint8)
    assert seen.flags.c_contiguous
    assert seen.flags.writeable
    assert not np.shares_memory(seen, pixels)
    assert np.array_equal(pixels, before)
    assert np.array_equal(seen, view(pixels, xyxy, window, number=number, seed=(7, 1)))


def test_a_plain_region_of_the_windows_size_is_its_pixels():
    pixels = noise(90, 80)
    assert np.array_equal(view(pixels, (10, 20, 42, 52), 32), pixels[20:52, 10:42])
    assert np.array_equal(view(pixels, (10.4, 19.6, 41.7, 52.3), 32), pixels[20:52, 10:42])


def test_a_plain_view_does_not_depend_on_the_seed():
    pixels = noise(90, 80)
    assert np.array_equal(view(pixels, None, 16, seed=(1,)), view(pixels, None, 16, seed=(2, 3)))


@pytest.mark.parametrize(
    ("hw", "rows", "columns"),
    [((60, 100), (0, 60), (20, 80)), ((101, 60), (20, 80), (0, 60)), ((60, 60), (0, 60), (0, 60))],
)
def test_the_plain_view_of_a_whole_photo_is_its_centre_square(hw, rows, columns):
    pixels = noise(*hw)
    assert np.array_equal(view(pixels, None, 60), pixels[slice(*rows), slice(*columns)])


def test_shrinking_averages_areas():
    pixels = noise(90, 80)
    expected = pixels[8:72, 8:72].reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(view(pixels, (8, 8, 72, 72), 16) - expected).max() <= 0.5 + 1e-9
    # The finest grating is grey from afar, not black or white.
    grating = np.zeros((64, 64, 3), np.uint8)
    grating[:, ::2] = 255
    assert np.ptp(view(grating, None, 8)) <= 1


def test_enlarging_is_smooth_and_stays_in_place():
    pixels = places(16, 16) * np.uint8(10)
    seen = view(pixels, (4, 4, 8, 8), 64)
    # Pixel p's centre is at p + 0.5 before and after.
    expected = 10 * ((np.arange(64) + 0.5) / 16 + 4 - 0.5)
    inner = slice(12, -12)
    assert np.abs(seen[..., 0] - expected)[:, inner].max() <= 2
    assert np.abs(seen[..., 1] - expected[:, None])[inner].max() <= 2
    assert len(np.unique(seen[32, :, 0])) > 25


@pytest.mark.parametrize("hw", [(20, 30), (3, 30), (1, 30), (1, 1)])
def test_outside_the_photo_is_its_reflection(hw):
    pixels = noise(*hw)
    extended = cv2.copyMakeBorder(pixels, 40, 60, 40, 60, cv2.BORDER_REFLECT_101)
    assert np.array_equal(view(pixels, (-40, -40, 20, 20), 60), extended[:60, :60])
    assert np.array_equal(view(pixels, (-7, -5, 43, 45), 50), extended[35:85, 33:83])


def test_views_differ_by_number_and_by_seed():
    pixels = noise(90, 80)
    of = {
        (number, seed): view(pixels, (10, 10, 60, 60), 24, number=number, seed=seed).tobytes()
        for number in range(6)
        for seed in [(0,), (1,), (1, 2)]
    }
    # The plain one is the same thrice.
    assert len(set(of.values())) == 16


def light_of(number: int, seed=(0,)) -> tuple[float, float]:
    """Brightness and contrast that a view was given, from one half dark and half bright."""
    pixels = np.full((200, 200, 3), 60, np.uint8)
    pixels[:, :, 1] = 140
    seen = (
        view(pixels, (50, 50, 150, 150), 20, number=number, seed=seed).reshape(-1, 3).mean(axis=0)
    )
    mean = (60 + 140 + 60) / 3
    slope = (seen[1] - seen[0]) / 80  # brightness x contrast
    brightness = (seen[0] - slope * (60 - mean)) / mean
    return brightness, slope / brightness


def test_light_changes_by_up_to_a_fifth():
    lights = np.array([light_of(number) for number in MANY])
    for values in lights.T:
        assert values.min() > 0.8 - 0.015
        assert values.max() < 1.2 + 0.015
        assert values.min() < 0.82
        assert values.max() > 1.18
    assert abs(np.corrcoef(lights.T)[0, 1]) < 0.2


def test_bright_and_dark_values_stay_at_the_ends():
    pixels = np.zeros((50, 50, 3), np.uint8)
    pixels[..., 1] = 255
    for number in MANY:
        seen = view(pixels, None, 20, number=number)
        # Values that wrapped around would turn white dark and black bright.
        assert seen[..., 1].min() > 170
        assert seen[..., [0, 2]].max() < 25


def geometry_of(number: int, xyxy, hw=(200, 200)) -> tuple[bool, float, float, float]:
    """Mirrored or not, and left, top and side in px, of an augmented view of a ramp."""
    window = 40
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    # Between 40 and 140, so that light never takes them beyond the ends.
    ramp = np.stack((40 + columns // 2, 40 + rows // 2, np.full(hw, 90)), axis=2)
    seen = view(ramp.astype(np.uint8), xyxy, window, number=number).astype(float)
    constant = np.full((*hw, 3), 90, np.uint8)
    constant[:, :, 0], constant[:, :, 1] = 60, 140
    # The same draws on another photo: offsets by its mean, factor by its contrast.
    flat = view(constant, xyxy, window, number=number).reshape(-1, 3).astype(float).mean(axis=0)
    slope = (flat[1] - flat[0]) / 80
    blue = seen[..., 2].mean()
    values = (seen[..., :2] - blue) / slope + 90
    across = 2 * (values[..., 0].mean(axis=0) - 40) + 0.5
    down = 2 * (values[..., 1].mean(axis=1) - 40) + 0.5
    side = (down[-1] - down[0]) * window / (window - 1)
    centre_x, centre_y = across.mean(), down.mean()
    return bool(across[0] > across[-1]), centre_x - side / 2, centre_y - side / 2, side


def test_regions_are_mirrored_scaled_and_moved_within_the_rules():
    found = [geometry_of(number, (60, 70, 140, 150)) for number in MANY]
    mirrored, left, top, side = (np.array(values, float) for values in zip(*found, strict=True))
    assert 0.4 < mirrored.mean() < 0.6
    assert side.min() > 80 * 0.8 - 3
    assert side.max() < 80 * 1.25 + 3
    assert side.min() < 80 * 0.84
    assert side.max() > 80 * 1.19
    # As often enlarged as shrunk.
    assert 0.4 < (side > 80).mean() < 0.6
    for middle, centre in ((left + side / 2, 100), (top + side / 2, 110)):
        moved = (middle - centre) / side
        assert np.abs(moved).max() < 0.1 + 0.03
        assert moved.min() < -0.08
        assert moved.max() > 0.08


def test_whole_photos_are_cut_anywhere_within_them():
    found = [geometry_of(number, None, (100, 200)) for number in MANY]
    mirrored, left, top, side = (np.array(values, float) for values in zip(*found, strict=True))
    assert 0.4 < mirrored.mean() < 0.6
    assert side.min() > 100 * 0.8 - 4
    assert side.max() < 100 + 4
    assert side.min() < 84
    assert min(left.min(), top.min()) > -4
    assert (left + side).max() < 200 + 4
    assert (top + side).max() < 100 + 4
    assert left.min() < 10
    assert (left + side).max() > 190
    assert top.max() > 10


@pytest.mark.parametrize("window", [0, -3])
def test_a_window_without_pixels_is_refused(window):
    with pytest.raises(GeometryError, match=f"window is {window} px: it must be at least 1"):
        view(noise(4, 4), None, window)
