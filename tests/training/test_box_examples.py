"""Examples from boxes on photos, and the background beside them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heatmap import PhotoError, Reading, ResultError
from heatmap.training.examples import Example, boxed_examples
from tests.support.training import parts


def entry(file, *boxes, hw=None):
    size = {} if hw is None else {"height": hw[0], "width": hw[1]}
    corners = ("xmin", "ymin", "xmax", "ymax")
    return {
        "file": file,
        **size,
        "boxes": [
            {"label": label, **dict(zip(corners, xyxy, strict=True))} for label, *xyxy in boxes
        ],
    }


def photo(path, hw, orientation=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((*hw, 3), np.uint8)).save(path, exif=exif)


LISTED = [
    entry("c.png", ("dog", 0, 0, 20, 10), ("ant", 50, 40, 90, 80), ("dog", 5, 5, 12, 12)),
    entry("sub/b.jpg", ("dog", 10, 10, 50, 30), hw=(120, 160)),
    entry("empty.png"),
    entry("a.png", ("dog", 99, 30, 200, 130), ("ant", -1, 0, 30, 20)),
]


def written(folder, content, name="boxes.json"):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


@pytest.fixture
def boxed(tmp_path):
    for name in ("a.png", "c.png", "empty.png", "unlisted.png"):
        photo(tmp_path / name, (150, 200))
    photo(tmp_path / "sub/b.jpg", (160, 120), orientation=6)
    written(tmp_path, LISTED)
    return tmp_path


def test_each_box_is_an_example_of_its_label(boxed):
    found = boxed_examples(boxed, boxed / "boxes.json", validation_split=0)
    assert found.classes == ("ant", "dog", "background")
    assert found.validation == ()
    assert [one for one in found.training if one.label < 2] == [
        Example("a.png", 0, (0, 0, 36, 36), (0, 0, 30, 20)),
        Example("a.png", 1, (78, 19, 200, 141), (99, 30, 200, 130)),
        Example("c.png", 0, (46, 36, 94, 84), (50, 40, 90, 80)),
        Example("c.png", 1, (0, 0, 24, 24), (0, 0, 20, 10)),
        # The one of 7 px is left out.
        Example("sub/b.jpg", 1, (6, 0, 54, 48), (10, 10, 50, 30)),
    ]


def test_names_with_backslashes_and_boxes_a_little_outside_are_taken(boxed):
    as_elsewhere = [
        one | {"file": one["file"].replace("/", "\\")}
        for one in [*LISTED[:3], entry("a.png", ("dog", 99, 30, 203, 130), ("ant", -3, 0, 30, 20))]
    ]
    expected = boxed_examples(boxed, boxed / "boxes.json", validation_split=0)
    found = boxed_examples(boxed, written(boxed, as_elsewhere, "other.json"), validation_split=0)
    assert found.training == expected.training
    assert expected.notes == ("sub/b.jpg: turned upright by its EXIF orientation 6",)
    cut = "2 boxes that reached a little outside the photo: cut to it"
    assert found.notes == (cut, *expected.notes)


def test_background_comes_from_every_photo_with_room(boxed):
    found = boxed_examples(boxed, boxed / "boxes.json", validation_split=0)
    beside = [one for one in found.training if one.label == 2]
    # 5 examples, 2 labels, 4 photos: 1 a photo.
    assert [one.photo for one in beside] == ["a.png", "c.png", "empty.png", "sub/b.jpg"]
    sides = [one.xyxy[2] - one.xyxy[0] for one in beside]
    assert sides[0] in (36, 122)
    assert sides[1] in (48, 24)
    assert sides[2] in (36, 122, 48, 24)
    assert sides[3] == 48
    assert found.counts() == {"ant": (2, 0), "dog": (3, 0), "background": (4, 0)}


@pytest.mark.parametrize(
    ("boxes", "labels", "each"), [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, 3), (4, 2, 2), (4, 4, 1)]
)
def test_background_is_as_much_as_a_class_up_to_three_a_photo(tmp_path, boxes, labels, each):
    listed = []
    for name in "abcd":
        photo(tmp_path / f"{name}.png", (200, 200))
        listed.append(
            entry(f"{name}.png", *[("abcd"[i % labels], i, 0, 20 + i, 20) for i in range(boxes)])
        )
    found = boxed_examples(tmp_path, written(tmp_path, listed))
    assert sum(found.counts()["background"]) == 4 * each
    # In another place of each photo.
    beside = [one for one in (*found.training, *found.validation) if one.label == labels]
    assert len({one.xyxy for one in beside}) == len(beside)


def test_boxes_too_small_to_learn_from_are_no_background_either(tmp_path):
    photo(tmp_path / "a.png", (30, 30))
    photo(tmp_path / "b.png", (30, 30))
    small = [("dog", x, y, x + 5, y + 5) for x in range(0, 30, 6) for y in range(0, 30, 6)]
    listed = [entry("a.png", *small), entry("b.png", ("dog", 0, 0, 8, 3))]
    found = boxed_examples(tmp_path, written(tmp_path, listed), validation_split=0)
    assert {one.photo for one in found.training} == {"b.png"}
    assert [one.xyxy for one in found.training if one.label == 0] == [(0, 0, 10, 10)]


def test_the_order_of_photos_and_boxes_does_not_matter(boxed):
    turned = [one | {"boxes": one["boxes"][::-1]} for one in reversed(LISTED)]
    first = boxed_examples(boxed, boxed / "boxes.json")
    assert boxed_examples(boxed, written(boxed, turned, "turned.json")) == first
    assert boxed_examples(boxed, boxed / "boxes.json") == first
    seeds = [boxed_examples(boxed, boxed / "boxes.json", seed=seed) for seed in range(6)]
    assert len({one.training for one in seeds}) > 4


def test_the_forms_of_boxes_say_the_same(boxed):
    lines = [
        ",".join(map(str, (one["file"], *box.values()))) for one in LISTED for box in one["boxes"]
    ]
    found = boxed_examples(
        boxed, written(boxed, "\n".join(["file,label,xmin,ymin,xmax,ymax", *lines]), "boxes.csv")
    )
    expected = boxed_examples(boxed, boxed / "boxes.json")
    objects = [
        {one for one in (*some.training, *some.validation) if one.label < 2}
        for some in (found, expected)
    ]
    assert objects[0] == objects[1]


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Twelve photos of 100 x 100 px."""
    folder = tmp_path_factory.mktemp("squares")
    for i in range(12):
        photo(folder / f"{i}.png", (100, 100))
    return folder


corner = st.integers(0, 60)


box = st.tuples(st.sampled_from("abcd"), corner, corner, st.integers(8, 40), st.integers(1, 40))


@settings(max_examples=15)
@given(
    photos=st.lists(st.lists(box, max_size=4), min_size=1, max_size=11),
    split=st.floats(0, 0.99),
    seed=st.integers(0, 9),
)
def test_any_split_is_by_photo_and_leaves_every_class_for_training(squares, photos, split, seed):
    listed = [
        entry(f"{i}.png", *[(label, x, y, x + wide, y + high) for label, x, y, wide, high in some])
        for i, some in enumerate([*photos, [("a", 0, 0, 20, 20)]])
    ]
    path = written(squares, listed)
    found = boxed_examples(squares, path, validation_split=split, seed=seed)
    everything = boxed_examples(squares, path, validation_split=0, seed=seed)
    training, held = parts(found)
    assert not training & held
    assert sorted([*found.training, *found.validation], key=repr) == sorted(
        everything.training, key=repr
    )
    assert list(everything.training) == sorted(everything.training, key=lambda one: one.photo)
    boxes = sum(map(len, photos)) + 1
    counts = found.counts()
    assert sum(map(sum, counts.values())) - sum(counts["background"]) == boxes
    assert all(count > 0 for count, _ in counts.values())
    if split == 0:
        assert not found.validation
    for one in everything.training:
        left, top, right, bottom = one.xyxy
        assert right - left == bottom - top
        assert 0 <= left < right <= 100
        assert 0 <= top < bottom <= 100
        if found.classes[one.label] == "background":
            drawn = listed[int(one.photo[:-4])]["boxes"]
            shared = sum(
                max(0, min(right, box["xmax"]) - max(left, box["xmin"]))
                * max(0, min(bottom, box["ymax"]) - max(top, box["ymin"]))
                for box in drawn
            )
            assert shared <= 0.05 * (right - left) ** 2


def test_a_fifth_of_the_photos_is_kept(squares):
    listed = [entry(f"{i}.png", ("ab"[i // 10], 0, 0, 30, 30)) for i in range(12)]
    found = boxed_examples(squares, written(squares, listed))
    assert found.counts() == {"a": (8, 2), "b": (1, 1), "background": (9, 3)}


WHOLE = ("dog", 0, 0, 200, 150)


BOXES = {
    "no boxes": ([entry("a.png")], ResultError, "{boxes}: holds no boxes"),
    "nothing": ([], ResultError, "{boxes}: holds no boxes"),
    "same name": (
        [entry("a.png", ("background", 0, 0, 9, 9))],
        ResultError,
        "{boxes}: label 'background' is also the name of the background: rename one of them",
    ),
    "small": (
        [entry("a.png", ("dog", 0, 0, 9, 9), ("ant", 0, 0, 7, 7), ("ant", 9, 9, 12, 12))],
        ResultError,
        "{boxes}: none of the 2 boxes of 'ant' is 8 px long: enlarge the photos or remove",
    ),
    "missing": (
        [entry("a.png", WHOLE), entry("y.png"), entry("x/z.png", WHOLE)],
        PhotoError,
        "2 of 3 photos cannot be used: {folder}/x/z.png: no such file; {folder}/y.png: no such",
    ),
    "all missing": (
        [entry("y.png"), entry("x/z.png", WHOLE)],
        PhotoError,
        "{folder}: lacks all of the 2 photos that {boxes} lists, first 'x/z.png': give the folder",
    ),
    "full": (
        [entry("a.png", WHOLE), entry("c.png", WHOLE)],
        ResultError,
        "{boxes}: 2 photos have no place free of boxes: list photos without boxes too",
    ),
    "other size": (
        [entry("a.png", WHOLE, hw=(75, 100))],
        PhotoError,
        "{folder}/a.png: is 200 x 150 px, {boxes} says 100 x 75",
    ),
    "lying": (
        [entry("sub/b.jpg", WHOLE, hw=(160, 120))],
        PhotoError,
        "{folder}/sub/b.jpg: is 160 x 120 px, {boxes} says 120 x 160 px: boxes must be those of",
    ),
    "outside": (
        [entry("a.png", ("dog", 150, 0, 204, 50))],
        PhotoError,
        "{boxes}: a.png: box of 'dog' (150, 0, 204, 50) reaches outside the photo of 200 x 150",
    ),
    "twice": (
        [entry("a.png", WHOLE), entry("./a.png")],
        ResultError,
        "{boxes}: 'a.png' is listed twice under different names",
    ),
    "no photo": ([entry("boxes.json", WHOLE)], PhotoError, "{folder}/boxes.json: not an image"),
}


@pytest.mark.parametrize("name", BOXES)
def test_boxes_that_do_not_fit_are_told_in_one_line(boxed, name):
    content, error, message = BOXES[name]
    path = written(boxed, content)
    with pytest.raises(error) as raised:
        boxed_examples(boxed, path)
    assert str(raised.value).startswith(message.format(boxes=path, folder=boxed))
    assert "\n" not in str(raised.value)


def test_photos_without_boxes_make_room_and_another_name_helps(boxed):
    path = written(boxed, [entry("a.png", WHOLE), entry("empty.png")])
    assert boxed_examples(boxed, path).counts() == {"dog": (1, 0), "background": (1, 0)}
    path = written(boxed, [entry("a.png", ("background", 0, 0, 9, 9))])
    found = boxed_examples(boxed, path, background="nothing")
    assert found.classes == ("background", "nothing")


def test_photos_that_cannot_be_used_are_refused_together_or_left_out(boxed):
    for name in ("half.webp", "outside.png", "fault.png"):
        Image.effect_noise((200, 150), 50).convert("RGB").save(boxed / name)
    # Whole by its header.
    (boxed / "half.webp").write_bytes((boxed / "half.webp").read_bytes()[:-40])
    more = [
        entry("half.webp", WHOLE),
        entry("outside.png", ("ant", 9, 9, 250, 90), ("ant", 9, 9, 90, 190), ("dog", 1, 1, 9, 9)),
        entry("fault.png", ("ant", 9, 9, 8, 90), ("ant", 9, "x", 90, 90), ("ant", 9, 9, 90, 90)),
        entry("a.png" * 60, WHOLE),
        entry("empty.png", hw=(9, 9)),
    ]
    listed = [one for one in LISTED if one["file"] != "empty.png"]
    path = written(boxed, [*listed, *more])
    with pytest.raises(PhotoError) as raised:
        boxed_examples(boxed, path)
    told = str(raised.value)
    assert told.startswith("5 of 8 photos cannot be used: ")
    for part in (
        f"{boxed}/half.webp: is cut short",
        "outside.png: box of 'ant' (9, 9, 250, 90) reaches outside the photo of 200 x 150 px",
        "outside.png: box of 'ant' (9, 9, 90, 190) reaches outside",
        "photos[5]: boxes[0]: box of 'ant' is -1 px wide",
        "photos[5]: boxes[1]: 'ymin' is 'x'",
        "File name too long",
        f"{boxed}/empty.png: is 200 x 150 px, {path} says 9 x 9 px",
    ):
        assert part in told
    found = boxed_examples(boxed, path, skip_broken=True)
    assert len(found.broken) == 5
    assert replace(found, broken=()) == boxed_examples(boxed, written(boxed, listed, "good.json"))


def test_damaged_photos_are_trained_on_with_a_note_or_refused(boxed):
    Image.effect_noise((200, 150), 50).save(boxed / "half.png")
    (boxed / "half.png").write_bytes((boxed / "half.png").read_bytes()[:-40])
    path = written(boxed, [*LISTED, entry("half.png", WHOLE)])
    assert "half.png: damaged, partly made up" in boxed_examples(boxed, path).notes
    with pytest.raises(PhotoError, match=r"half\.png: is cut short"):
        boxed_examples(boxed, path, reading=Reading(damaged="refuse"))


def test_a_label_on_broken_photos_only_is_refused(boxed):
    path = written(boxed, [*LISTED, entry("gone.png", ("bee", 0, 0, 20, 20))])
    with pytest.raises(PhotoError, match="none of the photos with the 1 boxes of 'bee' can"):
        boxed_examples(boxed, path, skip_broken=True)
