"""Areas: the class that wins at each pixel, beside all classes upsampled and compared."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassList
from heatmap.geometry import BORDERS, Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.grid.upsample import nearest, upsample
from heatmap.localization import areas as module
from heatmap.localization.areas import MOST_AREAS, OTHER, UNSCORED, areas_of, may_win

ORIGIN = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")
ROUNDING = 2e-5


def make_grid(scores, kind="probabilities", *, geometry=None, names=None) -> ScoreGrid:
    """A grid of these scores; without a geometry, cell (i, j) is a block of 8 x 8 px."""
    scores = np.asarray(scores, np.float32)
    rows, columns, classes = scores.shape
    if geometry is None:
        geometry = plan_grid((8 * rows, 8 * columns), window=8, native_stride=8)
    listed = ClassList(tuple(names)) if names else ClassList.numbered(classes)
    return ScoreGrid(scores, geometry, listed, kind, ORIGIN)


def one_hot(winners, classes=None) -> np.ndarray:
    winners = np.asarray(winners)
    return np.eye(classes or winners.max() + 1, dtype=np.float32)[winners]


def of_all_classes(grid: ScoreGrid, geometry) -> np.ndarray:
    """The slow way: every class at every pixel, (K, H, W)."""
    cells = np.nan_to_num(grid.probabilities())
    columns = [np.ascontiguousarray(cells[:, :, index]) for index in range(cells.shape[2])]
    return np.stack([upsample(column, geometry) for column in columns])


@st.composite
def grids(draw):
    """Grids of many shapes, in which classes win, tie, and lie close below others."""
    window, native = draw(st.integers(1, 24)), draw(st.integers(1, 16))
    border = draw(st.sampled_from(BORDERS))
    scale = draw(st.sampled_from([0.4, 1.0, 1.7]))
    smallest = int(np.ceil((window + 1) / scale)) if border == "valid" else 1
    side = st.integers(smallest, smallest + 60)
    stride = draw(st.sampled_from([step for step in (1, 2, 3, native) if native % step == 0]))
    geometry = plan_grid(
        (draw(side), draw(side)),
        Placement(stride, scale, border),
        window=window,
        native_stride=native,
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes = draw(st.sampled_from([1, 2, 3, 7, 40]))
    scores = random.normal(size=(*geometry.grid_hw, classes)) * draw(st.sampled_from([0.3, 2, 9]))
    if draw(st.booleans()):
        scores = scores.round()  # many are equal
    if draw(st.booleans()):
        scores[random.random(geometry.grid_hw) < 0.3] = np.nan
    kind = draw(st.sampled_from(["logits", "independent logits"]))
    return make_grid(scores, kind, geometry=geometry)


@settings(max_examples=20)
@given(grid=grids(), tile=st.sampled_from([5, 16, 128]))
def test_no_class_is_higher_than_the_one_that_wins(grid, tile):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TILE_PX", tile)
        patch.setattr(module, "_LEAST_TILE_PX", 2)
        patch.setattr(module, "_CELL_BYTES", 2000)
        winners = np.concatenate(list(module._winners_of_strips(grid, grid.geometry)))
    unscored = nearest(np.isnan(grid.scores[:, :, 0]), grid.geometry)
    np.testing.assert_array_equal(winners == -1, unscored)
    heats = of_all_classes(grid, grid.geometry)
    chosen = np.take_along_axis(heats, np.maximum(winners, 0)[None], axis=0)[0]
    assert (heats.max(axis=0) - chosen)[~unscored].max(initial=0) <= ROUNDING
    # Where one is clearly the highest, it is that one.
    if len(heats) > 1:
        second, first = np.sort(heats, axis=0)[-2:]
        clear = (first - second > 2 * ROUNDING) & ~unscored
        np.testing.assert_array_equal(winners[clear], heats.argmax(axis=0)[clear])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 12)),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_every_class_that_wins_between_cells_may_win(seed, shape, levels):
    cells = np.random.default_rng(seed).integers(0, levels, shape) / levels
    grid = make_grid(cells, "independent probabilities")
    heats = of_all_classes(grid, grid.geometry)
    others = [np.delete(heats, k, axis=0).max(axis=0, initial=-1) for k in range(len(heats))]
    wins = [(own - other).max() > ROUNDING for own, other in zip(heats, others, strict=True)]
    possible = may_win(np.asarray(cells, np.float32))
    assert not (np.array(wins) & ~possible).any()
    assert possible.any()


def test_a_class_that_wins_no_cell_may_win_between_two():
    grid = make_grid([[[0.9, 0.1, 0.6], [0.1, 0.9, 0.6]]])
    areas = areas_of(grid)
    assert [group.name for group in areas.groups] == ["class 0", "class 1", "class 2"]
    assert areas.fractions == (7 / 16, 7 / 16, 2 / 16)
    assert (areas.labels()[:, 7:9] == 2).all()


def test_few_classes_are_upsampled_where_few_can_win(monkeypatch):
    """Of many classes that lie below two others everywhere, none is."""
    scores = np.full((6, 6, 500), 0.001, np.float32)
    scores[:, :3, 7], scores[:, 3:, 7] = 0.8, 0.01
    scores[:, :3, 90], scores[:, 3:, 90] = 0.01, 0.8
    asked = []
    whole = module.upsample_part
    monkeypatch.setattr(module, "upsample_part", lambda *given: asked.append(1) or whole(*given))
    areas = areas_of(make_grid(scores))
    assert [group.indices for group in areas.groups] == [(7,), (90,)]
    assert len(asked) == 2
    # Nor of equal ones any but the first.
    equal = areas_of(make_grid(np.full((4, 4, 500), 0.002)))
    assert (equal.groups[0].indices, equal.fractions, len(asked)) == ((0,), (1.0,), 2)


@settings(max_examples=25)
@given(grid=grids())
def test_fractions_are_those_of_the_labels_and_add_to_1(grid):
    areas = areas_of(grid)
    labels = areas.labels()
    assert labels.shape == grid.geometry.photo_hw
    assert labels.dtype == np.uint8
    for label, fraction in enumerate(areas.fractions):
        assert fraction == pytest.approx((labels == label).mean(), abs=1e-12)
        assert fraction > 0
    assert areas.other == pytest.approx((labels == OTHER).mean(), abs=1e-12)
    assert areas.unscored == pytest.approx((labels == UNSCORED).mean(), abs=1e-12)
    assert sum(areas.fractions) + areas.other + areas.unscored == pytest.approx(1, abs=1e-12)
    assert list(areas.fractions) == sorted(areas.fractions, reverse=True)
    assert (len(areas.groups) == MOST_AREAS) or areas.others == 0
    assert (areas.other > 0) == (areas.others > 0)


def test_the_largest_areas_are_told_apart_and_the_rest_is_together():
    # Class 19 wins one cell more than class 18, and so on.
    winners = np.repeat(np.arange(20), np.arange(1, 21)).reshape(1, -1)
    geometry = plan_grid((1, winners.size), Placement(border="valid"), window=1, native_stride=1)
    areas = areas_of(make_grid(one_hot(winners), geometry=geometry))
    assert [group.indices[0] for group in areas.groups] == list(range(19, 19 - MOST_AREAS, -1))
    assert areas.fractions[0] == 20 / 210
    assert (areas.others, areas.other) == (12, 78 / 210)
    assert (areas.labels()[0] == np.where(winners[0] < 12, OTHER, 19 - winners[0])).all()


def test_background_counts_as_any_class():
    areas = areas_of(make_grid(one_hot([[0, 1, 1]]), names=("cat", "background")))
    assert [group.name for group in areas.groups] == ["background", "cat"]


def test_the_highest_of_independent_classes_wins_and_chance_is_left_out():
    # Corrected for chance, 1/2 each, both would be 0 in the first column.
    grid = make_grid([[[0.3, 0.4], [0.9, 0.2]]], "independent probabilities")
    assert areas_of(grid).labels()[0, [0, -1]].tolist() == [1, 0]
    assert areas_of(make_grid([[[0.3, 0.4]]])).groups[0].name == "class 1"


def test_of_equal_classes_the_first_wins():
    labels = areas_of(make_grid([[[0.5, 0.5], [0.4, 0.6]]])).labels()
    assert labels[0].tolist() == [1] * 4 + [0] * 12


def test_cells_without_scores_take_nothing_from_their_neighbours():
    scores = one_hot([[0, 0, 1]])
    scores[0, 1] = np.nan
    areas = areas_of(make_grid(scores))
    assert areas.labels()[0].tolist() == [0] * 8 + [UNSCORED] * 8 + [1] * 8
    assert areas.unscored == 1 / 3


def test_where_nothing_was_scored_there_are_no_areas():
    areas = areas_of(make_grid(np.full((2, 2, 3), np.nan)))
    assert (areas.groups, areas.fractions, areas.others) == ((), (), 0)
    assert (areas.other, areas.unscored) == (0, 1)
    assert (areas.labels() == UNSCORED).all()


def test_labels_of_a_smaller_picture_show_the_same_areas():
    areas = areas_of(make_grid(one_hot([[0, 1], [2, 0]])))
    small = areas.labels((4, 6))
    assert small.shape == (4, 6)
    assert small[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 1, 2, 0]


def test_tiles_are_low_where_their_cells_would_take_much_memory(monkeypatch):
    monkeypatch.setattr(module, "_CELL_BYTES", 2**18)
    geometry = plan_grid((140, 140), window=8, native_stride=1)
    scores = np.random.default_rng(0).normal(size=(*geometry.grid_hw, 40)).astype(np.float32)
    grid = make_grid(scores, "logits", geometry=geometry)
    tracemalloc.start()
    areas_of(grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Without the limit it is 9 MB, with it 1.3.
    assert peak < 3e6
