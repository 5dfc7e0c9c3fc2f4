"""Pictures of areas: colours, borders and hatching over the photo, and the legend below it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassList
from heatmap.errors import ResultError
from heatmap.geometry import plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.areas import MOST_AREAS, areas_of
from heatmap.photo.photo import Photo
from heatmap.rendering import areas_picture as module
from heatmap.rendering.areas_picture import areas_picture, share_text
from heatmap.rendering.legend import narrowest_px, text_px
from heatmap.rendering.paint import blend, hatching

COLOURS = np.random.default_rng(5).integers(0, 256, (MOST_AREAS, 3), dtype=np.uint8)
CELL_PX = 40


def made_areas(winners, names=None):
    """Areas of cells of 40 x 40 px; -1 was not scored."""
    winners = np.asarray(winners)
    classes = len(names) if names else winners.max() + 1
    scores = np.eye(classes, dtype=np.float32)[winners]
    scores[winners < 0] = np.nan
    hw = tuple(CELL_PX * side for side in winners.shape)
    geometry = plan_grid(hw, window=CELL_PX, native_stride=CELL_PX)
    listed = ClassList(tuple(names)) if names else ClassList.numbered(classes)
    origin = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")
    return areas_of(ScoreGrid(scores, geometry, listed, "probabilities", origin))


def made_photo(areas) -> Photo:
    hw = areas.grid.geometry.photo_hw
    return Photo(np.random.default_rng(3).integers(0, 256, (*hw, 3), dtype=np.uint8))


def drawn_photo(areas, **options) -> np.ndarray:
    """The photo in its picture, without the legend."""
    height, width = areas.grid.geometry.photo_hw
    picture = areas_picture(made_photo(areas), areas, COLOURS, **options)
    left = (picture.shape[1] - width) // 2
    return picture[:height, left : left + width]


def middle(row, column) -> tuple[slice, slice]:
    """The middle of a cell, away from borders."""
    return tuple(slice(CELL_PX * at + 10, CELL_PX * at + 30) for at in (row, column))


@pytest.fixture
def texts(monkeypatch):
    """What is written into pictures, in order."""
    written = []
    write = module.write

    def recording(line, text, *where):
        written.append(text)
        write(line, text, *where)

    monkeypatch.setattr(module, "write", recording)
    return written


@settings(max_examples=20)
@given(alpha=st.floats(0, 1))
def test_each_pixel_has_the_colour_of_its_area_over_the_photo(alpha):
    areas = made_areas([[0, 1, 1], [0, 1, 1]])  # class 1 is the first area
    photo, drawn = made_photo(areas).pixels, drawn_photo(areas, alpha=alpha)
    for row, column, place in ((0, 0, 1), (1, 1, 0), (1, 2, 0)):
        where = middle(row, column)
        over = np.array([*COLOURS[place], round(255 * alpha)], np.uint8)
        rgba = np.broadcast_to(over, (20, 20, 4))
        np.testing.assert_array_equal(drawn[where], blend(photo[where], rgba))


def test_what_was_not_scored_is_hatched():
    areas = made_areas([[0, -1], [0, 0]])
    where = middle(0, 1)
    hatched = blend(made_photo(areas).pixels, hatching((80, 80)))
    np.testing.assert_array_equal(drawn_photo(areas)[where], hatched[where])


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_the_picture_is_the_same_in_any_strips(monkeypatch, rows):
    areas = made_areas([[0, 1, -1], [2, 1, 0]])
    whole = drawn_photo(areas)
    monkeypatch.setattr(module, "STRIP_PX", rows)
    np.testing.assert_array_equal(drawn_photo(areas), whole)


def test_borders_lie_where_areas_meet_and_nowhere_else():
    areas = made_areas([[0, 1]])
    labels = areas.labels()
    lined = (drawn_photo(areas, alpha=0) != made_photo(areas).pixels).any(axis=2)
    edge = int(np.flatnonzero(np.diff(labels[0].astype(int)))[0])
    assert lined[:, edge : edge + 3].all()
    assert not lined[:, :edge].any()
    assert not lined[:, edge + 3 :].any()
    # Light inside dark.
    row = drawn_photo(areas, alpha=0)[20, edge : edge + 3].sum(axis=1)
    assert row.tolist() == [3 * 20, 3 * 255, 3 * 20]
    alone = made_areas([[0, 0]])
    np.testing.assert_array_equal(drawn_photo(alone, alpha=0), made_photo(alone).pixels)


def test_the_legend_names_classes_with_their_shares(texts):
    areas = made_areas([[1, 1, 1, 0, -1]], names=("grass", "gravel"))
    areas_picture(made_photo(areas), areas, COLOURS)
    assert texts == ["gravel", "60.0 %", "grass", "20.0 %", "not scored", "20.0 %"]


def test_without_a_legend_it_has_the_size_of_the_photo(texts):
    areas = made_areas([[1, 1, 0]])
    photo = made_photo(areas)
    bare = areas_picture(photo, areas, COLOURS, legend=False)
    whole = areas_picture(photo, areas, COLOURS)
    assert bare.shape == photo.pixels.shape
    left = (whole.shape[1] - bare.shape[1]) // 2
    shown = whole[: len(bare), left : left + bare.shape[1]]
    np.testing.assert_array_equal(bare, shown)


def test_the_legend_has_a_sample_of_each_colour():
    areas = made_areas([[1, 1, 1, 0]])
    picture = areas_picture(made_photo(areas), areas, COLOURS, alpha=1)
    legend = picture[CELL_PX:].reshape(-1, 3)
    size = round(1.1 * text_px((40, 160)))
    for colour in COLOURS[:2]:
        assert (legend == colour).all(axis=1).sum() == size**2
    assert not (legend == COLOURS[2]).all(axis=1).any()


def test_classes_past_the_last_that_is_told_apart_are_other_classes(texts):
    areas = made_areas([np.arange(MOST_AREAS + 2).repeat(2)])
    picture = areas_picture(made_photo(areas), areas, COLOURS)
    assert texts[-2:] == ["2 other classes", "20.0 %"]
    assert len(texts) == 2 * (MOST_AREAS + 1)
    assert picture.shape[1] == 2 * (MOST_AREAS + 2) * CELL_PX


def test_classes_without_room_in_the_legend_are_counted(texts):
    """A photo one cell wide has room for a single column."""
    areas = made_areas(np.arange(MOST_AREAS + 2).repeat(2)[:, None].tolist() + [[-1]] * 2)
    picture = areas_picture(made_photo(areas), areas, COLOURS)
    lines = module._MOST_LINES
    assert len(texts) == 2 * lines
    assert texts[-4:] == [f"+{MOST_AREAS + 2 - (lines - 2)} more", "45.5 %", "not scored", "9.1 %"]
    size = text_px(areas.grid.geometry.photo_hw)
    assert picture.shape[1] == narrowest_px(size)


@settings(max_examples=20)
@given(
    classes=st.integers(1, 20),
    width=st.integers(221, 2000),
    length=st.integers(1, 60),
    unscored=st.booleans(),
)
def test_entries_fit_and_say_where_all_pixels_are(classes, width, length, unscored):
    winners = list(range(classes)) + [-1] * unscored
    areas = made_areas([winners], names=["W" * length] * classes)
    table = module._table(areas, COLOURS, 0.5)
    columns = module._columns(areas, table, width, 13)
    assert sum(entry.share for column in columns for entry in column) == pytest.approx(1)
    assert max(len(column) for column in columns) <= module._MOST_LINES
    if len(columns) > 1:
        wide = [module._column_px(column, 13) for column in columns]
        assert sum(wide) + module._gap_px(13) * (len(wide) - 1) <= width


@pytest.mark.parametrize("name", ["x" * 300, "a\nb", "\ud800", "Кошка 猫"])
def test_names_of_any_kind_stay_beside_their_shares(name):
    areas = made_areas([[0, 1, 1]], names=(name, "b"))
    picture = areas_picture(made_photo(areas), areas, COLOURS)
    size = text_px((40, 120))
    assert picture.shape[1] == narrowest_px(size)
    # Paper at the right.
    assert (picture[CELL_PX:, -size // 2 :] == picture[-1, 0]).all()


def test_names_without_room_are_cut(texts):
    areas = made_areas([[0, 1, 1]], names=("x" * 300, "b"))
    areas_picture(made_photo(areas), areas, COLOURS)
    assert texts[0::2][1].startswith("xxx")
    assert texts[0::2][1].endswith("x…")


def test_large_photos_are_shrunk():
    areas = made_areas([[0, 1, 0, 1], [1, 1, 0, 0]])
    small = areas_picture(made_photo(areas), areas, COLOURS, longest_px=80)
    size = text_px((40, 80))
    assert small.shape[1] == narrowest_px(size)
    left = (small.shape[1] - 80) // 2
    assert (small[:40, :left] == small[-1, 0]).all()
    assert (small[:40, left : left + 80].std(axis=(0, 1)) > 10).all()


def test_shares_are_never_rounded_to_none_or_all():
    assert [share_text(share) for share in (0, 0.0004, 0.0005, 0.9994, 0.9995, 1)] == [
        "0 %",
        "< 0.1 %",
        "0.1 %",
        "99.9 %",
        "> 99.9 %",
        "100 %",
    ]


def test_wrong_sizes_colours_and_opacities_are_refused():
    areas = made_areas([[0, 1]])
    photo = made_photo(areas)
    with pytest.raises(ResultError, match="photo is 80 x 39 px, the scored one was 80 x 40 px"):
        areas_picture(Photo(photo.pixels[1:]), areas, COLOURS)
    with pytest.raises(ResultError, match="1 colours for 2 areas"):
        areas_picture(photo, areas, COLOURS[:1])
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(ResultError, match="alpha is"):
            areas_picture(photo, areas, COLOURS, alpha=alpha)
