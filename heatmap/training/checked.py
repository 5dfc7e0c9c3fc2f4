"""Photos to train on, all checked before the training begins: a broken one must not end it later.

Damage often shows only when pixels are decoded, so each photo is decoded once more than the views
need. That takes 0.7 CPU seconds for 100 COCO photos (28 megapixels), 0.8 for 5 photos of 7 to 22.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import HeatmapError, PhotoError, ResultError, Use
from ..photo.annotations import BoxedPhoto, BoxFile, LabelledBox
from ..photo.broken import BrokenPhoto, told
from ..photo.checked import checked_hw
from ..photo.photo import read_photo

# Of photos that cannot be used, the error names so many.
MOST_TOLD = 10


@dataclass(frozen=True)
class MeasuredPhoto:
    """A photo with its height and width in px, and its sorted boxes."""

    name: str
    hw: tuple[int, int]
    boxes: tuple[LabelledBox, ...] = ()


def decoded_photos(
    folder: Path, names: Iterable[str]
) -> tuple[dict[str, tuple[int, int]], list[BrokenPhoto]]:
    """Height and width, px, of those of some photos that can be decoded, and the others."""
    sizes, broken = {}, []
    for name in names:
        try:
            sizes[name] = read_photo(folder / name).hw
        except PhotoError as error:
            broken.append(BrokenPhoto(name, error.message))
    return sizes, broken


def measured_photos(
    folder: Path, box_file: BoxFile
) -> tuple[list[MeasuredPhoto], list[BrokenPhoto]]:
    """The listed photos by name, and those that cannot be used.

    Each is checked against its listed size and boxes, and decoded.

    Raises:
        PhotoError: none of them is there.
        ResultError: one is listed twice.
    """
    names = {posixpath.normpath(listed.file): listed for listed in box_file.photos}
    if len(names) < len(box_file.photos):
        twice = next(listed.file for listed in box_file.photos if listed not in names.values())
        raise ResultError(f"{box_file.path}: {twice!r} is listed twice under different names")
    measured, broken = [], []
    for name in sorted(names):
        try:
            measured.append(_measured(folder, name, names[name], box_file.path))
        except HeatmapError as error:
            broken.append(BrokenPhoto(name, error.message))
    if all(each.reason.endswith("no such file") for each in broken) and not measured:
        raise PhotoError(
            f"{folder}: lacks all of the {len(names)} photos that {box_file.path} lists, first "
            f"{min(names)!r}: give the folder that their names are relative to"
        )
    return measured, broken


def _measured(folder: Path, name: str, listed: BoxedPhoto, source: str) -> MeasuredPhoto:
    hw = checked_hw(listed, folder / name, source)
    read_photo(folder / name)
    boxes = sorted(listed.boxes, key=lambda box: (box.label, box.xyxy))
    return MeasuredPhoto(name, hw, tuple(boxes))


def refuse_broken(broken: Sequence[BrokenPhoto], total: int, *, skip: bool) -> None:
    """Refuse photos that cannot be used, unless they are to be skipped.

    Args:
        broken: the photos.
        total: number of photos, with them.
        skip: whether they are left out.

    Raises:
        PhotoError: there are any; it names up to ``MOST_TOLD``.
    """
    if not broken or skip:
        return
    counted = f"{len(broken)} of {total} photos cannot be used: " if len(broken) > 1 else ""
    advice = "repair or remove {}, or leave {} out with {{}}, which lists all"
    them = "them" if len(broken) > 1 else "it"
    way = Use("skip_broken", True, text=advice.format(them, them))
    raise PhotoError(f"{counted}{told(broken, MOST_TOLD)}", way)


def check_enough(class_folder: Path, count: int, least: int, *, which: str = "") -> None:
    """Refuse a class with fewer than ``least`` photos, 1 or 2; ``which`` says of which kind.

    Raises:
        PhotoError: it has fewer.
    """
    if not count:
        raise PhotoError(
            f"{class_folder}: no photo in it{which}: put some there or remove the folder"
        )
    if count < least:
        raise PhotoError(
            f"{class_folder}: holds {count} photo{which}, training and validation need at least "
            f"{least}",
            Use("validation_split", 0, text="add photos or use {}"),
        )
