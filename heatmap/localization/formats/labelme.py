"""Detections as annotations of labelme: a JSON file for each photo, with a rectangle for each.

The format is that of https://github.com/wkentaro/labelme, version 5 and later. Rectangles also
have the confidence as "score", which labelme keeps and X-AnyLabeling shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..detection import Detection
from .plain import clipped

_VERSION = "5.0.0"


def labelme_annotation(
    image_path: str, photo_hw: tuple[int, int], detections: Iterable[Detection]
) -> dict[str, Any]:
    """The annotation of a photo, which the file names and does not hold.

    Args:
        image_path: the photo relative to the folder of the file, with "/".
        photo_hw: height and width of the whole photo, px.
        detections: boxes in px of the whole photo.
    """
    height, width = photo_hw
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": [_rectangle(each, photo_hw) for each in detections],
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _rectangle(detection: Detection, photo_hw: tuple[int, int]) -> dict[str, Any]:
    left, top, right, bottom = clipped(detection.xyxy, photo_hw)
    return {
        "label": detection.name,
        "points": [[left, top], [right, bottom]],
        "group_id": None,
        "shape_type": "rectangle",
        "flags": {},
        "score": detection.confidence,
    }
