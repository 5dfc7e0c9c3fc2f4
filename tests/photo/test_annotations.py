"""Files of boxes in their three forms, and what is wrong with broken ones."""

from __future__ import annotations

import copy
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap import ResultError
from heatmap.photo.annotations import BoxedPhoto, LabelledBox, read_boxes, read_mapping

COCO = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48},
        {"id": 9, "file_name": "sub/b.png", "width": 30, "height": 40},
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 5, "name": "cell phone"}],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 5, "bbox": [1, 2, 10.5, 20], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 64, 48]},
        {"id": 3, "image_id": 9, "category_id": 1, "bbox": [3, 4, 5, 6]},
    ],
}
LIST = [
    {
        "file": "a.jpg",
        "width": 64,
        "height": 48,
        "boxes": [{"label": "dog", "xmin": 0, "ymin": 0, "xmax": 64, "ymax": 48}],
    },
    {
        "file": "sub/b.png",
        "width": 30,
        "height": 40,
        "boxes": [
            {"label": "cell phone", "xmin": 1, "ymin": 2, "xmax": 11.5, "ymax": 22},
            {"label": "dog", "xmin": 3, "ymin": 4, "xmax": 8, "ymax": 10},
        ],
    },
]
CSV = """label,file,xmin,ymin,xmax,ymax,remark
dog,a.jpg,0,0,64,48,
cell phone,sub/b.png,1,2,11.5,22,"old, grey"
dog,sub/b.png,3,4,8,10,
"""
PHOTOS = (
    BoxedPhoto("a.jpg", (48, 64), (LabelledBox("dog", (0, 0, 64, 48)),)),
    BoxedPhoto(
        "sub/b.png",
        (40, 30),
        (LabelledBox("cell phone", (1, 2, 11.5, 22)), LabelledBox("dog", (3, 4, 8, 10))),
    ),
)


def read(tmp_path, content):
    """Boxes from what a file holds: text, or what JSON is made of."""
    path = tmp_path / "boxes"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return read_boxes(path)


def changed(document, *steps, to):
    """A document with another value at the end of a path."""
    document = copy.deepcopy(document)
    *way, last = steps
    place = document
    for step in way:
        place = place[step]
    place[last] = to
    return document


def without(document, *steps):
    document = changed(document, *steps, to=None)
    *way, last = steps
    place = document
    for step in way:
        place = place[step]
    del place[last]
    return document


@pytest.mark.parametrize("content", [COCO, LIST], ids=["COCO", "list"])
def test_coco_and_the_plain_list_say_the_same(tmp_path, content):
    found = read(tmp_path, content)
    assert (found.photos, found.crowds, found.empty) == (PHOTOS, 0, 0)


@pytest.mark.parametrize("text", [CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n")])
def test_csv_says_the_same_but_for_the_sizes(tmp_path, text):
    expected = tuple(BoxedPhoto(one.file, None, one.boxes) for one in PHOTOS)
    assert read(tmp_path, text).photos == expected


def test_sizes_may_be_missing(tmp_path):
    content = without(without(LIST, 0, "width"), 0, "height")
    assert [one.hw for one in read(tmp_path, content).photos] == [None, (40, 30)]


def test_crowds_and_boxes_without_area_are_left_out_and_counted(tmp_path):
    content = changed(COCO, "annotations", 0, "iscrowd", to=1)
    content = changed(content, "annotations", 1, "bbox", to=[3, 4, 5, 0])
    found = read(tmp_path, content)
    assert (found.crowds, found.empty) == (1, 1)
    assert [len(one.boxes) for one in found.photos] == [0, 1]
    assert found.label_counts() == {"dog": 1}


def test_coco_is_read_as_pycocotools_reads_it(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    content = changed(COCO, "annotations", 2, "iscrowd", to=1)
    content["annotations"][1] |= {"iscrowd": 0}
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    theirs = coco.COCO(str(path))
    expected = {
        image["file_name"]: [
            (theirs.cats[one["category_id"]]["name"], one["bbox"])
            for one in theirs.loadAnns(theirs.getAnnIds(imgIds=[key], iscrowd=False))
        ]
        for key, image in theirs.imgs.items()
    }
    ours = {
        photo.file: [
            (box.label, [*box.xyxy[:2], box.xyxy[2] - box.xyxy[0], box.xyxy[3] - box.xyxy[1]])
            for box in photo.boxes
        ]
        for photo in read_boxes(path).photos
    }
    assert ours == expected
    assert any(expected.values())


BROKEN = {
    "empty": ("", "is empty"),
    "blank": (" \n ", "is empty"),
    "neither": ("hello", "neither JSON nor CSV .* file, label, xmin, ymin, xmax, ymax missing"),
    "cut JSON": (json.dumps(LIST)[:-9], "is not JSON"),
    "deep JSON": ("[" * 100_000, "is not JSON"),
    "no columns": ("file,label,xmin,ymin\na,b,1,2", "xmax, ymax missing"),
    "short row": ("file,label,xmin,ymin,xmax,ymax\na,b,1,2,3", "line 2: has no 'ymax'"),
    "text for a number": (CSV.replace("11.5", "x"), "line 3: 'xmax' is 'x', expected a finite"),
    "long field": (CSV.replace("dog", "d" * 140_000), "line [12]: field larger"),
    "negative width": (CSV.replace("64,48", "-64,48"), "line 2: box of 'dog' is -64 px wide"),
    "no photo": (without(LIST, 0, "file"), r"photos\[0\]: has no 'file'"),
    "no boxes": (without(LIST, 1, "boxes"), r"photos\[1\]: has no 'boxes'"),
    "no label": (without(LIST, 1, "boxes", 1, "label"), r"\[1\]: boxes\[1\]: has no 'label'"),
    "no corner": (without(LIST, 1, "boxes", 1, "ymin"), r"boxes\[1\]: has no 'ymin'"),
    "one size": (without(LIST, 0, "height"), r"photos\[0\]: has no 'height'"),
    "no whole size": (changed(LIST, 0, "height", to=1.5), "64 x 1.5 px, expected whole"),
    "no size": (changed(LIST, 0, "height", to=0), "64 x 0 px, expected whole"),
    "negative height": (changed(LIST, 0, "boxes", 0, "ymax", to=-4), "-4 px high"),
    "NaN": (changed(LIST, 0, "boxes", 0, "ymax", to=math.nan), "'ymax' is nan, expected a finite"),
    "too large": (changed(LIST, 0, "boxes", 0, "ymax", to=10**400), "'ymax' is 1000"),
    "true": (changed(LIST, 0, "boxes", 0, "ymax", to=True), "'ymax' is True"),
    "number for a label": (changed(LIST, 0, "boxes", 0, "label", to=3), "'label' is 3, expected t"),
    "text for a list": (changed(LIST, 0, "boxes", to="none"), "'boxes' is 'none', expected a list"),
    "list for a box": (changed(LIST, 0, "boxes", 0, to=[1, 2]), r"boxes\[0\]: is a list"),
    "twice": ([*LIST, LIST[0]], "'a.jpg' is listed twice"),
    "COCO results": ([{"image_id": 7, "bbox": [1, 2, 3, 4]}], r"photos\[0\]: has no 'file'"),
    "no images": (without(COCO, "images"), "has no 'images'"),
    "no categories": (without(COCO, "categories"), "has no 'categories'"),
    "no annotations": (without(COCO, "annotations"), "has no 'annotations'"),
    "no box": (without(COCO, "annotations", 1, "bbox"), r"annotations\[1\]: has no 'bbox'"),
    "half a box": (changed(COCO, "annotations", 1, "bbox", to=[1, 2]), "2 numbers, expected 4"),
    "no number": (changed(COCO, "annotations", 1, "bbox", to=[1, 2, None, 4]), "'bbox' is None"),
    "negative box": (changed(COCO, "annotations", 1, "bbox", to=[1, 2, -3, 4]), "-3 px wide"),
    "unknown photo": (changed(COCO, "annotations", 1, "image_id", to=8), "'image_id' is 8, which"),
    "unknown class": (changed(COCO, "annotations", 1, "category_id", to="x"), "'x', which"),
    "no id": (changed(COCO, "images", 1, "id", to=None), r"images\[1\]: 'id' is None"),
    "same id": (changed(COCO, "images", 1, "id", to=7), r"images\[1\]: id 7 is used twice"),
    "same photo": (changed(COCO, "images", 1, "file_name", to="a.jpg"), "'a.jpg' is listed twice"),
    "no name": (without(COCO, "categories", 0, "name"), r"categories\[0\]: has no 'name'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told_in_one_line(tmp_path, name):
    content, message = BROKEN[name]
    try:
        (told,) = [fault for photo in read(tmp_path, content).photos for fault in photo.faults]
    except ResultError as raised:
        told = str(raised)
    assert re.search(message, told)
    assert told.startswith(str(tmp_path / "boxes"))
    assert "\n" not in told
    assert len(told) < 300 + len(str(tmp_path))


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "latin").write_bytes('{"Kühe": 1}'.encode("latin-1"))
    for name, reason in [("none", "No such file"), (".", "directory"), ("latin", "not UTF-8")]:
        for reader in (read_boxes, read_mapping):
            with pytest.raises(ResultError, match=f"cannot be read: .*{reason}"):
                reader(tmp_path / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("any")


def told(folder, content) -> str:
    """What is wrong with a file, "" if nothing; anything but a ResultError goes on."""
    try:
        read(folder, content)
    except ResultError as error:
        return str(error)
    return ""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def places(document, way=()):
    """The path of every value in a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*way, key)
        if isinstance(value, dict | list):
            yield from places(value, (*way, key))


@settings(max_examples=40)
@given(document=st.sampled_from([COCO, LIST]), data=st.data(), value=anything)
def test_no_json_raises_anything_else(folder, document, data, value):
    way = data.draw(st.sampled_from(list(places(document))))
    content = changed(document, *way, to=value)
    assert "\n" not in told(folder, content)


@settings(max_examples=40)
@given(text=st.text())
def test_no_text_raises_anything_else(folder, text):
    assert "\n" not in told(folder, text)


def test_mapping(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text('{"dog": [151, "Maltese dog"], "cat": "n02123045", "fish": [], "ant": 310}')
    assert read_mapping(path) == {
        "dog": (151, "Maltese dog"),
        "cat": ("n02123045",),
        "fish": (),
        "ant": (310,),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "is not a JSON object"),
        ("{", "is not JSON"),
        ('{"dog": [true]}', "'dog': is True: give class names"),
        ('{"dog": [[1]]}', "'dog': is a list: give class names"),
        ('{"dog": 1.5}', r"'dog': is 1\.5: give class names"),
        ('{"dog": null}', "'dog': is None: give class names"),
    ],
)
def test_a_broken_mapping_is_told(tmp_path, text, message):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ResultError, match=message):
        read_mapping(path)


def test_a_bad_box_is_a_fault_of_its_photo_and_the_others_are_read(tmp_path):
    path = tmp_path / "boxes.json"
    good = {"label": "cat", "xmin": 1, "ymin": 1, "xmax": 9, "ymax": 9}
    listed = [
        {"file": "a.jpg", "boxes": [good, {**good, "xmax": 0}, {**good, "ymin": "x"}]},
        {"file": "b.jpg", "boxes": [good]},
        {"file": "c.jpg", "width": 3, "boxes": [good]},
    ]
    path.write_text(json.dumps(listed))
    a, b, c = read_boxes(path).photos
    assert (len(a.boxes), len(b.boxes), len(c.boxes)) == (1, 1, 1)
    assert a.faults == (
        f"{path}: photos[0]: boxes[1]: box of 'cat' is -1 px wide and 8 px high: neither may be "
        "negative",
        f"{path}: photos[0]: boxes[2]: 'ymin' is 'x', expected a finite number",
    )
    assert b.faults == ()
    assert c.faults == (f"{path}: photos[2]: has no 'height'",)


def test_a_bad_box_of_coco_or_csv_is_a_fault_of_its_photo_too(tmp_path):
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}
    content = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [box, {**box, "image_id": 2, "bbox": [1, 1, 5]}, {**box, "category_id": 7}],
    }
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    first, second = read_boxes(path).photos
    assert (len(first.boxes), len(first.faults)) == (1, 1)
    assert second.faults == (f"{path}: annotations[1]: 'bbox' has 3 numbers, expected 4",)
    path = tmp_path / "boxes.csv"
    path.write_text("file,label,xmin,ymin,xmax,ymax\na.jpg,cat,1,1,9,9\na.jpg,cat,1,1,9\n")
    (photo,) = read_boxes(path).photos
    assert (len(photo.boxes), photo.faults) == (1, (f"{path}: line 3: has no 'ymax'",))
