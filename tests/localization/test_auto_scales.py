"""Which scales are scored: for photos of every size, by what a network learned from."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap import GeometryError
from heatmap.geometry import Placement, plan_grid
from heatmap.localization.auto_scales import (
    NATIVE,
    PHOTO,
    RESOLUTIONS,
    ScaleRule,
    described_rule,
    in_words,
    read_rule,
    rule_of_examples,
    scale_weights,
    sizes_looked_for,
)

WINDOW = 224
sides = st.integers(1, 100_000)


@pytest.mark.parametrize(
    ("photo_hw", "unnamed", "named"),
    [
        ((480, 640), (0.5, 1, 2), (0.5, 1, 2, 3)),
        ((640, 480), (0.5, 1, 2), (0.5, 1, 2, 3)),
        ((3000, 4000), (1 / 16, 1 / 8, 1 / 4), (1 / 16, 1 / 8, 1 / 4, 3 / 8)),
        # The short side decides.
        ((800, 12_000), (1 / 4, 1 / 2, 1), (1 / 4, 1 / 2, 1, 3 / 2)),
        # Below 0.7 windows, 157 px, a window sees mostly reflections.
        ((224, 224), (1, 2), (1, 2, 3)),
        ((314, 400), (0.5, 1, 2), (0.5, 1, 2, 3)),
        ((313, 400), (1, 2), (1, 2, 3)),
        ((78, 150), (4,), (3,)),
        ((40, 40), (4,), (4,)),
        ((1, 60_000), (256,), (256,)),
    ],
)
def test_scales_that_fit_known_photos(photo_hw, unnamed, named):
    assert PHOTO.scales(photo_hw, WINDOW) == unnamed
    assert PHOTO.scales(photo_hw, WINDOW, named=True) == named


@settings(max_examples=50)
@given(hw=st.tuples(sides, sides), window=st.integers(1, 1000), named=st.booleans())
def test_any_photo_costs_about_the_same(hw, window, named):
    scales = PHOTO.scales(hw, window, named=named)
    assert list(scales) == sorted(set(scales))
    # At the finest the short side is 2.8 to 5.7 windows, half as much again if named, unless the
    # photo is too small for that.
    finest = max(scales) * min(hw) / window
    assert finest <= (3 if named else 2) * 2**1.5 + 1e-9
    assert finest >= 2**1.5 - 1e-9 or min(hw) < 2**1.5 * window
    assert all(scale * min(hw) >= 0.7 * window for scale in scales) or len(scales) == 1


@settings(max_examples=50)
@given(
    hw=st.tuples(sides, sides), rule=st.sampled_from([PHOTO, NATIVE, ScaleRule("sizes", (90.0,))])
)
def test_finer_resolutions_add_octaves(hw, rule):
    hw = (hw[0] + WINDOW, hw[1] + WINDOW)
    normal, fine, finer = (rule.scales(hw, WINDOW, resolution=each) for each in RESOLUTIONS)
    assert fine == (*normal, 2 * normal[-1])
    assert finer == (*fine, 4 * normal[-1])


def test_an_unknown_resolution_is_refused():
    with pytest.raises(GeometryError, match="resolution is 'best': choose one of normal, fine"):
        PHOTO.scales((480, 640), WINDOW, resolution="best")


def test_where_nothing_is_known_the_photo_stays_as_it_is():
    for hw in ((480, 640), (5000, 900), (100, 640)):
        assert NATIVE.scales(hw, WINDOW) == (1.0,)


@pytest.mark.parametrize(
    ("sizes", "whole_photos", "rule"),
    [
        # Pieces of window size, as of textures.
        ([224] * 20, True, ScaleRule("sizes", (224.0,))),
        # Whole photos of more than two windows were fitted into one.
        ([480, 449, 500], True, PHOTO),
        ([448] * 3, True, ScaleRule("sizes", (448.0,))),
        # Regions may be of any size.
        ([900] * 3, False, ScaleRule("sizes", (900.0,))),
        # Percentiles, and of those too close to the median only that.
        (range(100, 301), False, ScaleRule("sizes", (120.0, 200.0, 280.0))),
        (range(150, 251), False, ScaleRule("sizes", (200.0,))),
        ([60] * 3 + [100] * 14 + [250] * 3, False, ScaleRule("sizes", (60.0, 100.0, 250.0))),
    ],
)
def test_examples_say_how_large_things_are(sizes, whole_photos, rule):
    assert rule_of_examples(sizes, WINDOW, whole_photos=whole_photos) == rule


@settings(max_examples=50)
@given(sizes=st.lists(st.floats(8, 4000), min_size=1, max_size=30))
def test_sizes_of_examples_are_at_most_three_and_far_apart(sizes):
    found = rule_of_examples(sizes, WINDOW).sizes_px
    assert 1 <= len(found) <= 3
    assert all(large / small >= 1.39 for small, large in itertools.pairwise(found))
    # An eighth of a window is the smallest.
    middle = max(np.median(sizes), WINDOW / 8)
    assert any(math.isclose(size, middle, abs_tol=0.06) for size in found)
    assert max(ScaleRule("sizes", found).scales((10**5, 10**5), WINDOW)) <= 8


@pytest.mark.parametrize("rule", [PHOTO, NATIVE, ScaleRule("sizes", (60.5, 100.0))])
def test_rules_come_back_from_what_describes_them(rule):
    assert read_rule(described_rule(rule)) == rule
    assert in_words(rule)


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"learned": "nothing", "sizes_px": []},
        {"learned": "sizes", "sizes_px": []},
        {"learned": "photo", "sizes_px": [3]},
        {"learned": "sizes", "sizes_px": [0]},
        {"learned": "sizes", "sizes_px": ["wide"]},
        {"learned": "sizes", "sizes_px": None},
    ],
)
def test_what_describes_no_rule_is_refused(described):
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_rule(described)


def test_finer_scales_count_less_by_the_root_of_their_windows():
    plans = [
        plan_grid((480, 640), Placement(scale=scale), window=WINDOW, native_stride=32)
        for scale in (0.25, 0.5, 1.0, 3.0)
    ]
    # 480 px are 0.54, 1.07, 2.14 and 6.43 windows; below one window counts as one.
    expected = [1, (240 / 224) ** -0.5, (480 / 224) ** -0.5, (1440 / 224) ** -0.5]
    np.testing.assert_allclose(scale_weights(plans), expected)
    np.testing.assert_allclose(scale_weights(plans[1:])[0], 1)


@pytest.mark.parametrize(
    ("scales", "photo_hw", "expected"),
    [
        ((0.5, 1.0, 2.0), (480, 640), (56, 450)),
        ((1.0,), (5000, 4000), (110, 220)),
        ((4.0,), (40, 40), (28, 40)),
        ((224.0,), (1, 1), (1, 1)),
    ],
)
def test_sizes_looked_for_are_half_a_window_to_a_window(scales, photo_hw, expected):
    assert sizes_looked_for(scales, photo_hw, WINDOW) == expected
