"""Detections as annotations of Pascal VOC: an XML file for each photo.

Boxes are those of the development kit: whole pixels counted from 1, the last one included. So
pixels 1 to 10 are the ten px from 0 to 10 in photo px. The format is that of
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree

from ...geometry import Box
from ...marks import MARK
from ..detection import Detection
from .plain import clipped, one_line


def voc_annotation(path: str, photo_hw: tuple[int, int], detections: Iterable[Detection]) -> str:
    """The annotation of a photo; without objects where there are no detections.

    A box that reaches an edge of the photo is marked as truncated, as LabelImg does; none is
    marked as difficult.

    Args:
        path: the photo; "" for an array. The file has its name, and that of its folder.
        photo_hw: height and width of the whole photo, px.
        detections: boxes in px of the whole photo.
    """
    height, width = photo_hw
    root = _element(
        "annotation",
        folder=PurePath(path).parent.name,
        filename=PurePath(path).name or "photo",
        source={"database": MARK},
        size={"width": width, "height": height, "depth": 3},
        segmented=0,
    )
    root.extend(_object(each, photo_hw) for each in detections)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _object(detection: Detection, photo_hw: tuple[int, int]) -> ElementTree.Element:
    xmin, ymin, xmax, ymax = _pixels(detection.xyxy, photo_hw)
    at_edge = 1 in (xmin, ymin) or xmax == photo_hw[1] or ymax == photo_hw[0]
    return _element(
        "object",
        name=detection.name.strip(),
        pose="Unspecified",
        truncated=int(at_edge),
        difficult=0,
        bndbox={"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax},
    )


def _pixels(xyxy: Box, photo_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The first and the last column and row of a box, counted from 1: xmin, ymin, xmax, ymax."""
    left, top, right, bottom = clipped(xyxy, photo_hw)
    xmin, xmax = _first_and_last(left, right, photo_hw[1])
    ymin, ymax = _first_and_last(top, bottom, photo_hw[0])
    return xmin, ymin, xmax, ymax


def _first_and_last(low: float, high: float, side: int) -> tuple[int, int]:
    """The pixels from one edge to the other; that of the middle where there is no whole one."""
    first, last = _rounded(low) + 1, _rounded(high)
    if first <= last:
        return first, last
    middle = min(math.floor((low + high) / 2) + 1, side)
    return middle, middle


def _rounded(value: float) -> int:
    """The nearest whole number; of two the higher one."""
    return math.floor(value + 0.5)


def _element(tag: str, **parts: Any) -> ElementTree.Element:
    """An element with an element for each part: text, a number, or parts of its own."""
    element = ElementTree.Element(tag)
    for name, value in parts.items():
        if isinstance(value, dict):
            element.append(_element(name, **value))
        else:
            ElementTree.SubElement(element, name).text = one_line(str(value))
    return element
