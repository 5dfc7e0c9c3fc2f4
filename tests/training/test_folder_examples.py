"""Examples from a folder a class: what they are, and how they are split."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatmap import ModelError, PhotoError
from heatmap.photo.decoding.formats import SUFFIXES
from heatmap.training.examples import Example, boxed_examples, folder_examples
from tests.support.paths import too_deep

PIXEL = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()


def touch(folder, *names, content=PIXEL):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def tree(tmp_path):
    touch(
        tmp_path,
        *(f"dog/{i}.jpg" for i in range(10)),
        *("cat/b.PNG", "cat/deep/a.Tiff", "cat/deep/er/c.heic", "Ant/a.jpg", "Ant/b.webp"),
        *("cat/notes.txt", "cat/.hidden.jpg", "cat/.x/e.jpg", ".git/a.jpg", "top.jpg"),
    )
    return tmp_path


def test_each_folder_is_a_class(tree):
    found = folder_examples(tree, validation_split=0)
    assert found.folder == tree
    assert found.classes == ("Ant", "cat", "dog")
    assert found.training == (
        Example("Ant/a.jpg", 0),
        Example("Ant/b.webp", 0),
        Example("cat/b.PNG", 1),
        Example("cat/deep/a.Tiff", 1),
        Example("cat/deep/er/c.heic", 1),
        *(Example(f"dog/{i}.jpg", 2) for i in range(10)),
    )
    assert found.validation == ()
    assert found.counts() == {"Ant": (2, 0), "cat": (3, 0), "dog": (10, 0)}


def test_a_class_of_the_name_of_the_background_is_refused(tree):
    touch(tree, "background/a.jpg", "background/b.jpg", "beside/a.jpg")
    with pytest.raises(PhotoError, match="background: is a class of the name of the background"):
        folder_examples(tree, background=tree / "beside")


def test_each_class_is_split_to_nearest_and_at_least_one_is_kept(tree):
    assert folder_examples(tree).counts() == {"Ant": (1, 1), "cat": (2, 1), "dog": (8, 2)}
    assert folder_examples(tree, validation_split=0.34).counts()["dog"] == (7, 3)
    assert folder_examples(tree, validation_split=0.99).counts()["dog"] == (1, 9)
    everything = folder_examples(tree, validation_split=0)
    found = folder_examples(str(tree), validation_split=0.4)
    assert sorted([*found.training, *found.validation], key=lambda one: one.photo) == sorted(
        everything.training, key=lambda one: one.photo
    )


def test_the_split_depends_on_seed_and_names_only(tree, tmp_path_factory, monkeypatch):
    first = folder_examples(tree)
    copy = tmp_path_factory.mktemp("copy")
    touch(copy, *(one.photo for one in reversed([*first.training, *first.validation])))
    for listed in (Path.iterdir, lambda path: reversed(list(Path.glob(path, "*")))):
        monkeypatch.setattr(Path, "iterdir", listed)
        second = folder_examples(copy)
        assert (second.training, second.validation) == (first.training, first.validation)
    # On any machine.
    assert sorted(one.photo for one in first.validation) == [
        "Ant/a.jpg",
        "cat/deep/er/c.heic",
        "dog/5.jpg",
        "dog/7.jpg",
    ]
    assert len({folder_examples(tree, seed=seed).validation for seed in range(9)}) > 5


def test_a_class_may_be_a_link(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    touch(elsewhere, "a.jpg", "b.jpg")
    (tree / "bee").symlink_to(elsewhere)
    (tree / "cat" / "again").symlink_to(elsewhere)
    found = folder_examples(tree, validation_split=0)
    assert [one.photo for one in found.training if one.label == 1] == ["bee/a.jpg", "bee/b.jpg"]
    assert found.counts()["cat"] == (3, 0)


FOLDERS = {
    "gone": ((), {}, "{}: no such folder"),
    "file": (("",), {}, "{}: is a file, not a folder"),
    "bare": (("a.jpg", ".x/a.jpg"), {}, "{}: holds 0 folders, a classifier needs at least 2"),
    "single": (("a/a.jpg", "b.jpg"), {}, "{}: holds 1 folders (a), a classifier needs at least 2"),
    "void": (
        ("a/a.jpg", "b/x.txt"),
        {"validation_split": 0},
        "{}/b: no photo in it: put some there",
    ),
    "few": (
        ("a/a.jpg", "a/b.jpg", "b/c.jpg"),
        {},
        "{}/b: holds 1 photo, training and validation need at least 2: "
        "add photos or use validation_split=0",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_not_enough_is_told_in_one_line(tmp_path, name):
    files, options, message = FOLDERS[name]
    touch(tmp_path, *(f"{name}/{file}".rstrip("/") for file in files))
    with pytest.raises(PhotoError) as raised:
        folder_examples(tmp_path / name, **options)
    assert str(raised.value).startswith(message.format(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_class_of_one_photo_will_do_without_validation(tmp_path):
    touch(tmp_path, "a/a.jpg", "b/b.jpg")
    assert folder_examples(tmp_path, validation_split=0).counts() == {"a": (1, 0), "b": (1, 0)}


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_a_share_out_of_range_is_told(tree, share):
    message = f"validation_split is {share:g}: give a share of the photos from 0 to below 1"
    with pytest.raises(ModelError, match=message):
        folder_examples(tree, validation_split=share)
    with pytest.raises(ModelError, match=message):
        boxed_examples(tree, tree / "none", validation_split=share)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PhotoError, match="gone: no such folder"):
        boxed_examples(tmp_path / "gone", tmp_path / "none.json")


def test_photos_have_the_endings_that_batches_know(tmp_path):
    touch(tmp_path, *(f"a/x{suffix.upper()}" for suffix in SUFFIXES), "b/b.jpg")
    assert folder_examples(tmp_path, validation_split=0).counts()["a"] == (len(SUFFIXES), 0)


def test_broken_photos_are_refused_together_or_left_out(tree):
    photo = cv2.imencode(".png", np.full((40, 40, 3), 9, np.uint8))[1].tobytes()
    # Whole by its header.
    touch(tree, "cat/half.png", content=photo[:-20])
    touch(tree, *(f"dog/empty{number:02}.jpg" for number in range(12)), content=b"")
    deep = too_deep(tree / "dog")
    with pytest.raises(PhotoError) as raised:
        folder_examples(tree)
    told = str(raised.value)
    assert told.startswith(f"14 of 28 photos cannot be used: {deep}: cannot be read: File name too")
    assert f"; {tree}/cat/half.png: is cut short" in told
    assert told.count("is empty") == 8
    assert told.endswith(
        "; and 4 more: repair or remove them, or leave them out with skip_broken=True, which lists "
        "all"
    )
    found = folder_examples(tree, validation_split=0, skip_broken=True)
    assert len(found.broken) == 14
    assert found.counts() == {"Ant": (2, 0), "cat": (3, 0), "dog": (10, 0)}
    with_none_broken = folder_examples(tree, seed=3, skip_broken=True)
    for each in found.broken[1:]:
        (tree / each.file).unlink()
    shutil.rmtree(tree / "dog" / deep.relative_to(tree / "dog").parts[0])
    assert replace(with_none_broken, broken=()) == folder_examples(tree, seed=3)


def test_a_single_broken_photo_is_told_by_itself(tree):
    touch(tree, "Ant/c.jpg", content=b"")
    with pytest.raises(PhotoError) as raised:
        folder_examples(tree)
    assert str(raised.value) == (
        f"{tree}/Ant/c.jpg: is empty: repair or remove it, or leave it out with skip_broken=True, "
        "which lists all"
    )


def test_a_class_or_background_of_broken_photos_only_is_refused(tree):
    touch(tree, "bee/a.jpg", "bee/b.jpg", content=b"")
    with pytest.raises(PhotoError, match="bee: no photo in it that can be read"):
        folder_examples(tree, skip_broken=True)
    touch(tree, "bee/a.jpg")
    with pytest.raises(PhotoError, match="bee: holds 1 photo that can be read, training and"):
        folder_examples(tree, skip_broken=True)
    touch(tree, "bee/b.jpg")
    touch(tree.parent, "beside/a.jpg", "beside/b.jpg", content=b"")
    with pytest.raises(PhotoError, match="beside: no photo in it that can be read"):
        folder_examples(tree, background=tree.parent / "beside", skip_broken=True)
