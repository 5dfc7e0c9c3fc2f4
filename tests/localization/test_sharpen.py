"""Sharp maps and tight boxes of made-up positions whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap import ResultError, ScoreGrid, localize
from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Placement, iou, plan_grid
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.position_scores import PositionScores, mean_over, positions_of
from heatmap.grid.upsample import upsample
from heatmap.localization.detection import Detection
from heatmap.localization.sharpen import _level, sharp_maps, tighten

ORIGIN = Origin(
    "",
    "",
    "made up",
    Weights("own", "made up", ""),
    "slide",
    "exact",
    # Of so many that chance is nothing.
    network_classes=10**9,
    computation=Computation(threads=1),
)
CLASSES = ClassList(("wall", "cat", "dog"))
WALL, CAT, DOG = (CLASSES.single(index) for index in range(3))
PET = ClassGroup("pet", (1, 2))
# Windows of 4 x 4 positions, 16 px each.
STRIDE, MAP_HW = 16, (4, 4)
PHOTO_HW = (256, 320)


def scored(hot, scale=1.0, photo_hw=PHOTO_HW, logit=40.0) -> PositionScores:
    """A wall at all positions but the hot ones: (row, column): class, at 16 px each.

    Four hot positions take a window: its cat has 4 * 40 / 16 of the wall's 8.
    """
    windows = plan_grid(photo_hw, Placement(scale=scale), window=64, native_stride=STRIDE)
    geometry = positions_of(windows, MAP_HW, STRIDE)
    logits = np.zeros((*geometry.grid_hw, 3), np.float32)
    logits[:, :, 0] = 8
    for (row, column), index in hot.items():
        logits[row, column, index] = logit
    return PositionScores(
        ScoreGrid(mean_over(logits, MAP_HW), windows, CLASSES, "logits", ORIGIN),
        ScoreGrid(logits, geometry, CLASSES, "logits", ORIGIN),
        MAP_HW,
        1,
    )


def block(row, column, index=1, height=2, width=2):
    """Hot positions beside each other."""
    return {(row + i, column + j): index for i, j in np.ndindex(height, width)}


def square(one: PositionScores, row, column, height=2, width=2):
    """What a block of positions shows, photo px."""
    first = one.positions.geometry.window_xyxy(row, column)
    last = one.positions.geometry.window_xyxy(row + height - 1, column + width - 1)
    return (*first[:2], *last[2:])


def grown(box, px):
    left, top, right, bottom = box
    return left - px, top - px, right + px, bottom + px


def within(inner, outer) -> bool:
    return all(np.array(inner[:2]) >= outer[:2]) and all(np.array(inner[2:]) <= outer[2:])


def cats(windows: float, positions: float) -> PositionScores:
    """The same logit of the cat everywhere, which is not that of means."""
    one = scored({})
    at = np.float32([0, 1, 0])
    return replace(
        one,
        windows=replace(one.windows, scores=one.windows.scores + windows * at),
        positions=replace(one.positions, scores=one.positions.scores + positions * at),
    )


def independent(one: PositionScores) -> PositionScores:
    """The same of classes that do not exclude each other, so that chance takes nothing away."""
    windows, positions = (
        replace(grid, kind="independent logits") for grid in (one.windows, one.positions)
    )
    return replace(one, windows=windows, positions=positions)


def window_peak(scales, group) -> float:
    return max(float(one.windows.class_map(group).max()) for one in scales)


@pytest.mark.parametrize("scales", [(1.0,), (2.0, 1.0), (0.5, 1.0, 2.0)])
@pytest.mark.parametrize("groups", [[CAT], [DOG, CAT], [PET, WALL, CAT]])
def test_the_highest_value_is_the_probability_of_the_most_confident_window(scales, groups):
    given = [scored(block(3, 4) | block(1, 2, index=2, width=1), scale) for scale in scales]
    maps = sharp_maps(given, groups)
    assert maps.kind == "probabilities"
    assert maps.classes.names == tuple(group.name for group in groups)
    for place, group in enumerate(groups):
        assert window_peak(given, group) > 1e-3
        assert maps.scores[:, :, place].max() == pytest.approx(window_peak(given, group), rel=1e-6)
    assert maps.scores.min() >= 0


def test_of_one_scale_the_map_is_what_is_attributed_to_positions():
    one = scored(block(3, 4))
    attributed = one.attributed([CAT, PET]).scores
    found = sharp_maps([one], [CAT, PET]).scores
    peaks = [window_peak([one], group) for group in (CAT, PET)]
    np.testing.assert_allclose(found, attributed / attributed.max(axis=(0, 1)) * peaks, rtol=1e-5)


def test_several_scales_are_their_mean_on_the_finest():
    coarse, fine = scored(block(2, 3), 1.0), scored(block(5, 7), 2.0)
    maps = sharp_maps([coarse, fine], [CAT])
    assert maps.geometry == fine.positions.geometry
    attributed = [one.attributed([CAT]).scores[:, :, 0] for one in (coarse, fine)]
    geometry = coarse.positions.geometry
    expected = np.empty(maps.geometry.grid_hw)
    for row, column in np.ndindex(expected.shape):
        at = geometry.cell_at(*maps.geometry.centre_xy(row, column))
        y, x = (np.clip(side, 0, n - 1) for side, n in zip(at, geometry.grid_hw, strict=True))
        rows, columns = np.arange(geometry.grid_hw[0]), np.arange(geometry.grid_hw[1])
        near = np.outer(np.maximum(1 - abs(rows - y), 0), np.maximum(1 - abs(columns - x), 0))
        expected[row, column] = ((near * attributed[0]).sum() + attributed[1][row, column]) / 2
    expected *= window_peak([coarse, fine], CAT) / expected.max()
    np.testing.assert_allclose(maps.scores[:, :, 0], expected, rtol=1e-4, atol=1e-7)


def test_a_sharp_map_says_what_it_is():
    given = scored(block(3, 4))
    origin = sharp_maps([given], [CAT]).origin
    assert origin.is_sharp
    assert origin.computation.threads == 1
    assert not given.windows.origin.is_sharp


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("at", [(0, 0), (2, 5), (3, 1)])
def test_the_hottest_pixel_lies_in_the_hot_position(at, scale):
    one = scored({at: 1}, scale, logit=200.0)
    maps = sharp_maps([one], [CAT])
    heat = maps.heatmap("cat")
    assert heat.max() > 0.5
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    left, top, right, bottom = one.positions.geometry.window_xyxy(*at)
    assert left <= column + 0.5 <= right
    assert top <= row + 0.5 <= bottom
    # The heatmap of windows is less precise.
    assert (heat > 0.5).sum() < (one.windows.heatmap("cat") > 0.5).sum()


def test_a_class_of_which_nothing_is_seen_has_an_empty_map():
    one = scored(block(3, 4), logit=500.0)
    nowhere = replace(one.positions, scores=one.positions.scores - [[[0, 0, 1e4]]])
    windows = replace(one.windows, scores=mean_over(nowhere.scores, MAP_HW))
    maps = sharp_maps([replace(one, positions=nowhere, windows=windows)], [DOG, CAT])
    assert (maps.scores[:, :, 0] == 0).all()
    assert maps.scores[:, :, 1].max() > 0.5


def test_of_the_least_probabilities_nothing_overflows():
    """The most confident window has no position with a probability, another scale next to none."""
    sure = independent(cats(windows=9, positions=-500))
    unsure = independent(cats(windows=-90, positions=-90))
    maps = sharp_maps([sure, unsure], [CAT])
    assert np.isfinite(maps.scores).all()
    assert 0.5 < maps.scores.max() == pytest.approx(window_peak([sure], CAT), rel=1e-5)


def test_nothing_and_what_does_not_belong_together_are_refused():
    one = scored(block(3, 4))
    for scales, groups in [([], [CAT]), ([one], []), ([], [])]:
        with pytest.raises(ResultError, match="at least one scale, and at least one class"):
            sharp_maps(scales, groups)
    with pytest.raises(ResultError, match="height and width of the photo"):
        sharp_maps([one, scored(block(3, 4), photo_hw=(256, 300))], [CAT])


def objects(scales, groups=(CAT,), **options):
    windows = [one.windows for one in scales]
    return localize(windows, list(groups), conf=0.5, **options)


@pytest.mark.parametrize("scale", [0.75, 1.0, 2.0])
@pytest.mark.parametrize(
    ("height", "width"),
    [(2, 2), (1, 4), (5, 2), (5, 6)],
)
def test_the_box_lies_around_the_region(scale, height, width):
    one = scored(block(3, 4, height=height, width=width), scale)
    found = objects([one])
    boxes = tighten(found, sharp_maps([one], [CAT]), [CAT])
    assert boxes
    true = square(one, 3, 4, height, width)
    # It ends where three quarters of the heat are, within the region or near its edge.
    assert within(boxes[0].xyxy, grown(true, STRIDE / scale / 2))
    assert iou(true, boxes[0].xyxy) >= 0.5
    assert replace(boxes[0], xyxy=boxes[0].window_xyxy) == found[0]
    assert boxes[0].xyxy != boxes[0].window_xyxy


def test_boxes_of_one_object_become_one_and_the_most_confident_stays():
    one = scored(block(4, 5, height=3, width=3))
    found = objects([one], iou=1)
    assert len(found) > 4
    (only,) = tighten(found, sharp_maps([one], [CAT]), [CAT])
    assert (only.cell, only.confidence) == (found[0].cell, found[0].confidence)


def test_the_same_at_two_scales_is_one_object():
    scales = [scored(block(3, 4)), scored(block(6, 8, height=4, width=4), 2.0)]
    found = objects(scales, iou=1)
    assert {round(one.scale) for one in found} == {1, 2}
    assert len(tighten(found, sharp_maps(scales, [CAT]), [CAT])) == 1


def test_two_objects_stay_two():
    one = scored(block(2, 2) | block(9, 14))
    found = objects([one], iou=1)
    boxes = tighten(found, sharp_maps([one], [CAT]), [CAT])
    assert len(boxes) == 2
    squares = [square(one, 2, 2), square(one, 9, 14)]
    held = [[within(true, box.xyxy) for true in squares] for box in boxes]
    assert sorted(held) == [[False, True], [True, False]]


def test_two_classes_in_one_place_stay_two():
    one = scored(block(4, 5))
    boxes = tighten(objects([one], [CAT, PET]), sharp_maps([one], [CAT, PET]), [CAT, PET])
    assert sorted(box.name for box in boxes) == ["cat", "pet"]
    np.testing.assert_allclose(boxes[0].xyxy, boxes[1].xyxy, atol=1)


def test_a_flat_map_leaves_the_window():
    one = scored(block(4, 5))
    found = objects([one])[:1]
    maps = sharp_maps([one], [CAT])
    (flat,) = tighten(found, replace(maps, scores=np.zeros_like(maps.scores)), [CAT])
    assert flat == found[0]
    (unscored,) = tighten(found, replace(maps, scores=np.full_like(maps.scores, np.nan)), [CAT])
    assert unscored == found[0]


def test_a_class_without_a_map_is_refused():
    one = scored(block(4, 5))
    with pytest.raises(ResultError, match="no sharp map of 'cat'"):
        tighten(objects([one]), sharp_maps([one], [DOG]), [DOG])
    assert tighten([], sharp_maps([one], [DOG]), [DOG]) == ()


@settings(max_examples=25)
@given(
    photo_hw=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    scale=st.sampled_from([0.1, 0.3, 1.0]),
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.02, 0.3, 1.0]),
)
def test_boxes_stay_in_the_photo_and_meet_their_windows(photo_hw, scale, seed, share):
    rng = np.random.default_rng(seed)
    windows = plan_grid(photo_hw, Placement(scale=scale), window=64, native_stride=STRIDE)
    geometry = positions_of(windows, MAP_HW, STRIDE)
    scores = rng.random((*geometry.grid_hw, 1), dtype=np.float32)
    scores *= rng.random(scores.shape) < share
    maps = ScoreGrid(scores, geometry, ClassList(("cat",)), "probabilities", ORIGIN)
    cells = [tuple(int(rng.integers(side)) for side in windows.grid_hw) for _ in range(3)]
    found = [found_at(windows, cell) for cell in cells]
    for one in tighten(found, maps, [ClassGroup("cat", (0,))]):
        left, top, right, bottom = one.xyxy
        assert 0 <= left < right <= photo_hw[1]
        assert 0 <= top < bottom <= photo_hw[0]
        assert left < one.window_xyxy[2]
        assert one.window_xyxy[0] < right
        assert top < one.window_xyxy[3]
        assert one.window_xyxy[1] < bottom


def found_at(geometry, cell) -> Detection:
    """The window of a cell, cut to the photo."""
    left, top, right, bottom = geometry.window_xyxy(*cell)
    height, width = geometry.photo_hw
    box = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    return Detection(ClassGroup("cat", (0,)), 0.5, box, box, cell, 1.0, 0.5)


def test_the_box_holds_the_hottest_point_of_the_window():
    """Against the map upsampled to the photo itself."""
    rng = np.random.default_rng(0)
    windows = plan_grid(PHOTO_HW, window=64, native_stride=STRIDE)
    geometry = positions_of(windows, MAP_HW, STRIDE)
    scores = rng.random((*geometry.grid_hw, 1), dtype=np.float32) ** 8
    maps = ScoreGrid(scores, geometry, ClassList(("cat",)), "probabilities", ORIGIN)
    heat = upsample(scores[:, :, 0], geometry)
    for cell in [(0, 0), (5, 7), (12, 16)]:
        (one,) = tighten([found_at(windows, cell)], maps, [ClassGroup("cat", (0,))])
        left, top, right, bottom = (int(side) for side in one.window_xyxy)
        part = heat[top:bottom, left:right]
        row, column = np.unravel_index(part.argmax(), part.shape)
        point = (left + column, top + row, left + column + 1, top + row + 1)
        assert within(point, one.xyxy)


def test_two_classes_of_one_name_keep_their_own_boxes():
    one = scored(block(4, 5))
    twins = [ClassGroup("crane", CAT.indices), ClassGroup("crane", DOG.indices)]
    maps = sharp_maps([one], twins)
    found = objects([one])[:1]
    (first,) = tighten([replace(found[0], group=twins[0])], maps, twins)
    (alone,) = tighten(found, sharp_maps([one], [CAT]), [CAT])
    assert first.xyxy == alone.xyxy
    assert maps.scores[:, :, 0].max() > maps.scores[:, :, 1].max()


@given(
    seed=st.integers(0, 99),
    power=st.sampled_from([1, 4, 20]),
    share=st.sampled_from([0.1, 0.7, 0.75, 0.99]),
    hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_level_is_that_of_all_values_in_order(seed, power, share, hw):
    heat = np.random.default_rng(seed).random(hw, np.float32) ** power
    heat[heat < 0.1] = 0
    window = (0.0, 0.0, float(hw[1]), float(hw[0]))
    values = np.sort(heat, axis=None)[::-1].astype(np.float64)
    above = np.cumsum(values)
    found = _level(heat, window, 1, 1, (share, 0.25))
    # Sums in another order differ in their last bit.
    place = int(above.searchsorted(share * above[-1] * (1 - 1e-12)))
    assert found in values[place : place + 2]
