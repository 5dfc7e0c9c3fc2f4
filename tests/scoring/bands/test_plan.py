"""Plans of bands: no step computes more than a band brings, and memory is that of all steps."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

import heatmap
from heatmap.conversion.network import FullyConvolutional
from heatmap.conversion.shapes import shapes_at
from heatmap.scoring.bands.plan import BandPlan
from heatmap.scoring.bands.receptive_field import links_of
from tests.support.band_networks import FEW_CASES, WINDOW, converted
from tests.support.local_networks import excitation
from tests.support.networks import Trunk, randomise

BAND_PX = 16


def plan_of(network: FullyConvolutional, rows: int) -> BandPlan:
    """For a photo one window wide and so many native strides taller."""
    side = network.window_px
    hw = (side + rows * network.native_stride_px, side)
    links, shapes = links_of(network.trunk), shapes_at(network.trunk, (1, 3, *hw))
    height, width = shapes[links[-1].node][2:]
    return BandPlan.of(links, shapes, (0, height), (0, width))


def row_bytes(plan: BandPlan) -> dict:
    """As if a row of each tensor took a byte."""
    return dict.fromkeys(plan.rows, 1.0)


def stride_of(plan: BandPlan) -> int:
    return plan.row_lengths[plan.photo] // plan.row_lengths[plan.feature]


@pytest.fixture(scope="module")
def stacked() -> FullyConvolutional:
    """Five layers one behind the other, each of which waits for half a window of rows."""
    torch.manual_seed(0)
    layers = [excitation() for _ in range(5)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    module = randomise(nn.Sequential(Trunk(), *layers, *head), WINDOW)
    return heatmap.convert(module, WINDOW, statistics="local")


def test_what_waits_is_computed_as_many_rows_at_a_time_as_a_band_brings(stacked):
    plan = plan_of(stacked, 60)
    starts = plan.starts(BAND_PX)
    steps = list(plan.steps(starts))
    # At the bottom five half windows are waiting.
    assert len(steps) > len(starts) - 1 + 5 * WINDOW // 2 // BAND_PX - 5
    made = dict.fromkeys(plan.rows, 0)
    for step in steps:
        for node, (first, end) in step.rows.items():
            share = plan.row_lengths[node] / plan.row_lengths[plan.photo]
            assert 0 <= end - first <= math.ceil(BAND_PX * share)
            made[node] += end - first
    assert made == {node: end - first for node, (first, end) in plan.rows.items()}


def test_memory_does_not_grow_with_the_height_of_the_photo(stacked):
    peaks = [
        plan.peak_bytes(plan.starts(BAND_PX), row_bytes(plan))
        for plan in (plan_of(stacked, rows) for rows in (60, 120, 240))
    ]
    assert peaks[0] == peaks[1] == peaks[2]


@pytest.mark.parametrize("band_px", [1, 8, 37, 100, 10_000])
@pytest.mark.parametrize(("name", "k"), FEW_CASES)
def test_the_peak_is_that_of_all_steps(name, k, band_px):
    plan = plan_of(converted(name, k), 30)
    starts = plan.starts(band_px)
    everywhere = max(
        plan._bytes_in(before, after, row_bytes(plan))
        for before, after in pairwise(plan._ends(starts))
    )
    # Where a step is no whole number of rows, the most of them come together rarely.
    rare = len(plan.rows) if band_px % stride_of(plan) else 0
    assert 0 <= everywhere - plan.peak_bytes(starts, row_bytes(plan)) <= rare


def test_one_band_is_one_step():
    plan = plan_of(converted("branches", 1), 5)
    assert len(list(plan.steps(plan.starts(10_000)))) == 1
