"""Ground-truth boxes on photos, read from annotation files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ..classes import Wanted, visible
from ..errors import PhotoError, ResultError, reason_of
from ..geometry import Box, size_text
from ..reading import read_text

CORNERS = ("xmin", "ymin", "xmax", "ymax")


_Value = TypeVar("_Value")


_KINDS: dict[type, str] = {str: "text", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class LabelledBox:
    """One object: its label, and left, top, right, bottom in px of the upright photo."""

    label: str
    xyxy: Box

    @property
    def area(self) -> float:
        """Area in square px."""
        return (self.xyxy[2] - self.xyxy[0]) * (self.xyxy[3] - self.xyxy[1])


@dataclass(frozen=True)
class BoxedPhoto:
    """The boxes of one photo.

    Attributes:
        file: path of the photo within the folder of photos.
        hw: height and width in px; None where the annotation file does not say.
        boxes: the boxes, all of positive area.
    """

    file: str
    hw: tuple[int, int] | None
    boxes: tuple[LabelledBox, ...]


@dataclass(frozen=True)
class BoxFile:
    """The content of an annotation file.

    Attributes:
        path: the file.
        photos: the photos with their boxes.
        crowds: number of regions left out because they are marked ``iscrowd``.
        empty: number of boxes left out because they have no area.
    """

    path: str
    photos: tuple[BoxedPhoto, ...]
    crowds: int = 0
    empty: int = 0

    def label_counts(self) -> dict[str, int]:
        """The number of boxes with each label."""
        return dict(Counter(box.label for photo in self.photos for box in photo.boxes))


def read_boxes(path: str | Path) -> BoxFile:
    """Read boxes in any of three formats, recognised by the content of the file.

    - COCO instances: an object with ``images``, ``annotations`` (``bbox`` is left, top,
      width, height) and ``categories``. Regions marked ``iscrowd`` are left out.
    - A plain list: ``[{"file", "width", "height", "boxes": [{"label", "xmin", "ymin",
      "xmax", "ymax"}]}]``; width and height may be missing.
    - CSV with the columns ``file,label,xmin,ymin,xmax,ymax`` in any order; others are ignored.

    Raises:
        ResultError: the file cannot be read, or has none of these formats.
    """
    text = _read_text(path)
    if text.lstrip()[:1] not in ("{", "["):
        return _from_csv(text, str(path))
    data = _parse_json(text, str(path))
    if isinstance(data, dict):
        return _from_coco(_Entry(data, str(path)))
    return _from_list(data, str(path))


def read_mapping(path: str | Path) -> dict[str, tuple[Wanted, ...]]:
    """Read a mapping from labels to classes: JSON ``{"label": ["class name", 281, "n02123045"]}``.

    A class is given by name, index or wnid; a label with an empty list has no class.

    Raises:
        ResultError: the file cannot be read, or holds something else.
    """
    data = _parse_json(_read_text(path), str(path))
    if not isinstance(data, dict):
        raise ResultError(f'{path}: is not a JSON object: give {{"label": ["class", ...], ...}}')
    return {visible(label): _wanted(value, f"{path}: {label!r}") for label, value in data.items()}


def _wanted(value: object, name: str) -> tuple[Wanted, ...]:
    classes = value if isinstance(value, list) else [value]
    for wanted in classes:
        if isinstance(wanted, bool) or not isinstance(wanted, str | int):
            raise ResultError(f"{name}: is {_shown(wanted)}: give class names, indices or wnids")
    return tuple(classes)


@dataclass(frozen=True)
class _Entry:
    """A JSON object or CSV row of a file, and its name for error messages."""

    values: Mapping[str, object]
    name: str

    @classmethod
    def of(cls, value: object, name: str) -> _Entry:
        if not isinstance(value, dict):
            raise ResultError(f"{name}: is {_shown(value)}, expected an object")
        return cls(value, name)

    def get(self, key: str, kind: type[_Value]) -> _Value:
        value = self._value(key)
        if not isinstance(value, kind):
            raise ResultError(f"{self.name}: {key!r} is {_shown(value)}, expected {_KINDS[kind]}")
        return value

    def entries(self, key: str) -> list[_Entry]:
        """The objects of a list, named by their index: "boxes.json: images[3]"."""
        values: list[object] = self.get(key, list)
        return [_Entry.of(value, f"{self.name}: {key}[{i}]") for i, value in enumerate(values)]

    def number(self, key: str) -> float:
        return _number(self._value(key), f"{self.name}: {key!r}")

    def identity(self, key: str) -> int | str:
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ResultError(f"{self.name}: {key!r} is {_shown(value)}, expected a number")
        return value

    def hw(self) -> tuple[int, int] | None:
        """Height and width, px; None where both are missing."""
        if not self.values.keys() & {"height", "width"}:
            return None
        height, width = self.number("height"), self.number("width")
        if min(height, width) < 1 or not (height.is_integer() and width.is_integer()):
            raise ResultError(f"{self.name}: is {width:g} x {height:g} px, expected whole numbers")
        return int(height), int(width)

    def _value(self, key: str) -> object:
        if key not in self.values:
            raise ResultError(f"{self.name}: has no {key!r}")
        return self.values[key]


def _from_coco(data: _Entry) -> BoxFile:
    labels = {
        key: category.get("name", str) for key, category in _by_id(data, "categories").items()
    }
    images = _by_id(data, "images")
    boxes: dict[int | str, list[LabelledBox]] = {key: [] for key in images}
    crowds = 0
    for annotation in data.entries("annotations"):
        if annotation.values.get("iscrowd"):
            crowds += 1
            continue
        label = labels[_listed_id(annotation, "category_id", labels)]
        box = _box(label, _coco_xyxy(annotation), annotation.name)
        boxes[_listed_id(annotation, "image_id", images)].append(box)
    photos = [
        BoxedPhoto(image.get("file_name", str), image.hw(), tuple(boxes[key]))
        for key, image in images.items()
    ]
    return _gathered(data.name, photos, crowds)


def _by_id(data: _Entry, key: str) -> dict[int | str, _Entry]:
    entries: dict[int | str, _Entry] = {}
    for entry in data.entries(key):
        identity = entry.identity("id")
        if identity in entries:
            raise ResultError(f"{entry.name}: id {identity!r} is used twice")
        entries[identity] = entry
    return entries


def _listed_id(entry: _Entry, key: str, listed: Mapping[int | str, object]) -> int | str:
    identity = entry.identity(key)
    if identity not in listed:
        raise ResultError(f"{entry.name}: {key!r} is {identity!r}, which the file does not list")
    return identity


def _coco_xyxy(entry: _Entry) -> Box:
    numbers: list[object] = entry.get("bbox", list)
    if len(numbers) != 4:
        raise ResultError(f"{entry.name}: 'bbox' has {len(numbers)} numbers, expected 4")
    left, top, width, height = (_number(number, f"{entry.name}: 'bbox'") for number in numbers)
    return left, top, left + width, top + height


def _from_list(data: object, path: str) -> BoxFile:
    photos = []
    for photo in _Entry({"photos": data}, path).entries("photos"):
        file = photo.get("file", str)
        boxes = [
            _box(box.get("label", str), _corners(box), box.name) for box in photo.entries("boxes")
        ]
        photos.append(BoxedPhoto(file, photo.hw(), tuple(boxes)))
    return _gathered(path, photos)


def _from_csv(text: str, path: str) -> BoxFile:
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    columns = ("file", "label", *CORNERS)
    by_file: dict[str, list[LabelledBox]] = {}
    try:
        missing = [name for name in columns if name not in (rows.fieldnames or ())]
        if missing:
            raise ResultError(
                f"{path}: is neither JSON nor CSV with the columns {','.join(columns)}: "
                f"{', '.join(missing)} missing"
            )
        for row in rows:
            # Short rows lack their last values.
            entry = _Entry(
                {key: value for key, value in row.items() if value is not None},
                f"{path}: line {rows.line_num}",
            )
            box = _box(entry.get("label", str), _corners(entry), entry.name)
            by_file.setdefault(entry.get("file", str), []).append(box)
    except csv.Error as error:
        raise ResultError(f"{path}: line {rows.line_num}: {error}") from error
    photos = [BoxedPhoto(file, None, tuple(boxes)) for file, boxes in by_file.items()]
    return _gathered(path, photos)


def _corners(entry: _Entry) -> Box:
    left, top, right, bottom = (entry.number(side) for side in CORNERS)
    return left, top, right, bottom


def _box(label: str, xyxy: Box, name: str) -> LabelledBox:
    left, top, right, bottom = xyxy
    if right < left or bottom < top:
        size = f"{right - left:g} px wide and {bottom - top:g} px high"
        raise ResultError(f"{name}: box of {label!r} is {size}: neither may be negative")
    return LabelledBox(visible(label), xyxy)


def _gathered(path: str, photos: Sequence[BoxedPhoto], crowds: int = 0) -> BoxFile:
    """Check that no photo is listed twice, and drop boxes without an area (COCO has some)."""
    twice = [file for file, times in Counter(photo.file for photo in photos).items() if times > 1]
    if twice:
        raise ResultError(f"{path}: {twice[0]!r} is listed twice: give all its boxes in one place")
    with_area = tuple(
        replace(photo, boxes=tuple(box for box in photo.boxes if box.area > 0)) for photo in photos
    )
    boxes, left = (sum(len(photo.boxes) for photo in some) for some in (photos, with_area))
    return BoxFile(path, with_area, crowds, empty=boxes - left)


def _number(value: object, name: str) -> float:
    try:
        # Numbers are text in CSV; text is accepted in JSON too.
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ResultError(f"{name} is {_shown(value)}, expected a finite number")
    return number


def _shown(value: object) -> str:
    """A value in a few words, for error messages."""
    if isinstance(value, list | dict):
        return _KINDS[type(value)]
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _read_text(path: str | Path) -> str:
    text = read_text(path, ResultError)
    if not text.strip():
        raise ResultError(f"{path}: is empty")
    return text


def _parse_json(text: str, path: str) -> object:
    try:
        parsed: object = json.loads(text)
    # RecursionError: brackets nested by the thousand.
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path}: is not JSON: {reason_of(error)}") from error
    return parsed


# Boxes may extend beyond their photo by this much, since annotators round.
_SLACK_PX = 1.0


def check_hw(boxed: BoxedPhoto, hw: tuple[int, int], path: Path, source: str) -> None:
    """Refuse a photo whose upright height and width are not those in the annotation file.

    Args:
        boxed: the photo as listed in the annotation file ``source``.
        hw: height and width of the upright photo, px.
        path: the photo, for the message.
        source: the annotation file, for the message.

    Raises:
        PhotoError: they differ.
    """
    if boxed.hw is not None and boxed.hw != hw:
        turned = ": boxes must be those of the photo turned upright" if boxed.hw == hw[::-1] else ""
        raise PhotoError(f"{path}: is {size_text(hw)}, {source} says {size_text(boxed.hw)}{turned}")


def check_inside(xyxy: Box, hw: tuple[int, int], name: str) -> None:
    """Refuse a box that extends beyond a photo of ``hw`` px by more than rounding.

    Raises:
        ResultError: it does; the message calls it ``name``.
    """
    left, top, right, bottom = xyxy
    if max(-left, -top, right - hw[1], bottom - hw[0]) > _SLACK_PX:
        raise ResultError(
            f"{name} ({left:g}, {top:g}, {right:g}, {bottom:g}) reaches outside the photo of "
            f"{size_text(hw)}: give left, top, right, bottom in px"
        )
