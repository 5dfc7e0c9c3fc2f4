"""Training examples: regions of photos, each with its class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..classes import BACKGROUND
from ..errors import ModelError, PhotoError, ResultError, Use, reason_of
from ..geometry import Box
from ..photo.annotations import BoxFile, read_boxes
from ..photo.broken import BrokenPhoto
from ..photo.gathered_notes import gathered_notes
from ..photo.listed import cut_note, on_photos
from ..photo.reading import AS_IT_IS, Reading
from .checked import MeasuredPhoto, PhotoCheck, check_enough
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
        broken: photos that were left out, since they cannot be used.
        notes: what was changed in the boxes that they come from, how photos were read, and which
            scarce classes the network knows without training.
        reading: how photo files are read, where they leave a choice.
    """

    folder: Path
    classes: tuple[str, ...]
    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    broken: tuple[BrokenPhoto, ...] = ()
    notes: tuple[str, ...] = ()
    reading: Reading = AS_IT_IS

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
    skip_broken: bool = False,
    reading: Reading = AS_IT_IS,
) -> Examples:
    """Whole photos as examples, from one folder for each class, with the name of the class.

    Photos are the files with known suffixes in it and below. Hidden files and folders are left
    out, and so are links to folders, except the class folders themselves. Each photo is decoded, to
    find those that are damaged.

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
        skip_broken: leave out photos that cannot be read, and folders below those of the classes.
        reading: how photo files are read, where they leave a choice.

    Raises:
        ModelError: the share is out of range.
        PhotoError: no such folder, fewer than two classes, a class with too few photos, one that
            has the name of the background, or photos that cannot be read.
    """
    _check_split(validation_split)
    folder = _existing(folder)
    aside = [Path(path) for path in (without, background) if path is not None]
    class_folders = _class_folders(folder, aside, fewest=2 if background is None else 1)
    least = 2 if validation_split > 0 else 1
    classes = [class_folder.name for class_folder in class_folders]
    if background is not None:
        if BACKGROUND in classes:
            raise PhotoError(
                f"{folder / BACKGROUND}: is a class of the name of the background",
                Use("background", text="rename it or leave {} out"),
            )
        class_folders.append(_existing(background))
        classes.append(BACKGROUND)
    check = PhotoCheck(folder, reading)
    sizes = _decoded(check, class_folders, least=least, skip=skip_broken)
    examples = [
        Example(photo, label)
        for label, photos in enumerate(sizes if background is None else sizes[:-1])
        for photo in photos
    ]
    if background is not None:
        sides = [min(hw) for of_class in sizes[:-1] for hw in of_class.values()]
        examples += _pieces(sizes[-1], sides, len(classes) - 1, seed)
    return _split(check, classes, examples, validation_split, seed)


def _decoded(
    check: PhotoCheck, class_folders: Sequence[Path], *, least: int, skip: bool
) -> list[dict[str, tuple[int, int]]]:
    """For each class its photos with their heights and widths, px."""
    photos = [check.photos_of(each, least) for each in class_folders]
    sizes = [check.sizes(of_class) for of_class in photos]
    check.refuse_broken(sum(map(len, photos)), skip=skip)
    for class_folder, decoded in zip(class_folders, sizes, strict=True):
        check_enough(class_folder, len(decoded), least, which=" that can be read")
    return sizes


def _pieces(
    sizes: Mapping[str, tuple[int, int]], sides: Sequence[int], label: int, seed: int
) -> list[Example]:
    """Random squares of photos of the background, as large as the photos of the classes."""
    count = min(MOST_BACKGROUND, max(1, round(len(sides) / label / len(sizes))))
    pieces = []
    for photo, hw in sizes.items():
        noise = np.random.default_rng(list(seed_digest(seed, BACKGROUND, photo)))
        squares = squares_beside([], hw, [sides], count, noise)
        pieces += [Example(photo, label, square) for square in squares]
    return pieces


def boxed_examples(
    folder: str | Path,
    boxes: str | Path,
    *,
    validation_split: float = 0.2,
    seed: int = 0,
    background: str = BACKGROUND,
    skip_broken: bool = False,
    reading: Reading = AS_IT_IS,
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
        skip_broken: leave out photos that cannot be used, instead of raising PhotoError for them.
        reading: how photo files are read, where they leave a choice.

    Raises:
        ModelError: the share is out of range.
        PhotoError: no such folder; or photos are missing, cannot be read, have another size than
            listed, or boxes that have faults or extend beyond them.
        ResultError: the boxes cannot be read, all boxes of a label are too small, a label has the
            name of the background, or there is no background.
    """
    _check_split(validation_split)
    folder = _existing(folder)
    box_file = on_photos(read_boxes(boxes), folder)
    classes = _labels(box_file, background)
    check = PhotoCheck(folder, reading)
    photos = check.measured(box_file)
    check.refuse_broken(len(box_file.photos), skip=skip_broken)
    objects = _objects(photos, classes)
    _check_every_label(box_file, photos, classes, objects)
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
    split = _split(check, [*classes, background], examples, validation_split, seed)
    notes = (cut_note(box_file.cut),) if box_file.cut else ()
    return replace(split, notes=(*notes, *split.notes))


def _check_split(validation_split: float) -> None:
    if not 0 <= validation_split < 1:
        raise ModelError(
            f"validation_split is {validation_split:g}: "
            "give a share of the photos from 0 to below 1"
        )


def _existing(folder: str | Path) -> Path:
    # Not of Path, whose methods raise errors where a name is too long.
    if not os.path.isdir(folder):
        is_file = os.path.exists(folder)
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


def _objects(photos: Sequence[MeasuredPhoto], classes: Sequence[str]) -> list[Example]:
    label_of = {name: label for label, name in enumerate(classes)}
    objects = []
    for photo in photos:
        for box in photo.boxes:
            left, top, right, bottom = box.xyxy
            if max(right - left, bottom - top) >= SMALLEST_PX:
                square = square_around(box.xyxy, photo.hw)
                objects.append(Example(photo.name, label_of[box.label], square, box.xyxy))
    return objects


def _check_every_label(
    box_file: BoxFile,
    photos: Sequence[MeasuredPhoto],
    classes: Sequence[str],
    objects: Sequence[Example],
) -> None:
    """Refuse a label whose boxes are all too small, or on photos that cannot be used."""
    remaining = {classes[example.label] for example in objects}
    usable = {box.label for photo in photos for box in photo.boxes}
    for label, count in box_file.label_counts().items():
        if label not in usable:
            raise PhotoError(
                f"{box_file.path}: none of the photos with the {count} boxes of {label!r} can be "
                "used: repair one or remove the label"
            )
        if label not in remaining:
            raise ResultError(
                f"{box_file.path}: none of the {count} boxes of {label!r} is {SMALLEST_PX} px "
                "long: enlarge the photos or remove the label"
            )


def _background(
    photos: Sequence[MeasuredPhoto], objects: Sequence[Example], label: int, seed: int
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
    check: PhotoCheck,
    classes: Sequence[str],
    examples: Sequence[Example],
    share: float,
    seed: int,
) -> Examples:
    labels: dict[str, set[int]] = {}
    for example in examples:
        labels.setdefault(example.photo, set()).add(example.label)
    chosen = validation_photos(labels, share, seed)
    training = tuple(example for example in examples if example.photo not in chosen)
    validation = tuple(example for example in examples if example.photo in chosen)
    return Examples(
        check.folder,
        tuple(classes),
        training,
        validation,
        tuple(check.broken),
        gathered_notes(check.notes),
        check.reading,
    )
