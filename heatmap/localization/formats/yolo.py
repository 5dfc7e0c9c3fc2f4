"""Detections as YOLO labels: a text file for each photo, and the names of the class numbers.

A line is a detection: class number, centre x and y, width and height of its box in fractions of
the photo's width and height. There is no sixth number, the confidence: ultralytics trains on files
with five only, and refuses others (``verify_image_label``). The format is that of
https://docs.ultralytics.com/datasets/detect/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from ...classes import ClassGroup
from ..detection import Detection
from .plain import clipped, one_line


def yolo_labels(
    detections: Iterable[Detection],
    photo_hw: tuple[int, int],
    number: Callable[[ClassGroup], int],
) -> str:
    """The labels of a photo; "" where there are no detections, which makes it a negative.

    Args:
        detections: boxes in px of the whole photo.
        photo_hw: height and width of the whole photo, px.
        number: gives the number of a class, counted from 0.
    """
    return "".join(_line(number(each.group), each, photo_hw) for each in detections)


def _line(number: int, detection: Detection, photo_hw: tuple[int, int]) -> str:
    left, top, right, bottom = clipped(detection.xyxy, photo_hw)
    height, width = photo_hw
    centre = (left + right) / 2 / width, (top + bottom) / 2 / height
    sides = (right - left) / width, (bottom - top) / height
    # A hundredth of a pixel of the largest photos.
    return " ".join((str(number), *(f"{share:.8f}" for share in (*centre, *sides)))) + "\n"


def yolo_names(names: Sequence[str]) -> str:
    """The content of ``classes.txt``: the name of each class number, one a line."""
    return "".join(f"{one_line(name).strip()}\n" for name in names)


def yolo_dataset(names: Sequence[str]) -> str:
    """The content of ``data.yaml``, for photos in ``images`` and labels in ``labels`` beside it.

    Its folder is where ultralytics looks, since it names no other.
    """
    head = (
        "# Detections to review, no ground truth. The photos go into images/, in the folders that\n"
        "# labels/ has. Name other photos for val before you trust what is measured on them.\n"
        "train: images\nval: images\n"
    )
    # A string of JSON is one of YAML, whatever is in it.
    quoted = (json.dumps(one_line(name).strip(), ensure_ascii=False) for name in names)
    return f"{head}nc: {len(names)}\nnames:\n" + "".join(
        f"  {number}: {name}\n" for number, name in enumerate(quoted)
    )
