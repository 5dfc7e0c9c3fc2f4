"""The names of results: safe ones, found again by the rule that they were written by."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.names import (
    AREAS,
    COMPARISON,
    DESCRIPTION,
    GRID,
    PICTURE,
    THUMBNAIL,
    ResultNames,
    class_suffixes,
    scale_name,
    scores_path,
    slug,
)


def test_results_lie_beside_their_description():
    names = ResultNames.of_photo("out", "photos/my.cat.jpg")
    assert names.path(GRID) == Path("out/my.cat.grid.npz")
    assert names.scale(scale_name(0.5)) == Path("out/my.cat.x0.5.grid.npz")
    assert scores_path(names.path(GRID)) == Path("out/my.cat.grid.scores.npy")
    assert ResultNames.of_description(names.path(DESCRIPTION)) == names


def test_the_results_of_an_array_have_a_name_too():
    assert ResultNames.of_photo(Path("out"), "").path(DESCRIPTION) == Path("out/photo.json")


def test_classes_of_one_slug_are_told_apart_by_their_indices():
    groups = [
        ClassGroup("crane", (134,)),
        ClassGroup("crane", (517,)),
        ClassGroup("Crane", (1, 2, 3)),
        ClassGroup("tabby cat", (281,)),
    ]
    assert class_suffixes(groups) == [".crane-134", ".crane-517", ".Crane-1-2", ".tabby-cat"]


@pytest.mark.parametrize("fixed", [PICTURE, AREAS, THUMBNAIL, COMPARISON])
def test_a_class_never_takes_the_name_of_another_picture(fixed):
    taken = fixed.removesuffix(".jpg")
    for name in (taken[1:], taken[1:].upper()):
        (suffix,) = class_suffixes([ClassGroup(name, (7,))])
        assert suffix == f".{name}-7"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Egyptian cat", "Egyptian-cat"),
        ("tabby, tabby cat", "tabby-tabby-cat"),
        ("jack-o'-lantern", "jack-o-lantern"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\dir\\cat.png", "C-dir-cat-png"),
        ('"quoted"', "quoted"),
        ("chatte égyptienne", "chatte-egyptienne"),
        ("class_7", "class_7"),
        (".hidden", "hidden"),
        ("a" * 60, "a" * 60),
    ],
)
def test_slugs(name, expected):
    assert slug(name) == expected


def test_slugs_of_names_with_nothing_left_or_too_long_stay_apart():
    assert slug("猫") != slug("犬")
    assert slug("").startswith("class-")
    assert slug("猫").startswith("class-")
    assert slug("\ud800").startswith("class-")
    long = [slug("a" * 80 + end) for end in "xy"]
    assert long[0] != long[1]
    assert all(len(part) == 60 for part in long)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(name=st.text(max_size=200))
def test_a_slug_is_always_a_safe_file_name(name):
    part = slug(name)
    assert 1 <= len(part) <= 60
    assert part.isascii()
    assert all(letter.isalnum() or letter in "-_" for letter in part)
    assert not part.startswith("-")
    assert Path(f"cat.{part}.png").name == f"cat.{part}.png"
