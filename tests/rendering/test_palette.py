"""Colours of classes: far enough apart for everyone, in grey, and from the text on them."""

from itertools import combinations

import cv2
import numpy as np
import pytest

from heatmap.rendering.palette import PALETTE, colour_of, ink_on, luminance, pale

# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision
# deficiency" (2009), severity 1, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab_of(sight) -> np.ndarray:
    """CIE L*a*b* (n, 3) of the palette as somebody sees it."""
    rgb = np.array(PALETTE, np.float32) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(sight).T, 0, 1)
    encoded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(encoded[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]


@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_colours_differ_for_everyone(sight):
    lab = lab_of(SIGHTS[sight])
    nearest = min(np.linalg.norm(one - other) for one, other in combinations(lab, 2))
    assert nearest > 15


def test_colours_differ_in_grey_and_those_of_neighbours_most():
    lightness = lab_of(np.eye(3))[:, 0]
    assert np.abs(lightness - np.roll(lightness, 1)).min() > 20
    assert min(abs(one - other) for one, other in combinations(lightness, 2)) > 7


def test_colours_begin_again_after_the_last():
    assert [colour_of(place) for place in range(len(PALETTE))] == list(PALETTE)
    assert colour_of(len(PALETTE) + 2) == PALETTE[2]


@pytest.mark.parametrize("colour", [*PALETTE, *map(pale, PALETTE)])
def test_text_on_every_ground_has_the_contrast_for_reading(colour):
    low, high = sorted(map(luminance, (colour, ink_on(colour))))
    assert (high + 0.05) / (low + 0.05) > 4.5
