"""Training examples: regions of photos, each with its class."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..classes import BACKGROUND
from ..errors import ModelError, PhotoError, ResultError, Use, reason_of
from ..geometry import Box
from ..photo.annotations import BoxedPhoto, BoxFile, LabelledBox, check_hw, check_inside, read_boxes
from ..photo.folder import files_below
from ..photo.formats import SUFFIXES
from ..photo.photo_file import upright_hw
from .sampling import seed_digest, square_around, squares_beside, validation_photos

SMALLEST_PX = 8  # boxes with a shorter long side are left out
MOST_BACKGROUND = 3  # maximum number of background regions per photo


@dataclass(frozen=True)
class Example:
    """A region of a photo, and its class.

    Attributes:
        photo: path within the folder, with "/".
        label: index of the class in :attr:`Examples.classes`.
        xyxy: the region in px of the upright photo: a square on whole pixels, which extends
            beyond a photo that is too small for it. None is the whole photo.
        box: the box of the object in it, px, within the photo; None where there is none, or
            nobody said where it ends.
    """

    photo: str
    label: int
    xyxy: Box | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Examples:
    """The training and validation examples of a folder.

    All examples of a photo are in the same part, consecutively.

    Attributes:
        folder: the folder of the photos.
        classes: names of the classes; labels are their indices.
        training: the training examples.
        validation: the examples of the validation split.
    """

    folder: Path
    classes: tuple[str, ...]
    training: tuple[Example, ...]
    validation: tuple[Example, ...]

    def counts(self) -> dict[str, tuple[int, int]]:
        """The numbers of training and validation examples of each class."""
        training, validation = (
            Counter(example.label for example in part) for part in (self.training, self.validation)
        )
        return {
            name: (training[label], validation[label]) for label, name in enumerate(self.classes)
        }


def folder_examples(
    folder: str | Path,
    *,
    validation_split: float = 0.2,
    seed: int = 0,
    without: Path | None = None,
    background: str | Path | None = None,
) -> Examples:
    """Whole photos as examples, from one folder for each class, with the name of the class.

    Photos are the files with known suffixes in it and below. Hidden files and folders are left
    out, and so are links to folders, except the class folders themselves.

    Args:
        folder: contains the class folders; files beside them are ignored.
        validation_split: share of each class's photos for validation, from 0 to below 1,
            rounded; if above 0, at least one photo, and at least one is left for training.
        seed: seed of the choice of validation photos, which otherwise depends only on their
            names.
        without: a folder that is not a class.
        background: a folder of photos that show none of the classes and look like those to be
            searched; it may lie anywhere. They become the last class, "background": of each
            photo 1 to 3 random squares as large as photos of the classes, so that there are
            about as many as examples of another class on average.

    Raises:
        ModelError: the share is out of range.
        PhotoError: no such folder, fewer than two classes, a class with too few photos, or one
            that has the name of the background.
    """
    _check_split(validation_split)
    folder = _existing(folder)
    aside = [Path(path) for path in (without, background) if path is not None]
    class_folders = _class_folders(folder, aside, fewest=2 if background is None else 1)
    least = 2 if validation_split > 0 else 1
    examples = [
        Example(photo, label)
        for label, class_folder in enumerate(class_folders)
        for photo in _photos_of(folder, class_folder, least=least)
    ]
    classes = [class_folder.name for class_folder in class_folders]
    if background is not None:
        if BACKGROUND in classes:
            raise PhotoError(
                f"{folder / BACKGROUND}: is a class of the name of the background",
                Use("background", text="rename it or leave {} out"),
            )
        examples += _pieces(folder, _existing(background), examples, len(classes), seed, least)
        classes.append(BACKGROUND)
    return _split(folder, classes, examples, validation_split, seed)


def _pieces(
    folder: Path, background: Path, examples: Sequence[Example], label: int, seed: int, least: int
) -> list[Example]:
    """Random squares of photos of the background, as large as the photos of the classes."""
    sides = [min(upright_hw(folder / example.photo)) for example in examples]
    photos = _photos_of(folder, background, least=least)
    count = min(MOST_BACKGROUND, max(1, round(len(examples) / label / len(photos))))
    pieces = []
    for photo in photos:
        noise = np.random.default_rng(list(seed_digest(seed, BACKGROUND, photo)))
        squares = squares_beside([], upright_hw(folder / photo), [sides], count, noise)
        pieces += [Example(photo, label, square) for square in squares]
    return pieces


def boxed_examples(
    folder: str | Path,
    boxes: str | Path,
    *,
    validation_split: float = 0.2,
    seed: int = 0,
    background: str = BACKGROUND,
) -> Examples:
    """Regions around boxes as examples, with one class for each label, and background regions.

    The region of a box is a square around it with 1.2 times its long side, moved into the photo
    as far as possible. Boxes with a long side below 8 px are left out.

    The background, the last class, consists of squares within the photos that boxes cover by at
    most 5 %. Each photo gives 1 to 3 of them, so that there are about as many as examples of
    another class on average, or fewer where there is no room. Their sizes are those of the
    photo's own regions, or else of the regions of all photos.

    Args:
        folder: the folder of the photos; photos that ``boxes`` does not list are ignored.
        boxes: an annotation file, as in :func:`annotations.read_boxes`.
        validation_split: share of each class's photos for validation, from 0 to below 1,
            rounded. Every class has a photo for training, and one for validation if possible.
        seed: seed of the choice of validation photos and background squares, which otherwise
            depend only on the names of the photos and their boxes.
        background: name of the background class.

    Raises:
        ModelError: the share is out of range.
        PhotoError: no such folder; or a photo is missing, cannot be read, or has another size
            than listed.
        ResultError: the boxes cannot be read or do not fit their photos, all boxes of a label are
            too small, a label has the name of the background, or there is no background.
    """
    _check_split(validation_split)
    folder = _existing(folder)
    box_file = read_boxes(boxes)
    classes = _labels(box_file, background)
    photos = _measured_photos(folder, box_file)
    objects = _objects(photos, classes)
    _check_every_label(box_file, classes, objects)
    beside = _background(photos, objects, len(classes), seed)
    if not beside:
        raise ResultError(
            f"{boxes}: {len(photos)} photos have no place free of boxes: "
            "list photos without boxes too"
        )
    examples = sorted(
        [*objects, *beside],
        key=lambda example: (example.photo, example.label, example.xyxy or ()),
    )
    return _split(folder, [*classes, background], examples, validation_split, seed)


def _check_split(validation_split: float) -> None:
    if not 0 <= validation_split < 1:
        raise ModelError(
            f"validation_split is {validation_split:g}: "
            "give a share of the photos from 0 to below 1"
        )


def _existing(folder: str | Path) -> Path:
    if not Path(folder).is_dir():
        is_file = Path(folder).exists()
        raise PhotoError(f"{folder}: {'is a file, not a folder' if is_file else 'no such folder'}")
    return Path(folder)


def _class_folders(folder: Path, aside: Sequence[Path], *, fewest: int) -> list[Path]:
    """The folders of classes, sorted by name; those set aside are none."""
    try:
        folders = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
        none = {path.resolve() for path in aside}
        folders = [path for path in folders if path.resolve() not in none]
    except OSError as error:
        raise PhotoError(f"{folder}: cannot be read: {reason_of(error)}") from error
    if len(folders) < fewest:
        names = f" ({folders[0].name})" if folders else ""
        raise PhotoError(
            f"{folder}: holds {len(folders)} folders{names}, a classifier needs at least {fewest} "
            f"class{'es' * (fewest > 1)}: put the photos of each class in a folder of its name"
        )
    return sorted(folders, key=lambda path: path.name)


def _photos_of(folder: Path, class_folder: Path, *, least: int) -> list[str]:
    """The photos of a class, sorted by path."""
    photos = [path for path in files_below(class_folder) if path.suffix.lower() in SUFFIXES]
    if not photos:
        raise PhotoError(f"{class_folder}: no photo in it: put some there or remove the folder")
    if len(photos) < least:
        raise PhotoError(
            f"{class_folder}: holds {len(photos)} photo, training and validation need at least "
            f"{least}",
            Use("validation_split", 0, text="add photos or use {}"),
        )
    # The folder of the background may lie beside that of the classes.
    return sorted(Path(os.path.relpath(path, folder)).as_posix() for path in photos)


def _labels(box_file: BoxFile, background: str) -> list[str]:
    labels = sorted(box_file.label_counts())
    if not labels:
        raise ResultError(f"{box_file.path}: holds no boxes")
    if background in labels:
        raise ResultError(
            f"{box_file.path}: label {background!r} is also the name of the background: "
            "rename one of them"
        )
    return labels


@dataclass(frozen=True)
class _MeasuredPhoto:
    """A photo with its height and width in px, and its sorted boxes."""

    name: str
    hw: tuple[int, int]
    boxes: tuple[LabelledBox, ...]


def _measured_photos(folder: Path, box_file: BoxFile) -> list[_MeasuredPhoto]:
    """The listed photos by name, checked against their listed sizes and boxes."""
    names = {posixpath.normpath(listed.file): listed for listed in box_file.photos}
    if len(names) < len(box_file.photos):
        twice = next(listed.file for listed in box_file.photos if listed not in names.values())
        raise ResultError(f"{box_file.path}: {twice!r} is listed twice under different names")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise PhotoError(
            f"{folder}: lacks {len(missing)} of the {len(names)} photos that {box_file.path} "
            f"lists, first {missing[0]!r}: give the folder that their names are relative to"
        )
    return [_measured(folder, name, names[name], box_file.path) for name in sorted(names)]


def _measured(folder: Path, name: str, listed: BoxedPhoto, source: str) -> _MeasuredPhoto:
    hw = upright_hw(folder / name)
    check_hw(listed, hw, folder / name, source)
    for box in listed.boxes:
        check_inside(box.xyxy, hw, f"{source}: {listed.file}: box of {box.label!r}")
    boxes = sorted(listed.boxes, key=lambda box: (box.label, box.xyxy))
    return _MeasuredPhoto(name, hw, tuple(boxes))


def _objects(photos: Sequence[_MeasuredPhoto], classes: Sequence[str]) -> list[Example]:
    label_of = {name: label for label, name in enumerate(classes)}
    objects = []
    for photo in photos:
        for box in photo.boxes:
            left, top, right, bottom = box.xyxy
            within = (max(left, 0), max(top, 0), min(right, photo.hw[1]), min(bottom, photo.hw[0]))
            if max(within[2] - within[0], within[3] - within[1]) >= SMALLEST_PX:
                square = square_around(within, photo.hw)
                objects.append(Example(photo.name, label_of[box.label], square, within))
    return objects


def _check_every_label(
    box_file: BoxFile, classes: Sequence[str], objects: Sequence[Example]
) -> None:
    """Refuse a label whose boxes are all too small."""
    remaining = {classes[example.label] for example in objects}
    for label, count in box_file.label_counts().items():
        if label not in remaining:
            raise ResultError(
                f"{box_file.path}: none of the {count} boxes of {label!r} is {SMALLEST_PX} px "
                "long: enlarge the photos or remove the label"
            )


def _background(
    photos: Sequence[_MeasuredPhoto], objects: Sequence[Example], label: int, seed: int
) -> list[Example]:
    """Background regions of each photo, as examples of class ``label``."""
    sides: dict[str, list[int]] = {photo.name: [] for photo in photos}
    for example in objects:
        if example.xyxy is not None:
            sides[example.photo].append(round(example.xyxy[2] - example.xyxy[0]))
    all_sides = [side for photo_sides in sides.values() for side in photo_sides]
    count = min(MOST_BACKGROUND, max(1, round(len(objects) / label / len(photos))))
    examples = []
    for photo in photos:
        noise = np.random.default_rng(list(seed_digest(seed, "background", photo.name)))
        boxes = [box.xyxy for box in photo.boxes]
        squares = squares_beside(boxes, photo.hw, (sides[photo.name], all_sides), count, noise)
        examples += [Example(photo.name, label, square) for square in squares]
    return examples


def _split(
    folder: Path, classes: Sequence[str], examples: Sequence[Example], share: float, seed: int
) -> Examples:
    labels: dict[str, set[int]] = {}
    for example in examples:
        labels.setdefault(example.photo, set()).add(example.label)
    chosen = validation_photos(labels, share, seed)
    training = tuple(example for example in examples if example.photo not in chosen)
    validation = tuple(example for example in examples if example.photo in chosen)
    return Examples(folder, tuple(classes), training, validation)
