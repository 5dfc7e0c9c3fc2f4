"""YOLO labels: lines in fractions of the photo, and the names of their numbers."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from heatmap.classes import ClassGroup
from heatmap.localization.formats.yolo import yolo_dataset, yolo_labels, yolo_names
from tests.support.findings import detection, random_boxes

HW = (300, 400)
CAT, DOG = ClassGroup("cat", (7,)), ClassGroup("dog", (9,))


def index_of(group: ClassGroup) -> int:
    return group.indices[0]


def test_a_line_is_number_centre_and_sides_in_fractions_and_no_confidence():
    found = [detection(CAT, (100.0, 30.0, 300.0, 90.0), 0.9), detection(DOG, (0, 0, 400, 300), 0.4)]
    assert yolo_labels(found, HW, index_of) == (
        "7 0.50000000 0.20000000 0.50000000 0.20000000\n"
        "9 0.50000000 0.50000000 1.00000000 1.00000000\n"
    )


def test_nothing_found_is_an_empty_file():
    assert yolo_labels([], HW, index_of) == ""


def test_a_box_beyond_the_photo_is_cut_to_it():
    found = [detection(CAT, (-20.0, -30.0, 200.0, 330.0), 0.9)]
    assert yolo_labels(found, HW, index_of) == "7 0.25000000 0.50000000 0.50000000 1.00000000\n"


@settings(max_examples=20)
@given(boxes=random_boxes((65_000, 90_000)))
def test_boxes_of_the_largest_photos_come_back_to_a_hundredth_of_a_pixel(boxes):
    height, width = 65_000, 90_000
    lines = yolo_labels([detection(CAT, box, 0.5) for box in boxes], (height, width), index_of)
    for line, box in zip(lines.splitlines(), boxes, strict=True):
        number, *shares = line.split(" ")
        x, y, across, down = map(float, shares)
        read = (x - across / 2, y - down / 2, x + across / 2, y + down / 2)
        pixels = [share * side for share, side in zip(read, (width, height) * 2, strict=True)]
        assert (number, pixels) == ("7", pytest.approx(box, abs=0.01))


# What stands for a name that a file could not hold, or that would end its line.
ODD = {
    "Egyptian cat": "Egyptian cat",
    "two\nlines\r\n": "two lines",
    "bell\x07 and \x85": "bell  and",
    'say "hi": #1, \\n': 'say "hi": #1, \\n',
    "no": "no",
    "日本 🐈": "日本 🐈",
    "caf\udce9": "caf\\udce9",
}


@pytest.mark.parametrize("count", [1, len(ODD), 1000])
def test_names_stand_in_the_order_of_their_numbers_in_both_files(count):
    names = [*ODD, *(f"class {number}" for number in range(1000))][:count]
    expected = [ODD.get(name, name) for name in names]
    assert yolo_names(names) == "".join(f"{name}\n" for name in expected)
    described = yaml.safe_load(yolo_dataset(names))
    assert described["names"] == dict(enumerate(expected))
    assert described["nc"] == count
    # Relative to its own folder, wherever that is moved.
    assert (described["train"], described["val"]) == ("images", "images")
    assert "path" not in described


@given(names=st.lists(st.text(st.characters(codec=None)), min_size=1, max_size=5))
def test_any_names_are_one_line_each_and_valid_yaml(names):
    described = yaml.safe_load(yolo_dataset(names))
    assert yolo_names(names).encode().decode() == "".join(
        f"{name}\n" for name in described["names"].values()
    )
    assert len(described["names"]) == len(yolo_names(names).splitlines()) == len(names)
