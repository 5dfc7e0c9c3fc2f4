"""Detections in COCO format: the results array, and the dataset that its ids refer to.

The formats are those of https://cocodataset.org/#format-data and #format-results.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..classes import ClassGroup, visible
from ..errors import ClassError, ResultError
from ..geometry import Box
from ..localization.detection import Detection
from ..reading import read_text


class OwnIds:
    """Ids for when no COCO dataset gives any: equal names have equal ids in every run.

    A photo whose file name is a number, or ends in one of 12 digits after a "_", has that
    number (``000000000009.jpg``, ``COCO_val2014_000000000009.jpg``: 9). Any other has 48 bits
    of the SHA-256 of its file name, so that results of many photos can be merged; an array
    has 1. The id of a class is its index in the grid + 1, that of a group 48 bits of the
    SHA-256 of its name.
    """

    def image_id(self, path: str) -> int:
        """The id of a photo."""
        name = Path(path).name
        number = re.fullmatch(r"(?:.*_(?=[0-9]{12}\.))?([0-9]{1,15})(?:\.[^.]*)?", name)
        return int(number[1]) if number else _digest(name) if name else 1

    def category_id(self, group: ClassGroup) -> int:
        """The id of a class or group."""
        return group.indices[0] + 1 if len(group.indices) == 1 else _digest(group.name)


OWN_IDS = OwnIds()


@dataclass(frozen=True)
class CocoIds:
    """The ids of a COCO dataset: images by file name, categories by name in lower case."""

    source: str
    images: Mapping[str, int]
    categories: Mapping[str, int]

    @classmethod
    def read(cls, path: str | Path) -> CocoIds:
        """Read the ids of a dataset such as ``instances_val2017.json``.

        Raises:
            ResultError: no such file, not a COCO dataset, or a name with two ids.
        """
        try:
            content = json.loads(read_text(path, ResultError))
            images = ((Path(image["file_name"]).name, image["id"]) for image in content["images"])
            categories = (
                (visible(category["name"]).casefold(), category["id"])
                for category in content["categories"]
            )
            return cls(str(path), _by_name(images, path), _by_name(categories, path))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ResultError(
                f"{path}: is not a COCO dataset with images (id, file_name) and categories "
                "(id, name): give one such as instances_val2017.json"
            ) from error

    def image_id(self, path: str) -> int:
        """The id of a photo.

        Raises:
            ResultError: the dataset has no image of this file name.
        """
        name = Path(path).name
        if name not in self.images:
            raise ResultError(
                f"{name or 'an array'} is not among the {len(self.images)} images of "
                f"{self.source}: give the dataset that names it, or none"
            )
        return self.images[name]

    def category_id(self, group: ClassGroup) -> int:
        """The id of a class or group.

        Raises:
            ClassError: the dataset has no category of this name.
        """
        name = group.name.casefold()
        if name not in self.categories:
            raise ClassError(
                f"class {group.name!r} is not among the {len(self.categories)} categories of "
                f"{self.source}: ask for those by name, or give no dataset"
            )
        return self.categories[name]


def coco_results(
    path: str, detections: Sequence[Detection], ids: OwnIds | CocoIds = OWN_IDS
) -> list[dict[str, Any]]:
    """The COCO results array of one photo.

    Each entry has image_id, category_id, bbox (left, top, width, height; photo px), and
    score, which is the confidence.

    Raises:
        ResultError: the dataset of ``ids`` does not have the photo.
        ClassError: it does not have a class.
    """
    image_id = ids.image_id(path)
    return [
        {
            "image_id": image_id,
            "category_id": ids.category_id(detection.group),
            "bbox": _left_top_width_height(detection.xyxy),
            "score": round(detection.confidence, 6),
        }
        for detection in detections
    ]


def coco_dataset(
    path: str,
    photo_hw: tuple[int, int],
    detections: Sequence[Detection],
    groups: Sequence[ClassGroup],
) -> dict[str, Any]:
    """A COCO dataset of one photo: names for :class:`OwnIds`, and detections as annotations.

    Categories are the classes of the detections and of ``groups``. Annotations also have the
    confidence as "score": they are results to review and correct, not ground truth.
    """
    named = (*groups, *(detection.group for detection in detections))
    names = {OWN_IDS.category_id(group): group.name for group in named}
    image = {"id": OWN_IDS.image_id(path), "file_name": Path(path).name or "photo"}
    annotations = [
        {
            "id": number,
            **result,
            "area": round(result["bbox"][2] * result["bbox"][3], 2),
            "iscrowd": 0,
        }
        for number, result in enumerate(coco_results(path, detections), start=1)
    ]
    return {
        "info": {"description": "Objects detected by heatmap, with their scores: no ground truth."},
        "images": [{**image, "height": photo_hw[0], "width": photo_hw[1]}],
        "categories": [{"id": number, "name": names[number]} for number in sorted(names)],
        "annotations": annotations,
    }


def _left_top_width_height(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [round(number, 2) for number in (left, top, right - left, bottom - top)]


def _by_name(pairs: Iterable[tuple[str, int]], path: str | Path) -> dict[str, int]:
    """Ids by name.

    Raises:
        ResultError: a name has two ids.
        TypeError: an id is not a whole number.
    """
    ids: dict[str, int] = {}
    for name, number in pairs:
        if ids.setdefault(name, operator.index(number)) != number:
            raise ResultError(f"{path}: {name!r} has the ids {ids[name]} and {number}: keep one")
    return ids


def _digest(name: str) -> int:
    """48 bits of the SHA-256 of a name: far above any index, and exact in every JSON reader."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:6])
