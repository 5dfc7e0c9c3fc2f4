"""Which scales are tried, and how grids of several become one."""

from __future__ import annotations

import math
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap import ResultError, ScoreGrid
from heatmap.classes import ClassList
from heatmap.geometry import Placement, plan_grid, scale_of
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.score_grid import probabilities_of
from heatmap.localization.scales import (
    POSITION_DECIMALS,
    Windows,
    finest,
    fuse_scales,
    fused_rows,
)

ORIGIN = Origin(
    "",
    "",
    "made up",
    Weights("own", "made up", ""),
    "slide",
    "exact",
    computation=Computation(threads=1),
)
PHOTO_HW = (300, 410)
sides = st.integers(1, 60_000)


def grid_at(
    scale, stride=32, *, photo_hw=PHOTO_HW, kind="logits", count=3, seed=0, missing=0.0, window=64
):
    """Random scores, a share of whose cells was not scored."""
    geometry = plan_grid(
        photo_hw, Placement(stride=stride, scale=scale), window=window, native_stride=32
    )
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (*geometry.grid_hw, count)).astype(np.float32)
    scores = probabilities_of(scores, "logits") if kind == "probabilities" else scores
    scores[rng.random(geometry.grid_hw) < missing] = np.nan
    return ScoreGrid(scores, geometry, ClassList.numbered(count), kind, ORIGIN)


def slow_fusion(grids, how):
    """Cell by cell: the four neighbours in each grid, those that were not scored left out.

    In float64, but for the probabilities, which are the grids' own.
    """
    target, probabilities = finest(grids), [grid.probabilities() for grid in grids]
    fused = np.full(target.scores.shape, np.nan)
    for row, column in np.ndindex(*target.geometry.grid_hw):
        x, y = target.geometry.centre_xy(row, column)
        parts = [
            neighbours(grid.geometry, shown, x, y)
            for grid, shown in zip(grids, probabilities, strict=True)
        ]
        parts = [part for part in parts if part[1] > 0]
        if parts and how == "mean":
            fused[row, column] = sum(part[0] for part in parts) / sum(part[1] for part in parts)
        elif parts:
            fused[row, column] = np.max([part[0] / part[1] for part in parts], axis=0)
    return fused


def neighbours(geometry, probabilities, x, y):
    """Weighted sum and weight of the cells about a point of the photo."""
    axes = []
    for position, cells in zip(geometry.cell_at(x, y), geometry.grid_hw, strict=True):
        held = min(max(round(position, POSITION_DECIMALS), 0), cells - 1)
        low = math.floor(held)
        axes.append([(low, 1 - (held - low)), (min(low + 1, cells - 1), held - low)])
    total, weight = np.zeros(probabilities.shape[2]), 0.0
    for row, down in axes[0]:
        for column, across in axes[1]:
            shown = probabilities[row, column].astype(np.float64)
            if not np.isnan(shown[0]):
                total, weight = total + down * across * shown, weight + down * across
    return total, weight


# How often a value is rounded on its way through the fusion: along each of two axes a weight, a
# product and a sum; then the sums over at most three scales. So often in the sum and in the weight
# that it is divided by, and once more by that. All terms are positive, so the share that is lost
# only adds up.
ROUNDINGS = 2 * (2 * 3 + 2) + 1


@settings(max_examples=15)
@given(
    hw=st.tuples(st.integers(20, 400), st.integers(20, 400)),
    window=st.sampled_from([64, 224]),
    scales=st.lists(st.sampled_from([0.3, 0.5, 1, 1.7, 2]), min_size=1, max_size=3),
    strides=st.tuples(*[st.sampled_from([16, 32])] * 3),
    missing=st.sampled_from([0.0, 0.4, 1.0]),
    how=st.sampled_from(["mean", "max"]),
    kind=st.sampled_from(["logits", "probabilities"]),
    block=st.sampled_from([1, 700, 10**6]),
)
def test_fusion_equals_the_slow_one_in_blocks_of_any_size(
    hw, window, scales, strides, missing, how, kind, block
):
    grids = [
        grid_at(scale, stride, photo_hw=hw, kind=kind, seed=seed, missing=missing, window=window)
        for seed, (scale, stride) in enumerate(zip(scales, strides, strict=False))
    ]
    with patch("heatmap.localization.scales.BLOCK_BYTES", block):
        fused = fuse_scales(grids, how)
    # Half of eps is the share that one rounding loses.
    bound = ROUNDINGS * np.finfo(np.float32).eps / 2
    np.testing.assert_allclose(fused.scores, slow_fusion(grids, how), rtol=bound, atol=0)
    assert fused.kind == "probabilities"
    assert fused.geometry == finest(grids).geometry


def centres(grid):
    """Of the cells, photo px: x (1, M) and y (N, 1)."""
    rows, columns = grid.geometry.grid_hw
    x = np.array([[grid.geometry.centre_xy(0, column)[0] for column in range(columns)]])
    return x, np.array([[grid.geometry.centre_xy(row, 0)[1]] for row in range(rows)])


def test_a_plane_stays_a_plane_and_is_held_past_the_outermost_centres():
    grids = [grid_at(scale, kind="probabilities", count=1) for scale in (2, 0.5)]
    (fine_x, fine_y), (x, y) = map(centres, grids)
    assert fine_x.min() < x.min()
    assert fine_y.max() > y.max()
    planes = [np.full_like(grids[0].scores, np.nan), ((x + y) / 1000)[:, :, None]]
    made = [
        replace(grid, scores=plane.astype(np.float32))
        for grid, plane in zip(grids, planes, strict=True)
    ]
    expected = np.clip(fine_x, x.min(), x.max()) + np.clip(fine_y, y.min(), y.max())
    np.testing.assert_allclose(fuse_scales(made).scores[:, :, 0], expected / 1000, atol=1e-6)


@pytest.mark.parametrize("kind", ["independent logits", "independent probabilities"])
def test_fused_independent_classes_stay_independent(kind):
    grids = [grid_at(scale, kind="probabilities") for scale in (1, 0.5)]
    grids = [replace(grid, kind=kind) for grid in grids]
    fused = fuse_scales(grids)
    assert fused.kind == "independent probabilities"
    np.testing.assert_allclose(fused.scores, slow_fusion(grids, "mean"), rtol=1e-5)


def test_one_grid_is_its_probabilities():
    grid = grid_at(0.37, missing=0.3)
    np.testing.assert_allclose(fuse_scales([grid]).scores, grid.probabilities(), atol=1e-6)


def test_a_cell_that_was_not_scored_takes_nothing_from_its_neighbours():
    grid = grid_at(0.37, stride=16)
    scores = grid.scores.copy()
    scores[3, 2] = np.nan
    fused = fuse_scales([replace(grid, scores=scores)])
    assert np.isnan(fused.scores[:, :, 0]).sum() == 1
    assert np.isnan(fused.scores[3, 2]).all()


def test_another_scale_fills_in_for_a_cell_that_was_not_scored():
    fine, coarse = grid_at(2), grid_at(1, seed=1)
    scores = fine.scores.copy()
    scores[3, 2] = np.nan
    alone = fuse_scales([replace(fine, scores=np.full_like(scores, np.nan)), coarse])
    for how in ("mean", "max"):
        fused = fuse_scales([replace(fine, scores=scores), coarse], how)
        np.testing.assert_allclose(fused.scores[3, 2], alone.scores[3, 2], atol=1e-6)


def test_rows_come_in_order_in_blocks_of_bounded_size(tmp_path):
    grids = [grid_at(scale, count=40) for scale in (1, 2)]
    # On disk, as large grids are.
    np.save(tmp_path / "scores.npy", grids[1].scores)
    grids[1] = replace(grids[1], scores=np.load(tmp_path / "scores.npy", mmap_mode="r"))
    bound = 3 * grids[1].scores[0].nbytes
    with patch("heatmap.localization.scales.BLOCK_BYTES", bound):
        blocks = list(fused_rows(grids, "mean"))
    assert max(block.nbytes for _, block in blocks) == bound
    assert [row for row, _ in blocks] == list(range(0, len(grids[1].scores), 3))
    whole = fuse_scales(grids, "mean").scores
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), whole)


def test_mean_is_the_default_and_origin_says_what_was_fused():
    grids = [grid_at(0.5), grid_at(2)]
    fused = fuse_scales(grids)
    np.testing.assert_array_equal(fused.scores, fuse_scales(grids, "mean").scores)
    assert (fused.origin.scales, fused.origin.fuse) == ((0.5, 2.0), "mean")
    assert fused.origin.computation == ORIGIN.computation
    assert fuse_scales(grids, "max").origin.fuse == "max"


def test_finest_is_by_distance_on_the_photo_not_by_scale():
    wide, narrow = grid_at(2, stride=32), grid_at(1, stride=8)
    assert finest([wide, narrow]) is narrow
    assert finest([narrow, wide]) is narrow


def test_scale_is_that_of_the_longer_side():
    assert scale_of(plan_grid((101, 400), Placement(scale=0.5), window=64, native_stride=32)) == 0.5
    assert scale_of(plan_grid((400, 101), Placement(scale=0.5), window=64, native_stride=32)) == 0.5


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (grid_at(2, photo_hw=(300, 411)), r"height and width .*\(300, 410\) and \(300, 411\)"),
        (grid_at(2, count=4), r"number of classes \(3 and 4\)"),
        (replace(grid_at(2), classes=ClassList(("a", "b", "c"))), "names of classes"),
        (grid_at(2, kind="probabilities"), r"kind \(logits and probabilities\)"),
        (replace(grid_at(2), origin=replace(ORIGIN, photo_digest="ab")), "photo"),
        (
            replace(grid_at(2), origin=replace(ORIGIN, weights=Weights("own", "made up", "ab"))),
            "weights",
        ),
    ],
)
def test_grids_that_do_not_belong_together_are_refused(other, message):
    with pytest.raises(ResultError, match=message) as refused:
        fuse_scales([grid_at(1), grid_at(0.5), other])
    assert "\n" not in str(refused.value)


def test_no_grid_and_an_unknown_way_are_refused():
    with pytest.raises(ResultError, match="no grid"):
        fuse_scales([])
    with pytest.raises(ResultError, match="'median': choose one of mean, max"):
        fuse_scales([grid_at(1)], "median")


def test_windows_are_fused_once_and_only_where_that_is_asked_for():
    grids = {"x1": grid_at(1), "x2": grid_at(2)}
    with patch("heatmap.localization.scales.fuse_scales", wraps=fuse_scales) as fuse:
        windows = Windows(grids, "max")
        assert (windows.finest, windows.several, windows.not_scored) == (grids["x2"], grids, 0)
        assert not fuse.called
        fused = fuse_scales(list(grids.values()), "max")
        for _ in range(2):
            np.testing.assert_array_equal(windows.grid.scores, fused.scores)
        assert fuse.call_count == 1


def test_windows_that_no_scale_scored_are_counted():
    grids = [grid_at(1, missing=0.7), grid_at(2, missing=0.7)]
    missing = int((~fuse_scales(grids).scored).sum())
    assert Windows({"x1": grids[0], "x2": grids[1]}).not_scored == missing > 0
    alone = Windows({"x1": grids[0]})
    assert (alone.not_scored, alone.several) == (int((~grids[0].scored).sum()), {})
