"""The names of results: safe ones, found again by the rule that they were written by."""

import os
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
    HEATMAP,
    PHOTOS,
    PICTURE,
    PYRAMID,
    THUMBNAIL,
    ResultNames,
    class_suffixes,
    photo_folder,
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


@settings(max_examples=100)
@given(name=st.text(max_size=200))
def test_a_slug_is_always_a_safe_file_name(name):
    part = slug(name)
    assert 1 <= len(part) <= 60
    assert part.isascii()
    assert all(letter.isalnum() or letter in "-_" for letter in part)
    assert not part.startswith("-")
    assert Path(f"cat.{part}.png").name == f"cat.{part}.png"


@pytest.mark.parametrize("stem", ["c" * 255, "\u732b" * 85, "\U0001f408" * 63, "\udcff" * 255])
def test_names_too_long_for_the_file_system_are_shortened_with_room_for_every_suffix(
    tmp_path, stem
):
    names = ResultNames.of_photo(tmp_path, f"photos/{stem}")
    classes = [ClassGroup("x" * 80, (999_998, 999_999)), ClassGroup("x" * 80, (999_998, 999_999))]
    longest = f"{class_suffixes(classes)[0]}{HEATMAP}"
    assert len(longest) == 84
    for suffix in (longest, f".x{1 / 3:g}.grid.scores.npy", ".coco.dataset.json", PYRAMID):
        names.path(suffix).write_bytes(b"")
        names.path(f"{suffix}.earlier").write_bytes(b"")
    assert names.stem.startswith(stem[:30])
    assert len(os.fsencode(names.stem)) <= 160
    # Read back, they are found again.
    assert ResultNames.of_description(names.path(DESCRIPTION)) == names


def test_a_name_that_fits_stays_and_long_ones_stay_different(tmp_path):
    assert ResultNames.of_photo(tmp_path, f"{'c' * 160}.jpg").stem == "c" * 160
    long = {ResultNames.of_photo(tmp_path, f"{'c' * 200}{end}.jpg").stem for end in "xyz"}
    assert len(long) == 3
    # A character is never cut in two.
    assert ResultNames.of_photo(tmp_path, "\u732b" * 60).stem.startswith("\u732b" * 50 + "-")


def test_names_are_shortened_alike_whether_the_folder_exists(tmp_path, monkeypatch):
    limits = {tmp_path: 143}
    monkeypatch.setattr("os.pathconf", lambda path, _: limits[Path(path)])
    limits[tmp_path / "out"] = 143
    exists = ResultNames.of_photo(tmp_path / "out", "c" * 100).stem
    del limits[tmp_path / "out"]

    def of_folders(path, _):
        if Path(path) not in limits:
            raise FileNotFoundError(path)
        return limits[Path(path)]

    monkeypatch.setattr("os.pathconf", of_folders)
    assert ResultNames.of_photo(tmp_path / "out", "c" * 100).stem == exists
    assert len(exists) == 143 - 95


@pytest.mark.parametrize("photo", ["a/b.jpg", f"{'a' * 255}/b.jpg", f"{'a' * 300}/{'猫' * 90}.jpg"])
def test_folders_of_photos_fit_part_by_part(tmp_path, photo):
    folder = photo_folder(tmp_path / "out", photo)
    (tmp_path / "out" / PHOTOS / folder).mkdir(parents=True)
    assert folder.count("/") == photo.count("/")
    assert (folder == photo) == (max(map(len, map(os.fsencode, photo.split("/")))) <= 255)


def test_a_path_too_long_as_a_whole_becomes_one_name(tmp_path):
    deep = "/".join(["d" * 200] * 19)
    folders = [photo_folder(tmp_path / "out", f"{deep}/{end}/cat.jpg") for end in "xy"]
    assert [folder[:8] for folder in folders] == ["cat.jpg-"] * 2
    assert folders[0] != folders[1]
    ResultNames.of_photo(tmp_path / "out" / PHOTOS / folders[0], "c" * 255).folder.mkdir(
        parents=True
    )
