"""Ground-truth boxes on photos, read from annotation files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..classes import Wanted, visible
from ..errors import PhotoError, ResultError
from ..geometry import Box, size_text
from .entries import Entry, filled_text, number_of, parsed_json, shown

CORNERS = ("xmin", "ymin", "xmax", "ymax")


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
        faults: what is wrong with the entries of the photo and of further boxes, a line each. A
            photo with any is not used, since not all that is on it is known.
    """

    file: str
    hw: tuple[int, int] | None
    boxes: tuple[LabelledBox, ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoxFile:
    """The content of an annotation file.

    Attributes:
        path: the file.
        photos: the photos with their boxes.
        crowds: number of regions left out because they are marked ``iscrowd``.
        empty: number of boxes left out because they have no area.
        cut: number of boxes that reached a little outside, and were cut to their photos.
    """

    path: str
    photos: tuple[BoxedPhoto, ...]
    crowds: int = 0
    empty: int = 0
    cut: int = 0

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

    A box that is not four finite numbers, or of negative size, is a fault of its photo
    (:attr:`BoxedPhoto.faults`).

    Raises:
        ResultError: the file cannot be read, or has none of these formats.
    """
    text = filled_text(path)
    if text.lstrip()[:1] not in ("{", "["):
        return _from_csv(text, str(path))
    data = parsed_json(text, str(path))
    if isinstance(data, dict):
        return _from_coco(Entry(data, str(path)))
    return _from_list(data, str(path))


def read_mapping(path: str | Path) -> dict[str, tuple[Wanted, ...]]:
    """Read a mapping from labels to classes: JSON ``{"label": ["class name", 281, "n02123045"]}``.

    A class is given by name, index or wnid; a label with an empty list has no class.

    Raises:
        ResultError: the file cannot be read, or holds something else.
    """
    data = parsed_json(filled_text(path), str(path))
    if not isinstance(data, dict):
        raise ResultError(f'{path}: is not a JSON object: give {{"label": ["class", ...], ...}}')
    return {visible(label): _wanted(value, f"{path}: {label!r}") for label, value in data.items()}


def _wanted(value: object, name: str) -> tuple[Wanted, ...]:
    classes = value if isinstance(value, list) else [value]
    for wanted in classes:
        if isinstance(wanted, bool) or not isinstance(wanted, str | int):
            raise ResultError(f"{name}: is {shown(wanted)}: give class names, indices or wnids")
    return tuple(classes)


def _from_coco(data: Entry) -> BoxFile:
    labels = {
        key: category.get("name", str) for key, category in _by_id(data, "categories").items()
    }
    images = _by_id(data, "images")
    annotations: dict[int | str, list[Entry]] = {key: [] for key in images}
    crowds = 0
    for annotation in data.entries("annotations"):
        if annotation.values.get("iscrowd"):
            crowds += 1
            continue
        annotations[_listed_id(annotation, "image_id", images)].append(annotation)

    def box_of(annotation: Entry) -> LabelledBox:
        label = labels[_listed_id(annotation, "category_id", labels)]
        return _box(label, _coco_xyxy(annotation), annotation.name)

    photos = [
        _boxed(image.get("file_name", str), image, annotations[key], box_of)
        for key, image in images.items()
    ]
    return _gathered(data.name, photos, crowds)


def _boxed(
    file: str, photo: Entry, entries: Iterable[Entry], box_of: Callable[[Entry], LabelledBox]
) -> BoxedPhoto:
    """A photo with those of its boxes that can be read, and what is wrong with others."""
    hw, boxes, faults = None, [], []
    try:
        hw = photo.hw()
    except ResultError as error:
        faults.append(error.message)
    for entry in entries:
        try:
            boxes.append(box_of(entry))
        except ResultError as error:
            faults.append(error.message)
    return BoxedPhoto(file, hw, tuple(boxes), tuple(faults))


def _by_id(data: Entry, key: str) -> dict[int | str, Entry]:
    entries: dict[int | str, Entry] = {}
    for entry in data.entries(key):
        identity = entry.identity("id")
        if identity in entries:
            raise ResultError(f"{entry.name}: id {identity!r} is used twice")
        entries[identity] = entry
    return entries


def _listed_id(entry: Entry, key: str, listed: Mapping[int | str, object]) -> int | str:
    identity = entry.identity(key)
    if identity not in listed:
        raise ResultError(f"{entry.name}: {key!r} is {identity!r}, which the file does not list")
    return identity


def _coco_xyxy(entry: Entry) -> Box:
    numbers: list[object] = entry.get("bbox", list)
    if len(numbers) != 4:
        raise ResultError(f"{entry.name}: 'bbox' has {len(numbers)} numbers, expected 4")
    left, top, width, height = (number_of(number, f"{entry.name}: 'bbox'") for number in numbers)
    return left, top, left + width, top + height


def _from_list(data: object, path: str) -> BoxFile:
    photos = [
        _boxed(photo.get("file", str), photo, photo.entries("boxes"), _cornered)
        for photo in Entry({"photos": data}, path).entries("photos")
    ]
    return _gathered(path, photos)


def _from_csv(text: str, path: str) -> BoxFile:
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    columns = ("file", "label", *CORNERS)
    by_file: dict[str, list[Entry]] = {}
    try:
        missing = [name for name in columns if name not in (rows.fieldnames or ())]
        if missing:
            raise ResultError(
                f"{path}: is neither JSON nor CSV with the columns {','.join(columns)}: "
                f"{', '.join(missing)} missing"
            )
        for row in rows:
            # Short rows lack their last values.
            entry = Entry(
                {key: value for key, value in row.items() if value is not None},
                f"{path}: line {rows.line_num}",
            )
            by_file.setdefault(entry.get("file", str), []).append(entry)
    except csv.Error as error:
        raise ResultError(f"{path}: line {rows.line_num}: {error}") from error
    nothing = Entry({}, path)
    photos = [_boxed(file, nothing, entries, _cornered) for file, entries in by_file.items()]
    return _gathered(path, photos)


def _cornered(entry: Entry) -> LabelledBox:
    left, top, right, bottom = (entry.number(side) for side in CORNERS)
    return _box(entry.get("label", str), (left, top, right, bottom), entry.name)


def _box(label: str, xyxy: Box, name: str) -> LabelledBox:
    left, top, right, bottom = xyxy
    if right < left or bottom < top:
        size = f"{right - left:g} px wide and {bottom - top:g} px high"
        raise ResultError(f"{name}: box of {label!r} is {size}: neither may be negative")
    return LabelledBox(visible(label), xyxy)


def _gathered(path: str, photos: Sequence[BoxedPhoto], crowds: int = 0) -> BoxFile:
    """Check that no photo is listed twice, and drop boxes without an area (COCO has some).

    Raises:
        ResultError: one is, or there are faults only, as where a file is of another kind.
    """
    faults = [fault for photo in photos for fault in photo.faults]
    if faults and not any(photo.boxes for photo in photos):
        raise ResultError(faults[0])
    twice = [file for file, times in Counter(photo.file for photo in photos).items() if times > 1]
    if twice:
        raise ResultError(f"{path}: {twice[0]!r} is listed twice: give all its boxes in one place")
    with_area = tuple(
        replace(photo, boxes=tuple(box for box in photo.boxes if box.area > 0)) for photo in photos
    )
    boxes, left = (sum(len(photo.boxes) for photo in some) for some in (photos, with_area))
    return BoxFile(path, with_area, crowds, empty=boxes - left)


# Boxes extend beyond their photo by up to this much because annotators round.
ROUNDING_PX = 1.0


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
    apart = left >= hw[1] or top >= hw[0] or right <= 0 or bottom <= 0
    if apart or max(-left, -top, right - hw[1], bottom - hw[0]) > ROUNDING_PX:
        raise ResultError(
            f"{name} ({left:g}, {top:g}, {right:g}, {bottom:g}) reaches outside the photo of "
            f"{size_text(hw)}: give left, top, right, bottom in px"
        )
