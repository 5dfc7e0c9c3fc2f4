"""Overlays, comparisons, and what their legends say."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from heatmap.classes import ClassList
from heatmap.errors import ClassError, PhotoError, ResultError
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.photo.photo import read_photo
from heatmap.rendering import overlay as rendering
from heatmap.rendering.comparison import comparison
from heatmap.rendering.legend import Caption, narrowest_px, strip, text_px
from heatmap.rendering.overlay import encode_image, overlay, write_image
from heatmap.rendering.paint import blend, colour_table, paint, to_levels

NAMES = ("Egyptian cat", "everything", "nothing", "half")
WHERE_HOT = (60, 90)  # a pixel (y, x) of the photo below


def make_photo(height=120, width=180):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


DEFAULT = Weights("default", "default", "")


def make_grid(photo, *, weights=DEFAULT, stride=4):
    """Scores: a bump at WHERE_HOT reaching 0.9, and classes of 1, 0 and 0.5 everywhere."""
    geometry = plan_grid(photo.shape[:2], Placement(stride=stride), window=32, native_stride=32)
    rows, columns = geometry.grid_hw
    scores = np.zeros((rows, columns, len(NAMES)), np.float32)
    for row in range(rows):
        for column in range(columns):
            x, y = geometry.centre_xy(row, column)
            away = (y - WHERE_HOT[0]) ** 2 + (x - WHERE_HOT[1]) ** 2
            scores[row, column] = 0.9 * np.exp(-away / 800), 1, 0, 0.5
    origin = Origin("", "", "vgg16", weights, "slide", "exact")
    return ScoreGrid(scores, geometry, ClassList(NAMES), "probabilities", origin)


@pytest.fixture
def captions(monkeypatch):
    """The captions that are drawn, as they are asked for."""
    drawn = []

    def recording(width: int, caption: Caption, size: int):
        drawn.append(caption)
        return strip(width, caption, size)

    monkeypatch.setattr(rendering, "strip", recording)
    return drawn


# --- Colours ---


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


@pytest.mark.parametrize("opacity", [-0.1, 1.01, float("nan")])
def test_an_opacity_out_of_range_is_refused(opacity):
    with pytest.raises(ResultError, match=r"opacity is .*: it must be within 0\.\.1"):
        colour_table(opacity)


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


# --- Overlay ---


def test_no_score_leaves_the_photo_and_a_full_one_shows_through():
    photo = make_photo()
    grid = make_grid(photo)
    np.testing.assert_array_equal(overlay(photo, grid, "nothing", legend=False), photo)
    solid = overlay(photo, grid, "everything", opacity=1, legend=False)
    assert (solid == colour_table(1)[255, :3]).all()
    half = overlay(photo, grid, "everything", opacity=0.5, legend=False)
    expected = (photo.astype(float) + solid) / 2
    assert np.abs(half - expected).max() <= 1


def test_the_colours_are_where_the_score_is():
    photo = np.full((120, 180, 3), 128, np.uint8)
    picture = overlay(photo, make_grid(photo), "Egyptian cat", legend=False)
    changed = np.abs(picture.astype(int) - photo).sum(axis=2)
    assert changed[WHERE_HOT] > 100
    assert changed[:15].max() < 40
    grid = make_grid(photo)
    heat = grid.heatmap("Egyptian cat")
    expected = blend(photo, colour_table(0.7)[to_levels(heat, 0, 1)])
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("stretch", [False, True])
def test_a_photo_of_several_strips_has_the_colours_of_the_whole_heatmap(stretch):
    photo = make_photo(700, 180)
    grid = make_grid(photo)
    # The hottest place lies in the last strip.
    grid = replace(grid, scores=grid.scores[::-1])
    heat = grid.heatmap(0)
    low, high = (heat.min(), heat.max()) if stretch else (0, 1)
    expected = blend(photo, colour_table(0.7)[to_levels(heat, low, high)])
    picture = overlay(photo, grid, 0, stretch=stretch, legend=False)
    # A value between two levels may be rounded to either.
    assert np.abs(picture.astype(int) - expected).max() <= 3
    assert (picture != expected).mean() < 1e-3


def test_drawing_takes_little_memory_beside_the_picture():
    photo = make_photo(3000, 1000)
    grid = make_grid(photo, stride=32)
    tracemalloc.start()
    overlay(photo, grid, 0, stretch=True, legend=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The heatmap of the whole alone would be 12 MB; what paints 256 rows takes 12 MB in all.
    assert peak < photo.nbytes + 15e6


def test_stretched_colours_reach_the_last_one():
    photo = make_photo()
    grid = make_grid(photo)
    heat = grid.heatmap(0)
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    coldest = np.unravel_index(heat.argmin(), heat.shape)
    picture = overlay(photo, grid, 0, opacity=1, stretch=True, legend=False)
    assert (picture[hottest] == colour_table(1)[255, :3]).all()
    assert (picture[coldest] == photo[coldest]).all()


def test_the_legend_lies_below_and_hides_nothing():
    photo = make_photo(240, 360)
    grid = make_grid(photo)
    bare = overlay(photo, grid, 0, legend=False)
    picture = overlay(photo, grid, 0)
    assert picture.shape[1] == 360
    assert picture.shape[0] > 240 + 4 * text_px((240, 360))
    np.testing.assert_array_equal(picture[:240], bare)
    assert picture[240:].max() > 200


def test_the_legend_of_a_fixed_range(captions):
    photo = make_photo()
    overlay(photo, make_grid(photo), "egy")
    assert captions[0].heading == "Egyptian cat"
    assert captions[0].ticks == ("0", "0.5", "1")
    assert captions[0].notes == ("probability, colours fixed to 0..1",)


def test_the_legend_names_a_stretched_range(captions):
    photo = make_photo()
    grid = make_grid(photo)
    overlay(photo, grid, 0, stretch=True)
    low, high = grid.heatmap(0).min(), grid.heatmap(0).max()
    assert captions[0].ticks[0] == f"{low:.3g}"
    assert captions[0].ticks[-1] == f"{high:.3g}"
    assert captions[0].notes == (f"probability, colours stretched to {low:.3g}..{high:.3g}",)


def test_a_flat_heatmap_cannot_be_stretched_and_the_legend_says_so(captions):
    photo = make_photo()
    picture = overlay(photo, make_grid(photo), "half", stretch=True)
    assert captions[0].table is None
    assert captions[0].notes[0].startswith("probability 0.5 everywhere")
    left = (picture.shape[1] - 180) // 2
    np.testing.assert_array_equal(picture[:120, left : left + 180], photo)


@pytest.mark.parametrize("weights", ["random", "random (seed 0)"])
def test_random_weights_are_named(captions, weights):
    photo = make_photo()
    overlay(photo, make_grid(photo, weights=Weights("random", weights, "")), 0)
    assert captions[0].notes[-1] == "vgg16, random weights: means nothing"


def test_a_file_called_random_is_not_random_weights(captions):
    photo = make_photo()
    overlay(photo, make_grid(photo, weights=Weights("file", "random_forest.pt", "")), 0)
    assert len(captions[0].notes) == 1


@pytest.mark.parametrize("hw", [(40, 60), (1, 1), (1, 700), (700, 1)])
def test_tiny_and_thin_photos_get_a_canvas_wide_enough_for_text(hw):
    photo = make_photo(*hw)
    picture = overlay(photo, make_grid(photo, stride=32), "nothing")
    width = max(hw[1], narrowest_px(text_px(hw)))
    assert picture.shape[1] == width
    left = (width - hw[1]) // 2
    np.testing.assert_array_equal(picture[: hw[0], left : left + hw[1]], photo)


def test_a_photo_may_be_a_path_or_already_read(tmp_path):
    photo = make_photo()
    grid = make_grid(photo)
    path = write_image(tmp_path / "photo.png", photo)
    expected = overlay(photo, grid, 0)
    for given_photo in (path, str(path), read_photo(photo)):
        np.testing.assert_array_equal(overlay(given_photo, grid, 0), expected)


def test_the_callers_photo_is_not_changed():
    photo = make_photo()
    before = photo.copy()
    grid = make_grid(photo)
    overlay(photo, grid, "everything")
    comparison(photo, grid.geometry, grid.class_map(0), grid.class_map(1), title="")
    np.testing.assert_array_equal(photo, before)


def test_a_photo_of_another_size_is_refused():
    photo = make_photo()
    grid = make_grid(photo)
    with pytest.raises(ResultError, match="photo is 90 x 60 px, the scored one was 180 x 120 px"):
        overlay(make_photo(60, 90), grid, 0)
    with pytest.raises(ResultError, match="photo is 120 x 180 px, the scored one was 180 x 120"):
        overlay(make_photo(180, 120), grid, 0)
    cells = grid.class_map(0)
    with pytest.raises(ResultError, match="photo is 60 x 90 px"):
        comparison(make_photo(60, 90), grid.geometry, cells, cells, title="")


def test_an_unknown_class_or_photo_is_refused():
    photo = make_photo()
    grid = make_grid(photo)
    with pytest.raises(ClassError, match="no class 'dog'"):
        overlay(photo, grid, "dog")
    with pytest.raises(PhotoError):
        overlay("no/such/photo.jpg", grid, 0)


# --- Captions ---


def ink_columns(picture):
    """Columns of a strip that hold anything but paper."""
    return np.flatnonzero((picture != picture[0, 0]).any(axis=(0, 2)))


@pytest.mark.parametrize(
    "text",
    [
        "entertainment center, home cinema and all that goes with it",
        "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft",
        "Кошка 猫 " * 9,
    ],
)
def test_long_text_is_wrapped_not_cut(text):
    size = 13
    width = narrowest_px(size)
    picture = strip(width, Caption(text), size)
    assert picture.shape[0] > strip(width, Caption("cat"), size).shape[0]
    columns = ink_columns(picture)
    assert columns.min() >= size // 2
    assert columns.max() < width - size // 2


@pytest.mark.parametrize("text", ["\ud800 cat", "a\0b", "\n\t", "😀", "قط", "\U0010ffff"])
def test_odd_text_is_drawn_or_replaced(text):
    assert strip(221, Caption("cat", notes=(text,)), 13).shape[1] == 221


def test_the_bar_shows_its_colours_from_left_to_right():
    table = colour_table(1)
    picture = strip(221, Caption("", table, ("0", "1")), 13)
    bar = picture[5]
    columns = ink_columns(picture[:10])
    assert np.abs(bar[columns[-1]].astype(int) - table[255, :3]).max() <= 2
    assert bar[columns[0]].std() == 0  # clear: grey shows through
    assert bar[columns[len(columns) * 3 // 4]].std() > 20


def test_letters_grow_with_the_picture_and_stay_legible():
    assert text_px((40, 60)) == text_px((1, 1)) >= 12
    assert text_px((3000, 4000)) > 4 * text_px((400, 600))


# --- Comparison ---


@pytest.fixture
def pair():
    """Two maps of one class that differ by 0.25 in one cell."""
    photo = make_photo()
    grid = make_grid(photo, stride=8)
    sliding = grid.class_map(0)
    cropping = sliding.copy()
    cropping[2, 3] += 0.25
    return photo, grid.geometry, sliding, cropping


def test_comparison_writes_ranges_and_the_largest_difference(captions, pair):
    photo, geometry, sliding, cropping = pair
    comparison(photo, geometry, sliding, cropping, title="cat, vgg16")
    by_heading = {caption.heading: caption for caption in captions}
    assert list(by_heading) == ["Sliding", "Cropping", "Absolute difference", "cat, vgg16"]
    assert by_heading["Sliding"].ticks == by_heading["Cropping"].ticks == ("0", "0.5", "1")
    assert by_heading["Absolute difference"].ticks == ("0", "0.125", "0.25")
    (note,) = by_heading["Sliding"].notes
    assert note == (
        f"probability {sliding.min():.3g}..{sliding.max():.3g}, mean {sliding.mean():.3g}"
    )
    assert by_heading["Absolute difference"].notes[0].startswith("difference 0..0.25, mean")
    assert all(caption.key is None for caption in captions)


def panels_of(picture, photo_hw):
    """The three panels of a comparison, cut out at the places they have by construction."""
    height, width = photo_hw
    size = text_px(photo_hw)
    column = max(width, narrowest_px(size))
    gap = max(2, size // 3)
    top = strip(3 * column + 2 * gap, Caption("t"), size).shape[0]
    starts = [i * (column + gap) + (column - width) // 2 for i in range(3)]
    return [picture[top : top + height, left : left + width] for left in starts]


def has_colour(panel):
    return np.ptp(panel.astype(int), axis=2) > 8


def test_comparison_colours_each_panel_where_its_values_are(pair):
    photo, geometry, sliding, cropping = pair
    picture = comparison(photo, geometry, sliding, cropping, title="t")
    slid, cropped, difference = panels_of(picture, photo.shape[:2])
    assert has_colour(slid)[WHERE_HOT]
    assert has_colour(cropped)[WHERE_HOT]
    assert not has_colour(difference)[WHERE_HOT]
    x, y = geometry.centre_xy(2, 3)
    # The largest difference, though only 0.25, has the last colour of the scale.
    assert has_colour(difference)[int(y), int(x)]
    ys, xs = np.nonzero(has_colour(difference))
    assert np.abs(ys + 0.5 - y).max() <= geometry.stride_px
    assert np.abs(xs + 0.5 - x).max() <= geometry.stride_px


def test_equal_maps_show_no_difference(captions, pair):
    photo, geometry, sliding, _ = pair
    picture = comparison(photo, geometry, sliding, sliding.copy(), title="t")
    assert not has_colour(panels_of(picture, photo.shape[:2])[2]).any()
    assert captions[2].notes == ("difference 0 everywhere",)
    assert captions[2].table is None


def test_cells_that_were_not_sampled_are_hatched_and_the_legend_says_so(captions, pair):
    photo, geometry, sliding, cropping = pair
    cropping[:, 4:] = np.nan
    picture = comparison(photo, geometry, sliding, cropping, title="t")
    missing = int(np.isnan(cropping).sum())
    assert captions[0].key is None
    for caption in captions[1:3]:
        assert caption.key is not None
        assert caption.key[1] == f"not sampled: {missing} of {cropping.size} windows"
    slid, cropped, difference = panels_of(picture, photo.shape[:2])
    # Nearest cells: the border between sampled and not is half-way between centres.
    border = (geometry.centre_xy(0, 3)[0] + geometry.centre_xy(0, 4)[0]) / 2
    dark = cropped.max(axis=2) < 110
    assert dark[:, int(border) :].all()
    assert not dark[:, : int(border)].any()
    np.testing.assert_array_equal(dark, difference.max(axis=2) < 110)
    assert not (slid.max(axis=2) < 60).any()


def test_hatching_has_stripes_of_two_greys(pair):
    _, geometry, sliding, cropping = pair
    plain = np.full((*geometry.photo_hw, 3), 200, np.uint8)
    unknown = np.full_like(cropping, np.nan)
    picture = comparison(plain, geometry, sliding, unknown, title="t")
    assert len(np.unique(panels_of(picture, geometry.photo_hw)[1])) == 2


def test_the_difference_of_sampled_cells_alone_sets_its_range(captions, pair):
    photo, geometry, sliding, cropping = pair
    cropping[:, 5:] = np.nan
    comparison(photo, geometry, sliding, cropping, title="t")
    assert captions[2].ticks == ("0", "0.125", "0.25")


def test_the_ground_of_a_comparison_is_as_light_as_the_photo_looks():
    geometry = plan_grid((30, 90), window=32, native_stride=32)
    photo = np.zeros((30, 90, 3), np.uint8)
    for channel in range(3):
        photo[:, 30 * channel : 30 * (channel + 1), channel] = 255
    cells = np.zeros(geometry.grid_hw, np.float32)
    panel = panels_of(comparison(photo, geometry, cells, cells, title="t"), (30, 90))[0]
    red, green, blue = panel[15, [15, 45, 75], 0]
    assert green > red > blue


def test_nothing_sampled_is_said(captions, pair):
    photo, geometry, sliding, cropping = pair
    comparison(photo, geometry, sliding, np.full_like(cropping, np.nan), title="t")
    assert captions[1].notes == ("no window was sampled",)
    assert captions[2].notes == ("no window was sampled",)


def test_a_large_photo_is_compared_at_panel_size():
    photo = make_photo(1500, 3000)
    geometry = plan_grid((1500, 3000), window=224, native_stride=32)
    cells = np.zeros(geometry.grid_hw, np.float32)
    cells[20, 50] = 1
    picture = comparison(photo, geometry, cells, cells, title="t")
    assert 3 * 1024 <= picture.shape[1] < 3 * 1024 + 100
    slid = panels_of(picture, (512, 1024))[0]
    ys, xs = np.nonzero(has_colour(slid))
    x, y = geometry.centre_xy(20, 50)
    assert xs.mean() + 0.5 == pytest.approx(x * 1024 / 3000, abs=1)
    assert ys.mean() + 0.5 == pytest.approx(y * 512 / 1500, abs=1)


def test_cells_of_another_shape_are_refused(pair):
    photo, geometry, sliding, cropping = pair
    with pytest.raises(ResultError, match=r"sliding is \(1, 1\), the geometry says"):
        comparison(photo, geometry, sliding[:1, :1], cropping, title="")
    with pytest.raises(ResultError, match=r"cropping is \(1, 1\), the geometry says"):
        comparison(photo, geometry, sliding, cropping[:1, :1], title="")
    other = replace(geometry, grid_hw=(1, 1))
    with pytest.raises(ResultError, match=r"sliding is .*, the geometry says \(1, 1\)"):
        comparison(photo, other, sliding, cropping, title="")


# --- Files ---


def test_a_picture_is_written_as_it_is(tmp_path):
    photo = make_photo()
    path = write_image(str(tmp_path / "new" / "cat.Egyptian-cat.png"), photo)
    read = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read, photo)
    assert path.read_bytes() == encode_image(photo)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_not_written(tmp_path, array):
    with pytest.raises(ResultError, match="a picture is uint8"):
        write_image(tmp_path / "x.png", array)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=r"x\.png: cannot be written"):
        write_image(tmp_path / "file" / "x.png", make_photo())
