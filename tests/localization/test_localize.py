"""Objects from made-up grids whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from heatmap import ClassError, GeometryError, ResultError, ScoreGrid, localize
from heatmap.classes import ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.localization import localize as localizing
from heatmap.localization.auto_scales import scale_weights

# Of so many classes that chance is nothing.
ORIGIN = Origin(
    *("", "", "made up", Weights("own", "made up", ""), "slide", "exact"), network_classes=10**15
)


def grid_of(peaks: dict[tuple[int, int, int], float], scale: float = 1) -> ScoreGrid:
    """A grid of probabilities, 3 classes over a photo of 630 x 790 px, background class 0."""
    geometry = plan_grid((630, 790), Placement(scale=scale), window=224, native_stride=32)
    scores = np.zeros((*geometry.grid_hw, 3), np.float32)
    for (row, column, index), value in peaks.items():
        scores[row, column, index] = value
    scores[:, :, 0] = 0.2
    return ScoreGrid(
        scores, geometry, ClassList(("nothing", "cat", "cup")), "probabilities", ORIGIN
    )


def test_each_object_is_found_once_best_first():
    grid = grid_of({(2, 3, 1): 0.9, (2, 4, 1): 0.8, (3, 3, 1): 0.7, (10, 15, 2): 0.95})
    found = localize(grid)
    assert [(one.name, one.cell) for one in found] == [("cup", (10, 15)), ("cat", (2, 3))]
    assert found[1].confidence == pytest.approx(0.9)


def test_box_is_the_window_cut_to_the_photo():
    grid = grid_of({(0, 0, 1): 0.9})
    left, top, right, bottom = grid.geometry.window_xyxy(0, 0)
    assert top < 0 or left < 0
    assert localize(grid)[0].xyxy == (max(left, 0), max(top, 0), right, bottom)


def test_without_classes_only_winners_count():
    grid = grid_of({(2, 3, 1): 0.9, (2, 3, 2): 0.5})
    assert [one.name for one in localize(grid)] == ["cat"]
    assert [one.name for one in localize(grid, ["cup"])] == ["cup"]


def test_classes_are_searched_apart_from_each_other():
    grid = grid_of({(2, 3, 1): 0.9, (2, 4, 2): 0.8})
    assert [one.name for one in localize(grid, ["cup", "cat", "cat"])] == ["cat", "cup"]
    assert [one.name for one in localize(grid)] == ["cat", "cup"]


def independent(peaks: dict[tuple[int, int, int], float], scale: float = 1) -> ScoreGrid:
    """The same grid of classes that do not exclude each other."""
    return replace(grid_of(peaks, scale), kind="independent probabilities")


def test_independent_classes_are_searched_each_by_itself():
    peaks = {(2, 3, 1): 0.9, (2, 3, 2): 0.5, (10, 15, 2): 0.95, (2, 4, 2): 0.4}
    found = localize(independent(peaks))
    assert [(one.name, one.cell) for one in found] == [
        *(("cup", (10, 15)), ("cat", (2, 3)), ("cup", (2, 3))),
    ]
    assert [one.confidence for one in found] == pytest.approx([0.95, 0.9, 0.5])
    assert localize(independent(peaks), ["cat", "cup"]) == found
    # Of classes that exclude each other a window shows one.
    exclusive = localize(grid_of(peaks))
    assert [one.cell for one in exclusive] == [(10, 15), (2, 3), (2, 4)]


def test_at_most_so_many_of_all_independent_classes():
    grid = independent({(2, 3, 1): 0.9, (10, 3, 1): 0.6, (10, 15, 2): 0.7})
    found = localize(grid, max_det=2)
    assert [(one.name, one.cell) for one in found] == [("cat", (2, 3)), ("cup", (10, 15))]


@pytest.mark.parametrize("maps_bytes", [1, 2**26])
def test_many_independent_classes_are_searched_a_few_at_a_time(monkeypatch, maps_bytes):
    monkeypatch.setattr(localizing, "_MAPS_BYTES", maps_bytes)
    rng = np.random.default_rng(0)
    grids = [independent({}, scale) for scale in (1, 0.5)]
    names = ("background", *(f"thing {number}" for number in range(1, 40)))
    grids = [
        replace(
            grid,
            scores=rng.random((*grid.geometry.grid_hw, 40), np.float32) ** 9,
            classes=ClassList(names),
        )
        for grid in grids
    ]
    found = localize(grids, conf=0.85)
    assert len({one.name for one in found}) > 9
    # The background is only found if named.
    weighted = [
        replace(grid, scores=grid.scores * np.float32(weight))
        for grid, weight in zip(grids, scale_weights(each.geometry for each in grids), strict=True)
    ]
    assert found == localize(weighted, names[1:], conf=0.85)
    left = localize(grids, conf=0.85, exclude=names[1:3])
    assert left == tuple(one for one in found if one.name not in names[1:3])
    assert "background" in {one.name for one in localize(grids, names, conf=0.95)}


def test_windows_that_were_not_scored_are_never_found_of_independent_classes():
    grid = independent({(2, 3, 1): 0.9, (10, 15, 2): 0.95})
    scores = grid.scores.copy()
    scores[2, 3] = np.nan
    assert [one.cell for one in localize(replace(grid, scores=scores))] == [(10, 15)]
    nothing = replace(grid, scores=np.full_like(scores, np.nan))
    assert localize(nothing, conf=0) == ()


def test_thresholds():
    grid = grid_of({(2, 3, 1): 0.9, (2, 6, 1): 0.4})
    assert len(localize(grid, ["cat"], iou=0.5)) == 2
    assert len(localize(grid, ["cat"], iou=0.1)) == 1
    assert len(localize(grid, ["cat"], conf=0.5, iou=0.5)) == 1
    assert localize(grid, conf=0.95) == ()


def test_at_most_so_many_of_each_class():
    grid = grid_of({(2, 3, 1): 0.9, (10, 3, 1): 0.8, (10, 15, 2): 0.7})
    found = localize(grid, ["cat", "cup"], max_det=1)
    assert [(one.name, one.cell) for one in found] == [("cat", (2, 3)), ("cup", (10, 15))]
    assert localize(grid, ["cat", "cup"], max_det=2) == localize(grid, ["cat", "cup"])


def test_windows_of_all_scales_compete():
    # Each window of scale 2 covers a quarter of one of scale 1: 0.25 of their union.
    large, small = grid_of({(6, 8, 1): 0.8}), grid_of({(15, 19, 1): 0.9}, scale=2)
    left, top, right, bottom = large.geometry.window_xyxy(6, 8)
    x, y = small.geometry.centre_xy(15, 19)
    assert left + 56 <= x <= right - 56
    assert top + 56 <= y <= bottom - 56
    found = localize([large, small], ["cat"])
    assert [(one.cell, one.scale) for one in found] == [((15, 19), 2)]
    both = localize([large, small], ["cat"], iou=0.3)
    assert [(one.cell, one.scale) for one in both] == [((15, 19), 2), ((6, 8), 1)]
    assert both[0].xyxy == small.geometry.window_xyxy(15, 19)
    assert localize([small, large], ["cat"], iou=0.3) == both


def test_without_classes_finer_scales_count_less():
    """630 px are 2.8 windows at scale 1, and twice as many at scale 2: 0.9 counts 0.64."""
    large, small = grid_of({(6, 8, 1): 0.8}), grid_of({(15, 19, 1): 0.9}, scale=2)
    first, second = localize([large, small], iou=0.3)
    assert [(one.cell, one.scale) for one in (first, second)] == [((6, 8), 1), ((15, 19), 2)]
    assert second.confidence == second.slide == pytest.approx(0.9 * 2**-0.5)
    (only,) = localize([small])
    assert only.confidence == pytest.approx(0.9)


def test_classes_left_out_win_no_window():
    grid = grid_of({(2, 3, 1): 0.9, (2, 3, 2): 0.5, (10, 15, 2): 0.7})
    assert [one.name for one in localize(grid, exclude=["cat"])] == ["cup"]
    assert [one.name for one in localize(grid, ["cat"], exclude=["cat"])] == ["cat"]
    with pytest.raises(ClassError, match="dog"):
        localize(grid, exclude=["dog"])


def test_scale_is_said_also_of_one_grid():
    assert [one.scale for one in localize(grid_of({(1, 1, 2): 0.9}, scale=0.5))] == [0.5]


def test_windows_that_were_not_scored_are_never_found():
    grid = grid_of({(2, 3, 1): 0.9, (10, 15, 2): 0.95})
    scores = grid.scores.copy()
    scores[2, 3] = scores[5, 5] = np.nan
    holed = replace(grid, scores=scores)
    for classes in (None, ["cat", "cup"]):
        assert [one.cell for one in localize(holed, classes)] == [(10, 15)]
    assert (5, 5) not in [one.cell for one in localize(holed, conf=0, iou=1)]
    nothing = replace(grid, scores=np.full_like(scores, np.nan))
    assert localize(nothing, conf=0) == ()


@settings(max_examples=15)
@given(
    scales=st.lists(st.sampled_from([0.25, 0.5, 1, 1.3, 2]), min_size=1, max_size=3),
    conf=st.sampled_from([0.0, 0.4, 0.9]),
    iou=st.sampled_from([0.0, 0.21, 0.5, 0.93]),
    levels=st.sampled_from([5, 10_000]),
    seed=st.integers(0, 99),
)
def test_the_same_windows_survive_as_in_torchvision(scales, conf, iou, levels, seed):
    rng = np.random.default_rng(seed)
    grids = [grid_of({}, scale) for scale in scales]
    # Of few levels, so that many scores are equal: the first of equals comes first.
    scores = [rng.integers(levels, size=grid.scores.shape).astype(np.float32) for grid in grids]
    grids = [replace(grid, scores=each / levels) for grid, each in zip(grids, scores, strict=True)]
    cells = [
        (which, cell, float(grid.scores[(*cell, 1)]))
        for which, grid in enumerate(grids)
        for cell in np.ndindex(*grid.geometry.grid_hw)
        if grid.scores[(*cell, 1)] >= conf
    ]
    boxes = [grids[which].geometry.window_xyxy(*cell) for which, cell, _ in cells]
    kept = nms(
        torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        torch.tensor([value for _, _, value in cells], dtype=torch.float64),
        iou,
    )
    expected = [(cells[index][2], cells[index][1], inside(boxes[index])) for index in kept]
    found = localize(grids, [1], conf=conf, iou=iou)
    assert sorted((one.confidence, one.cell, one.xyxy) for one in found) == sorted(expected)
    assert [one.confidence for one in found] == [score for score, _, _ in expected]


def inside(box):
    """A window cut to the photo."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], 790.0), min(box[3], 630.0)


@pytest.mark.slow
def test_a_million_windows_are_searched():
    geometry = plan_grid((32_200, 32_200), window=224, native_stride=32)
    random = np.random.default_rng(0).random((*geometry.grid_hw, 1), dtype=np.float32)
    grid = ScoreGrid(random, geometry, ClassList(("any",)), "probabilities", ORIGIN)
    assert random.size > 10**6
    found = localize(grid, conf=0.5)
    # None is nearer to another than the overlap allows: 5 cells along one axis.
    rows, columns = np.array([one.cell for one in found]).T
    taken = np.zeros(geometry.grid_hw, bool)
    taken[rows, columns] = True
    for step in range(1, 5):
        assert not (taken[step:] & taken[:-step]).any()
        assert not (taken[:, step:] & taken[:, :-step]).any()
    assert len(found) > 10**6 / 81


def test_what_makes_no_sense_is_refused():
    with pytest.raises(GeometryError, match=r"confidence threshold is 1\.5"):
        localize(grid_of({}), conf=1.5)
    with pytest.raises(ClassError, match="dog"):
        localize(grid_of({}), ["dog"])
    with pytest.raises(ResultError, match="no grid"):
        localize([])
    logits = replace(grid_of({}), kind="logits")
    with pytest.raises(ResultError, match=r"differ in kind \(probabilities and logits\)"):
        localize([grid_of({}), logits])
