"""Overlays, what their legends say, and their files."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from heatmap.errors import ClassError, PhotoError, ResultError
from heatmap.grid.origin import Weights
from heatmap.photo.photo import read_photo
from heatmap.rendering.comparison import comparison
from heatmap.rendering.legend import narrowest_px, text_px
from heatmap.rendering.overlay import encode_image, overlay, write_image
from heatmap.rendering.paint import blend, colour_table, to_levels
from tests.support.overlays import WHERE_HOT, captions_drawn, make_grid, make_photo


@pytest.fixture
def captions(monkeypatch):
    return captions_drawn(monkeypatch, "heatmap.rendering.overlay")


def test_no_score_leaves_the_photo_and_a_full_one_shows_through():
    photo = make_photo()
    grid = make_grid(photo)
    np.testing.assert_array_equal(overlay(photo, grid, "nothing", legend=False), photo)
    solid = overlay(photo, grid, "everything", alpha=1, legend=False)
    assert (solid == colour_table(1)[255, :3]).all()
    half = overlay(photo, grid, "everything", alpha=0.5, legend=False)
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


@pytest.mark.parametrize("colours", [(0, 1), (0.3, 0.6)])
def test_a_photo_of_several_strips_has_the_colours_of_the_whole_heatmap(colours):
    photo = make_photo(700, 180)
    grid = make_grid(photo)
    # The hottest place lies in the last strip.
    grid = replace(grid, scores=grid.scores[::-1])
    heat = grid.heatmap(0)
    expected = blend(photo, colour_table(0.7)[to_levels(heat, *colours)])
    picture = overlay(photo, grid, 0, color_range=colours, legend=False)
    # A value between two levels may be rounded to either.
    assert np.abs(picture.astype(int) - expected).max() <= 3
    assert (picture != expected).mean() < 1e-3


def test_drawing_takes_little_memory_beside_the_picture():
    photo = make_photo(3000, 1000)
    grid = make_grid(photo, stride=32)
    tracemalloc.start()
    overlay(photo, grid, 0, legend=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The heatmap of the whole alone would be 12 MB; what paints 256 rows takes 12 MB in all.
    assert peak < photo.nbytes + 15e6


def test_a_narrow_range_colours_from_its_low_end_to_the_last_colour():
    photo = make_photo()
    grid = make_grid(photo)
    heat = grid.heatmap(0)
    picture = overlay(photo, grid, 0, alpha=1, color_range=(0.3, 0.6), legend=False)
    assert (picture[heat > 0.6] == colour_table(1)[255, :3]).all()
    np.testing.assert_array_equal(picture[heat <= 0.3], photo[heat <= 0.3])
    assert (picture != photo).any(axis=2).sum() > 100


def test_the_legend_lies_below_and_hides_nothing():
    photo = make_photo(240, 360)
    grid = make_grid(photo)
    bare = overlay(photo, grid, 0, legend=False)
    picture = overlay(photo, grid, 0)
    assert picture.shape[1] == 360
    assert picture.shape[0] > 240 + 4 * text_px((240, 360))
    np.testing.assert_array_equal(picture[:240], bare)
    assert picture[240:].max() > 200


def test_the_legend_names_the_range_of_the_colours(captions):
    photo = make_photo()
    grid = make_grid(photo)
    overlay(photo, grid, "egy")
    overlay(photo, grid, "half")
    overlay(photo, grid, "half", color_range=(0.2, 0.7))
    assert captions[0].heading == "Egyptian cat"
    assert [caption.ticks for caption in captions] == [
        ("0", "0.5", "1"),
        ("0", "0.25", "0.5"),
        ("0.2", "0.45", "0.7"),
    ]
    assert [caption.notes for caption in captions] == [
        ("probability, colours from 0 to 1",),
        ("probability, colours from 0 to 0.5",),
        ("probability, colours from 0.2 to 0.7",),
    ]


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
    with pytest.raises(ResultError, match="photo is 90 x 60 px"):
        comparison(make_photo(60, 90), grid.geometry, cells, cells, title="")


def test_an_unknown_class_or_photo_is_refused():
    photo = make_photo()
    grid = make_grid(photo)
    with pytest.raises(ClassError, match="no class 'dog'"):
        overlay(photo, grid, "dog")
    with pytest.raises(PhotoError):
        overlay("no/such/photo.jpg", grid, 0)


# Files.


def test_a_picture_is_written_as_it_is(tmp_path):
    photo = make_photo()
    path = write_image(str(tmp_path / "new" / "cat.Egyptian-cat.png"), photo)
    read = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read, photo)
    assert path.read_bytes() == encode_image(photo)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_a_jpeg_keeps_the_colour_of_single_pixels(tmp_path, suffix):
    lines = np.full((64, 64, 3), 128, np.uint8)
    lines[:, ::2] = 255, 0, 0
    path = write_image(tmp_path / f"lines{suffix}", lines)
    assert path.read_bytes()[:2] == b"\xff\xd8"
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]
    # Chroma shared by two columns would be off by more than 100.
    assert np.abs(read.astype(int) - lines).max() < 20


@pytest.mark.parametrize("name", ["cat.gif", "cat", "cat.tif", "cat.png.bmp"])
def test_a_suffix_of_another_format_is_refused(tmp_path, name):
    with pytest.raises(ResultError, match=r"written as \.png or \.jpg, not as"):
        write_image(tmp_path / name, make_photo())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hw", [(65_501, 1), (1, 65_501)])
def test_a_side_that_no_jpeg_has_is_refused(hw):
    long = np.zeros((*hw, 3), np.uint8)
    with pytest.raises(
        ResultError, match=r"a JPEG has at most 65,500 px a side: write it as \.png"
    ):
        encode_image(long, ".jpg")
    assert encode_image(long, ".png")
    assert encode_image(long[:65_500, :65_500], ".jpg")


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
