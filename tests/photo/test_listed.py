"""Listed photos are found however their names are spelled, and boxes cut to them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from heatmap import ResultError
from heatmap.photo.annotations import BoxedPhoto, BoxFile, LabelledBox
from heatmap.photo.listed import listed_name, on_photos
from heatmap.runs.sources import gather


@pytest.fixture
def folder(tmp_path):
    """Photos of 60 x 40 px; one name holds a backslash, one a sign of URLs."""
    for name in ("a.png", "sub/deep/b.JPG", "back\\slash.png", "my cat.png", "50%25.png", "é.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("sub/../a.png", "a.png"),
        ("sub\\deep\\b.JPG", "sub/deep/b.JPG"),
        (".\\sub\\deep/b.JPG", "sub/deep/b.JPG"),
        ("sub\\deep\\b.jpg", "sub/deep/b.JPG"),
        ("A.png", "A.png"),
        ("a.PNG", "a.png"),
        ("back\\slash.png", "back\\slash.png"),
        ("my%20cat.png", "my cat.png"),
        ("sub%5Cdeep%5Cb.JPG", "sub%5Cdeep%5Cb.JPG"),
        ("50%25.png", "50%25.png"),
        ("%C3%A9.png", "é.png"),
        ("gone\\c.png", "gone\\c.png"),
        ("nul\0.png", "nul\0.png"),
        ("x" * 300 + ".png", "x" * 300 + ".png"),
        ("", ""),
    ],
)
def test_a_listed_name_is_that_of_the_file_it_means(folder, listed, found):
    assert listed_name(folder, listed) == found


def test_a_file_of_the_literal_name_comes_before_any_other_reading(folder):
    for name in ("sub\\x.png", "sub/x.png"):
        Image.new("RGB", (60, 40)).save(folder / name)
    assert listed_name(folder, "sub\\x.png") == "sub\\x.png"
    assert listed_name(folder, str(folder / "a.png")) == str(folder / "a.png")


def cut(folder, *boxes, file="a.png", hw=None):
    listed = BoxedPhoto(file, hw, tuple(LabelledBox("cat", xyxy) for xyxy in boxes))
    found = on_photos(BoxFile("boxes.json", (listed,)), folder)
    return [box.xyxy for box in found.photos[0].boxes], found.cut


@pytest.mark.parametrize(
    ("xyxy", "kept", "count"),
    [
        ((0, 0, 60, 40), (0, 0, 60, 40), 0),
        # Rounding is cut without a word.
        ((-1, -1, 61, 41), (0, 0, 60, 40), 0),
        ((0.5, 0, 60.9, 9), (0.5, 0, 60, 9), 0),
        # Up to 3 px, or 5 % of the box's side.
        ((-3, 0, 20, 9), (0, 0, 20, 9), 1),
        ((50, 30, 63, 43), (50, 30, 60, 40), 1),
        ((0, 0, 60, 42.0), (0, 0, 60, 40), 1),
        ((-3, -3, 63, 43), (0, 0, 60, 40), 1),
        # Half of a small box.
        ((56, 0, 64, 8), None, 0),
        ((57, 0, 62.9, 8), (57, 0, 60, 8), 1),
        ((-3, 0, 2, 9), None, 0),
        ((-3.2, 0, 20, 9), None, 0),
        ((0, 0, 64, 40), None, 0),
        ((70, 0, 80, 9), None, 0),
        ((60, 0, 61, 9), None, 0),
        ((-0.5, 5, 0, 9), None, 0),
    ],
)
def test_boxes_a_little_outside_are_cut_and_those_further_left_as_they_are(
    folder, xyxy, kept, count
):
    assert cut(folder, xyxy) == ([kept or xyxy], count)


def test_a_twentieth_of_a_long_side_may_lie_outside(folder):
    Image.fromarray(np.zeros((100, 1000, 3), np.uint8)).save(folder / "wide.png")
    assert cut(folder, (100, 0, 1045, 9), file="wide.png") == ([(100, 0, 1000, 9)], 1)
    assert cut(folder, (100, 0, 1048, 9), file="wide.png") == ([(100, 0, 1048, 9)], 0)
    assert cut(folder, (0, 0, 9, 106), file="wide.png")[1] == 0


@pytest.mark.parametrize("hw", [(40, 61), (60, 40)])
def test_photos_of_another_size_or_missing_stay_for_those_who_refuse_them(folder, hw):
    assert cut(folder, (-2, 0, 9, 9), hw=hw) == ([(-2, 0, 9, 9)], 0)
    assert cut(folder, (-2, 0, 9, 9), file="gone.png") == ([(-2, 0, 9, 9)], 0)


def test_two_spellings_of_one_photo_are_told(folder):
    photos = tuple(BoxedPhoto(name, None, ()) for name in ("sub/deep/b.JPG", "sub\\deep\\b.JPG"))
    with pytest.raises(ResultError, match=r"'sub/deep/b.JPG' is listed twice under diff"):
        on_photos(BoxFile("boxes.json", photos), folder)


def test_a_list_of_photos_for_a_batch_may_have_backslashes(folder):
    (folder / "list.txt").write_text("sub\\deep\\b.JPG\na.png\nback\\slash.png\n")
    found = gather([folder / "list.txt"], folder / "out")
    names = [os.path.relpath(item.path, folder) for item in found.photos]
    assert names == ["a.png", "back\\slash.png", "sub/deep/b.JPG"]
