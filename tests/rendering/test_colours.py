"""Colours of scores, and how they are laid over a photo."""

import cv2
import numpy as np
import pytest

from heatmap.choices import COLORMAPS
from heatmap.errors import ResultError
from heatmap.rendering.paint import colour_table, paint, to_levels
from tests.support.overlays import make_photo


def test_colours_rise_from_clear_to_the_opacity_asked_for():
    table = colour_table(0.6)
    assert table.shape == (256, 4)
    assert table[0, 3] == 0
    assert table[255, 3] == 153
    assert (np.diff(table[:, 3].astype(int)) >= 0).all()
    red, _, blue = table[192, :3].astype(int)
    assert red > blue + 100  # orange, not its mirror image in blue
    lightness = cv2.cvtColor(table[None, :, :3], cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 200


@pytest.mark.parametrize("alpha", [-0.1, 1.01, float("nan")])
def test_an_opacity_out_of_range_is_refused(alpha):
    with pytest.raises(ResultError, match=r"alpha is .*: it must be within 0\.\.1"):
        colour_table(alpha)


def test_colormaps_are_those_of_opencv():
    there = {name for name in dir(cv2) if name.startswith("COLORMAP_")}
    assert {f"COLORMAP_{name.upper()}" for name in COLORMAPS} == there
    levels = np.arange(256, dtype=np.uint8)[None]
    for name in COLORMAPS:
        number = getattr(cv2, f"COLORMAP_{name.upper()}")
        bgr = cv2.applyColorMap(levels, number)[0]
        np.testing.assert_array_equal(colour_table(1, name)[:, 2::-1], bgr)
    np.testing.assert_array_equal(colour_table(0.4, "jet")[:, 3], colour_table(0.4)[:, 3])
    assert colour_table(1, "jet", 0.5)[255, 3] == 128


def test_another_colormap_is_refused_with_those_there_are():
    with pytest.raises(ResultError, match=r"no colormap 'heat': give one of autumn, bone, .* win"):
        colour_table(1, "heat")


def test_levels_spread_over_the_range_and_stop_at_its_ends():
    values = np.array([-1, 0.2, 0.4, 0.6, 9], np.float32)
    assert to_levels(values, 0.2, 0.6).tolist() == [0, 0, 128, 255, 255]
    assert to_levels(values, 0.3, 0.3).tolist() == [0] * 5


def test_painting_in_blocks_is_the_blend_of_the_whole(monkeypatch):
    photo = make_photo()
    levels = np.random.default_rng(0).integers(0, 256, photo.shape[:2], dtype=np.uint8)
    table = colour_table(0.7)
    rgba = table[levels].astype(float)
    alpha = rgba[..., 3:] / 255
    exact = photo * (1 - alpha) + rgba[..., :3] * alpha
    whole = paint(photo, levels, table)
    assert np.abs(whole - exact).max() <= 0.5 + 1e-3
    monkeypatch.setattr("heatmap.rendering.paint._BLOCK_PX", 1000)
    np.testing.assert_array_equal(paint(photo, levels, table), whole)
