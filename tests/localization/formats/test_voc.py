"""Annotations of Pascal VOC, as torchvision reads them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import VOCDetection

from heatmap.classes import ClassGroup
from heatmap.localization.formats.voc import voc_annotation
from tests.support.findings import detection, random_boxes

HW = (300, 400)
CAT = ClassGroup("Egyptian cat", (0,))


def read(content: str) -> dict[str, Any]:
    root = ElementTree.fromstring(content.encode())
    return VOCDetection.parse_voc_xml(root)["annotation"]


def boxes_of(*boxes, hw=HW) -> list[tuple[int, ...]]:
    found = [detection(CAT, box, 0.5) for box in boxes]
    objects = read(voc_annotation("a.jpg", hw, found))["object"]
    sides = ("xmin", "ymin", "xmax", "ymax")
    return [tuple(int(one["bndbox"][side]) for side in sides) for one in objects]


def test_the_file_says_which_photo_its_size_and_what_is_on_it():
    found = [detection(CAT, (10.0, 20.0, 110.0, 70.0), 0.9)]
    assert read(voc_annotation("photos/my cat.jpg", HW, found)) == {
        "folder": "photos",
        "filename": "my cat.jpg",
        "source": {"database": "heatmap-localizer"},
        "size": {"width": "400", "height": "300", "depth": "3"},
        "segmented": "0",
        "object": [
            {
                "name": "Egyptian cat",
                "pose": "Unspecified",
                "truncated": "0",
                "difficult": "0",
                "bndbox": {"xmin": "11", "ymin": "21", "xmax": "110", "ymax": "70"},
            }
        ],
    }


def test_nothing_found_is_a_file_without_objects():
    assert "<object>" not in voc_annotation("a.jpg", HW, [])
    assert read(voc_annotation("a.jpg", HW, []))["size"]["width"] == "400"


def test_an_array_is_called_photo():
    assert read(voc_annotation("", HW, []))["filename"] == "photo"


def test_pixels_are_counted_from_1_and_the_last_is_included():
    assert boxes_of((0, 0, 1, 1), (0, 0, 400, 300), (399, 299, 400, 300)) == [
        (1, 1, 1, 1),
        (1, 1, 400, 300),
        (400, 300, 400, 300),
    ]


def test_boxes_are_cut_to_the_photo():
    assert boxes_of((-9, -9, 500, 500), (399.8, 10, 400, 20)) == [
        (1, 1, 400, 300),
        (400, 11, 400, 20),
    ]


@settings(max_examples=20)
@given(boxes=random_boxes(HW))
def test_every_box_lies_on_the_photo_and_no_edge_moves_by_more_than_it_must(boxes):
    read_back = boxes_of(*boxes) if boxes else []
    for (xmin, ymin, xmax, ymax), box in zip(read_back, boxes, strict=True):
        assert 1 <= xmin <= xmax <= HW[1]
        assert 1 <= ymin <= ymax <= HW[0]
        for first, last, low, high in ((xmin, xmax, *box[::2]), (ymin, ymax, *box[1::2])):
            # Half a pixel, but for boxes that cover no whole one.
            most = 0.5 if last > first else 1.0
            assert max(abs(first - 1 - low), abs(last - high)) <= most + 1e-9


@pytest.mark.parametrize(
    ("box", "truncated"),
    [
        ((0.2, 50, 60, 70), "1"),
        ((50, 0, 60, 70), "1"),
        ((50, 50, 399.9, 70), "1"),
        ((50, 50, 60, 300), "1"),
        ((1, 1, 399, 299), "0"),
    ],
)
def test_a_box_that_reaches_an_edge_is_truncated(box, truncated):
    (said,) = read(voc_annotation("a.jpg", HW, [detection(CAT, box, 0.5)]))["object"]
    assert said["truncated"] == truncated


@given(name=st.text(st.characters(codec=None)))
def test_any_name_is_valid_xml(name):
    found = [detection(ClassGroup(name, (0,)), (1, 1, 2, 2), 0.5)]
    root = ElementTree.fromstring(voc_annotation(f"{name}.jpg", HW, found).encode())
    assert len(root.findall("object/name")) == 1


@pytest.mark.parametrize("name", ['<b> &amp; "c"', "日本 🐈", "two  blanks"])
def test_names_that_xml_can_hold_come_back(name):
    found = [detection(ClassGroup(name, (0,)), (1, 1, 2, 2), 0.5)]
    said = read(voc_annotation(f"{name}.jpg", HW, found))
    path = ElementTree.fromstring(voc_annotation(f"{name}.jpg", HW, found)).findtext("filename")
    assert (said["object"][0]["name"], path) == (name, f"{name}.jpg")
