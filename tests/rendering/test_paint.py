"""Painting rows of a photo: the same in any strips, and hatched where nothing was scored."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassList
from heatmap.errors import ResultError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.grid.upsample import nearest
from heatmap.rendering import overlay as rendering
from heatmap.rendering import paint as painting
from heatmap.rendering.legend import strip
from heatmap.rendering.overlay import overlay
from heatmap.rendering.paint import Painter, blend, hatching

PHOTO = np.random.default_rng(3).integers(0, 256, (130, 170, 3), dtype=np.uint8)


def make_grid(missing=None, scale=1.0) -> ScoreGrid:
    """Random probabilities of two classes, without the cells that are missing."""
    geometry = plan_grid(PHOTO.shape[:2], Placement(scale=scale), window=32, native_stride=16)
    first = np.random.default_rng(1).random((*geometry.grid_hw, 1), dtype=np.float32)
    scores = np.concatenate([first, 1 - first], axis=2)
    if missing is not None:
        scores[missing] = np.nan
    origin = Origin("", "", "vgg16", Weights("default", "default", ""), "slide", "exact")
    return ScoreGrid(scores, geometry, ClassList(("cat", "wall")), "probabilities", origin)


def painter(grid, colours=None) -> Painter:
    return Painter.of(grid, 0, alpha=0.7, color_range=colours)


@settings(max_examples=12)
@given(
    height=st.integers(1, 130),
    colours=st.sampled_from([None, (0.0, 0.5), (0.2, 0.7)]),
    scale=st.sampled_from([0.5, 1.0, 1.7]),
    missing=st.sampled_from([None, (0, 0), (slice(2), slice(3)), slice(None)]),
)
def test_strips_of_any_height_make_the_picture_of_the_whole(height, colours, scale, missing):
    one = painter(make_grid(missing, scale), colours)
    strips = [one.paint(PHOTO[top : top + height], top) for top in range(0, 130, height)]
    # Positions of rows count from the first one: a rounding may fall to the other level.
    difference = np.concatenate(strips).astype(int) - one.paint(PHOTO)
    assert np.abs(difference).max() <= 3
    assert (difference != 0).mean() < 0.01


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.3])
def test_every_pixel_takes_the_cell_whose_centre_is_nearest(scale):
    grid = make_grid(scale=scale)
    cells, geometry = grid.class_map(0), grid.geometry
    rows, columns = geometry.grid_hw
    down = np.array([geometry.centre_xy(row, 0)[1] for row in range(rows)])
    across = np.array([geometry.centre_xy(0, column)[0] for column in range(columns)])
    found = nearest(cells, geometry)
    for y in range(0, 130, 7):
        for x in range(0, 170, 3):
            row = np.abs(down - (y + 0.5)).argmin()
            column = np.abs(across - (x + 0.5)).argmin()
            assert found[y, x] == cells[row, column]
    np.testing.assert_array_equal(nearest(cells, geometry, (40, 71)), found[40:71])


def test_pixels_of_windows_that_were_not_scored_are_hatched_and_no_others():
    grid = make_grid((slice(3), slice(4)))
    unknown = np.isnan(nearest(grid.class_map(0), grid.geometry))
    assert 0 < unknown.mean() < 0.5
    picture = overlay(PHOTO, grid, 0, legend=False)
    hatched = blend(PHOTO, hatching(PHOTO.shape[:2]))
    np.testing.assert_array_equal(picture[unknown], hatched[unknown])
    assert (picture[~unknown] != hatched[~unknown]).any(axis=1).mean() > 0.95
    filled = replace(grid, scores=np.nan_to_num(grid.scores, nan=0.0))
    plain = overlay(PHOTO, filled, 0, legend=False)
    np.testing.assert_array_equal(picture[~unknown], plain[~unknown])


def test_hatching_goes_on_without_a_seam_in_the_next_strip():
    whole = hatching((50, 40))
    np.testing.assert_array_equal(hatching((20, 40), top=30), whole[30:])
    assert len(np.unique(whole[..., 0])) == 2
    assert 128 < whole[0, 0, 3] < 255


@pytest.fixture
def captions(monkeypatch):
    """The captions that are drawn, as they are asked for."""
    drawn = []

    def recording(width, caption, size):
        drawn.append(caption)
        return strip(width, caption, size)

    monkeypatch.setattr(rendering, "strip", recording)
    return drawn


def test_the_legend_names_the_hatching_and_counts_the_windows(captions):
    overlay(PHOTO, make_grid((slice(3), slice(4))), 0)
    overlay(PHOTO, make_grid(), 0)
    (sample, meaning), none = (caption.key for caption in captions)
    assert meaning == "not scored: 12 of 80 windows"
    np.testing.assert_array_equal(sample[:40, :40], hatching((40, 40)))
    assert none is None


def test_a_grid_without_any_score_is_hatched_all_over(captions):
    picture = overlay(PHOTO, make_grid(slice(None)), 0)
    hatched = blend(PHOTO, hatching(PHOTO.shape[:2]))
    left = (picture.shape[1] - 170) // 2
    np.testing.assert_array_equal(picture[:130, left : left + 170], hatched)
    assert captions[0].key[1] == "not scored: 80 of 80 windows"


@pytest.mark.parametrize(
    ("highest", "end"),
    [(0, 0.1), (0.1, 0.1), (0.11, 0.2), (0.2, 0.2), (0.34, 0.5), (0.501, 1), (1, 1), (1.001, 1)],
)
def test_colours_end_at_the_next_round_probability(highest, end):
    assert painting.range_of(highest) == (0.0, end)


def test_colours_follow_the_highest_scored_window_or_the_range_given():
    grid = make_grid()
    # Of two classes, what exceeds one half counts: at most 0.4 of the way to 1.
    low = replace(grid, scores=grid.scores * np.float32(0.7))
    some = low.scores.copy()
    some[0, 0] = np.nan
    for one in (low, replace(low, scores=some)):
        assert (painter(one).low, painter(one).high) == (0.0, 0.5)
    fixed = painter(low, (0.25, 0.75))
    assert (fixed.low, fixed.high) == (0.25, 0.75)
    nothing = painter(make_grid(slice(None)))
    assert (nothing.low, nothing.high) == (0.0, 0.1)


@pytest.mark.parametrize("impossible", [(-0.1, 0.5), (0, 1.1), (0.5, 0.5), (0.6, 0.4), (0, np.nan)])
def test_an_impossible_range_is_refused(impossible):
    with pytest.raises(ResultError, match=r"give two probabilities within 0\.\.1, the lower first"):
        painter(make_grid(), impossible)


def test_an_impossible_opacity_is_refused():
    with pytest.raises(ResultError, match=r"alpha is 1\.5"):
        Painter.of(make_grid(), 0, alpha=1.5)
