"""Detections in COCO format: the results array, and the dataset that its ids refer to.

The formats are those of https://cocodataset.org/#format-data and #format-results.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import operator
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...classes import ClassGroup, visible
from ...contents import read_text
from ...errors import ClassError, ResultError
from ...geometry import Box
from ..detection import Detection

INFO = {"description": "Objects detected by heatmap, with their scores: no ground truth."}
# The name of a photo of COCO, or another number that every JSON reader holds exactly.
_NUMBERED = re.compile(r"(?:COCO_[a-z]+[0-9]+_(?=[0-9]{12}\.))?([0-9]{1,15})(?:\.[^.]*)?", re.ASCII)


@dataclass(frozen=True)
class CocoImage:
    """What a photo is in COCO files: the id of an image, and its name in the dataset."""

    id: int
    file_name: str


class OwnIds:
    """Ids for when no COCO dataset gives any: equal names have equal ids in every run.

    A photo whose file name is a number, or that of a photo of COCO, has that number
    (``9.jpg``, ``COCO_val2014_000000000009.jpg``: 9). Any other has 48 bits of the SHA-256 of its
    file name; an array has 1. In a batch, :func:`batch_images` makes ids that differ. The id of a
    class is its index in the grid + 1, that of a group 48 bits of the SHA-256 of its name.
    """

    def image(self, path: str) -> CocoImage:
        """The image that a photo is when it is run by itself."""
        name = Path(path).name
        number = _number(name)
        return CocoImage(
            number if number is not None else _digest(name) if name else 1, name or "photo"
        )

    def category_id(self, group: ClassGroup) -> int:
        """The id of a class or group."""
        return group.indices[0] + 1 if len(group.indices) == 1 else _digest(group.name)


OWN_IDS = OwnIds()


@dataclass(frozen=True)
class CocoIds:
    """The ids of a COCO dataset: images by file name with "/", categories by name in lower case."""

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
            images = ((_slashed(image["file_name"]), image["id"]) for image in content["images"])
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

    def image(self, path: str, name: str = "") -> CocoImage:
        """The image that a photo is.

        That is the one of its relative path; else of the images that have its file name the one
        whose own path the photo's ends in, the longest of them; else the only one.

        Args:
            path: the photo; "" for an array.
            name: its path relative to the folder of a batch; by default ``path``.

        Raises:
            ResultError: the dataset has no image of this file name, or several that it may be.
        """
        name = name or path
        if (exact := _slashed(name)) in self.images:
            return CocoImage(self.images[exact], exact)
        same = self._by_file_name.get(posixpath.basename(exact), [])
        if len(same) > 1:
            absolute = f"/{_slashed(os.path.abspath(path))}"
            ends = [one for one in same if absolute.endswith(f"/{one}")]
            same = [max(ends, key=len)] if ends else same
        if len(same) == 1:
            return CocoImage(self.images[same[0]], same[0])
        if not same:
            raise ResultError(
                f"{name or 'an array'} is not among the {len(self.images)} images of "
                f"{self.source}: give the dataset that names it, or none"
            )
        raise ResultError(
            f"{name} may be {same[0]} or {same[1]} of {self.source}: "
            "run the folder that its file names are relative to"
        )

    @cached_property
    def _by_file_name(self) -> Mapping[str, list[str]]:
        """The images of each file name without folders."""
        names: dict[str, list[str]] = {}
        for name in self.images:
            names.setdefault(posixpath.basename(name), []).append(name)
        return names

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


def batch_images(photos: Mapping[str, str], remembered: Mapping[str, int]) -> dict[str, CocoImage]:
    """The images that the photos of a batch are: their ids differ, and those remembered stay.

    A new photo whose file name is a number has that number (:class:`OwnIds`) if no other photo
    does; any other has 48 bits of the SHA-256 of its relative path.

    Args:
        photos: relative path of each photo, by its name in the batch.
        remembered: ids of photos by name, also of those that are not there any more.
    """
    ids = dict(remembered)
    taken = set(ids.values())
    numbers = {name: _number(posixpath.basename(name)) for name in {**remembered, **photos}}
    times = Counter(number for number in numbers.values() if number is not None)
    for name in sorted(photos.keys() - ids.keys()):
        number = numbers[name]
        if number is None or times[number] > 1 or number in taken:
            number = next(one for one in _digests(photos[name]) if one not in taken)
        ids[name] = number
        taken.add(number)
    return {name: CocoImage(ids[name], path) for name, path in photos.items()}


def dataset_images(
    photos: Mapping[str, tuple[str, str]], ids: CocoIds
) -> dict[str, CocoImage | ResultError]:
    """The images of a dataset that the photos of a batch are, or why it cannot be told.

    Args:
        photos: path and relative path of each photo, by its name in the batch.
        ids: the dataset.
    """
    images: dict[str, CocoImage | ResultError] = {}
    bearers: dict[int, list[str]] = {}
    for name, (path, relative) in photos.items():
        try:
            image = ids.image(path, relative)
        except ResultError as error:
            images[name] = error
        else:
            images[name] = image
            bearers.setdefault(image.id, []).append(name)
    for number, names in bearers.items():
        exact = [name for name in names if _slashed(photos[name][1]) in ids.images]
        for name in names:
            others = [other for other in names if other != name]
            if others and exact != [name]:
                images[name] = ResultError(
                    f"{name} and {others[0]} would both be image {number} of {ids.source}: "
                    "run the folder that its file names are relative to"
                )
    return images


def coco_results(
    image: CocoImage, detections: Sequence[Detection], ids: OwnIds | CocoIds = OWN_IDS
) -> list[dict[str, Any]]:
    """The COCO results array of one photo.

    Each entry has image_id, category_id, bbox (left, top, width, height; photo px), and
    score, which is the confidence.

    Raises:
        ClassError: the dataset of ``ids`` does not have a class.
    """
    return [
        {
            "image_id": image.id,
            "category_id": ids.category_id(detection.group),
            "bbox": _left_top_width_height(detection.xyxy),
            "score": round(detection.confidence, 6),
        }
        for detection in detections
    ]


def coco_dataset(
    image: CocoImage,
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
    annotations = [
        {
            "id": number,
            **result,
            "area": round(result["bbox"][2] * result["bbox"][3], 2),
            "iscrowd": 0,
        }
        for number, result in enumerate(coco_results(image, detections), start=1)
    ]
    return {
        "info": INFO,
        "images": [{**asdict(image), "height": photo_hw[0], "width": photo_hw[1]}],
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


def _number(file_name: str) -> int | None:
    number = _NUMBERED.fullmatch(file_name)
    return None if number is None else int(number[1])


def _slashed(name: str) -> str:
    """A relative path as datasets of any system have it: with "/", without "./"."""
    return posixpath.normpath(name.replace("\\", "/")) if name else ""


def _digests(name: str) -> Iterator[int]:
    """48 bits of the SHA-256 of a name, and of others of its own if these are taken."""
    yield from (_digest(f"{name}{'~' * count}") for count in itertools.count())


def _digest(name: str) -> int:
    """48 bits of the SHA-256 of a name: far above any index, and exact in every JSON reader."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:6])
