"""Photos, boxes and classes set side by side."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from heatmap import ClassError, PhotoError, ResultError
from heatmap.classes import ClassGroup, ClassList
from heatmap.evaluation.pairs import match_labels, pair_up
from heatmap.photo.annotations import BoxedPhoto, BoxFile, LabelledBox

CLASSES = ClassList(
    ("tabby", "lynx", "forklift", "crane", "crane", "Dog sled"),
    ("n1", "n2", "n3", "n4", "n5", "n6"),
    (ClassGroup("cat", (0, 1)),),
)
CAT, TRUCK = ClassGroup("cat", (0, 1)), ClassGroup("truck", (2,))


@pytest.fixture
def folder(tmp_path):
    """Photos of 40 x 60 px (height x width); the last is turned by EXIF."""
    pixels = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    for name in ("a.png", "b.png"):
        pixels.save(tmp_path / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels.save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path


def boxed(file, *boxes, hw=None):
    return BoxedPhoto(file, hw, tuple(LabelledBox(label, xyxy) for label, xyxy in boxes))


def paired(folder, *photos, groups=None):
    found = pair_up(BoxFile("boxes.json", photos, 3, 4), folder, groups or {"cat": CAT})
    return found.photos, found.left_out


def test_labels_are_classes_or_groups_of_just_that_name():
    labels = ["cat", "LYNX", "dog", "fork", "crane", "n3", "1", "99", "", " tabby "]
    assert match_labels(labels, CLASSES) == {
        "cat": CAT,
        "LYNX": ClassGroup("lynx", (1,)),
        "n3": ClassGroup("forklift", (2,)),
        "1": ClassGroup("lynx", (1,)),
        " tabby ": ClassGroup("tabby", (0,)),
    }


def test_a_mapping_alone_decides_what_labels_mean():
    mapping = {"feline": ("cat", 5, "n1"), "truck": (2,), "fish": (), "unused": ("tabby",)}
    assert match_labels(["feline", "truck", "fish", "cat"], CLASSES, mapping) == {
        "feline": ClassGroup("feline", (0, 1, 5)),
        "truck": ClassGroup("truck", (2,)),
    }


def test_a_mapping_to_unknown_classes_is_refused():
    with pytest.raises(ClassError, match="label 'truck': no class 'lorry'"):
        match_labels(["truck"], CLASSES, {"truck": ("lorry",)})


def test_pairs_are_photo_and_class(folder):
    boxes = [("cat", (1, 2, 11, 12)), ("truck", (0, 0, 60, 40)), ("cat", (20, 20, 30, 30))]
    photos, left_out = paired(folder, boxed("a.png", *boxes), groups={"cat": CAT, "truck": TRUCK})
    (photo,) = photos
    assert photo.path == folder / "a.png"
    assert [(one.label, one.group, one.boxes_xyxy) for one in photo.pairs] == [
        ("cat", CAT, ((1, 2, 11, 12), (20, 20, 30, 30))),
        ("truck", TRUCK, ((0, 0, 60, 40),)),
    ]
    assert (left_out.labels, left_out.photos) == ({}, 0)
    assert (left_out.crowds, left_out.empty) == (3, 4)


@pytest.mark.parametrize(
    ("boxes", "small", "hard"),
    [
        # 600 px are a quarter of the photo.
        ([("cat", (0, 0, 30, 20))], False, False),
        ([("cat", (0, 0, 30, 19))], True, False),
        ([("cat", (0, 0, 30, 19)), ("person", (0, 0, 1, 1))], True, True),
        ([("cat", (0, 0, 30, 20)), ("person", (0, 0, 1, 1))], False, False),
        ([("cat", (0, 0, 30, 10)), ("cat", (30, 0, 60, 10))], False, False),
        ([("cat", (0, 0, 30, 10)), ("cat", (30, 0, 60, 9))], True, False),
    ],
)
def test_small_by_area_and_hard_by_others_in_the_photo(folder, boxes, small, hard):
    photos, _ = paired(folder, boxed("a.png", *boxes))
    assert [(one.small, one.hard) for one in photos[0].pairs] == [(small, hard)]


def test_labels_and_photos_without_a_class_are_counted(folder):
    photos, left_out = paired(
        folder,
        boxed("a.png", ("cat", (0, 0, 9, 9)), ("person", (0, 0, 9, 9)), ("person", (0, 0, 8, 8))),
        # Nobody needs to have the photos that are not asked about.
        boxed("gone.png", ("person", (0, 0, 9, 9))),
        boxed("gone too.png"),
    )
    assert [photo.path.name for photo in photos] == ["a.png"]
    assert (left_out.labels, left_out.photos) == ({"person": 3}, 2)


def test_sizes_are_those_of_the_upright_photo(folder):
    box = ("cat", (0, 0, 40, 60))
    photos, _ = paired(folder, boxed("turned.jpg", box, hw=(60, 40)))
    assert len(photos) == 1
    with pytest.raises(PhotoError, match=r"is 40 x 60 px, boxes\.json says 60 x 40 px: .* upright"):
        paired(folder, boxed("turned.jpg", box, hw=(40, 60)))
    with pytest.raises(PhotoError, match=r"a\.png: is 60 x 40 px, boxes.json says 60 x 41 px$"):
        paired(folder, boxed("a.png", box, hw=(41, 60)))


@pytest.mark.parametrize(
    "xyxy", [(0, 0, 61.1, 9), (0, 0, 9, 41.1), (-1.1, 0, 9, 9), (0, -1.1, 9, 9), (70, 0, 80, 9)]
)
def test_boxes_outside_the_photo_are_refused(folder, xyxy):
    with pytest.raises(PhotoError, match=r"boxes.json: a.png: box of 'cat' .* 60 x 40 px"):
        paired(folder, boxed("a.png", ("cat", xyxy)))


def test_boxes_may_be_rounded_outwards(folder):
    photos, _ = paired(folder, boxed("a.png", ("cat", (-1, -1, 61, 41))))
    assert photos[0].pairs[0].boxes_xyxy == ((-1, -1, 61, 41),)


@pytest.mark.parametrize(
    ("file", "message"),
    [("none.png", "no such file"), ("", "is a directory"), ("note.txt", "not an image")],
)
def test_missing_and_wrong_photos_are_told(folder, file, message):
    (folder / "note.txt").write_text("not a photo")
    with pytest.raises(PhotoError, match=message):
        paired(folder, boxed(file, ("cat", (0, 0, 9, 9))))


def test_what_cannot_be_used_is_listed_and_the_rest_is_paired(folder):
    inside, outside = ("cat", (0, 0, 9, 9)), ("cat", (70, 0, 80, 9))
    listed = [boxed("a.png", inside), boxed("b.png", outside, outside), boxed("none.png", inside)]
    faulty = BoxedPhoto("turned.jpg", None, (), ("boxes.json: photos[3]: has no 'boxes'",))
    photos, left_out = paired(folder, *listed, faulty, boxed("a b.png"))
    assert [photo.path.name for photo in photos] == ["a.png"]
    assert [(each.file, str(each).count("reaches outside")) for each in left_out.broken] == [
        ("b.png", 2),
        ("none.png", 0),
        ("turned.jpg", 0),
    ]
    assert str(left_out.broken[2]) == "turned.jpg: boxes.json: photos[3]: has no 'boxes'"
    assert left_out.photos == 1


def test_nothing_to_pair_is_told(folder):
    many = [(f"thing {i}", (0, 0, 9, 9)) for i in range(7)]
    with pytest.raises(ResultError, match=r"none of its 7 labels \(thing 0, .*thing 4, \.\.\.\)"):
        paired(folder, boxed("a.png", *many))
    with pytest.raises(ResultError, match="holds no boxes"):
        paired(folder, boxed("a.png"))
