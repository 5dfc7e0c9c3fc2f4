"""Photos to train on, all checked before the training begins: a broken one must not end it later.

Damage often shows only when pixels are decoded, so each photo is decoded once more than the views
need. That takes 0.7 CPU seconds for 100 COCO photos (28 megapixels), 0.8 for 5 photos of 7 to 22.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HeatmapError, PhotoError, ResultError, Use
from ..photo.annotations import BoxedPhoto, BoxFile, LabelledBox
from ..photo.broken import BrokenPhoto, told
from ..photo.checked import checked_hw
from ..photo.decoding.formats import SUFFIXES
from ..photo.folder import files_below
from ..photo.photo import read_photo
from ..photo.reading import Reading

# Of photos that cannot be used, the error names so many.
MOST_TOLD = 10


@dataclass(frozen=True)
class MeasuredPhoto:
    """A photo with its height and width in px, and its sorted boxes."""

    name: str
    hw: tuple[int, int]
    boxes: tuple[LabelledBox, ...] = ()


@dataclass(frozen=True)
class PhotoCheck:
    """Decodes photos, and collects what is to be said of them.

    Attributes:
        folder: names are relative to it.
        reading: how photo files are read, where they leave a choice.
        broken: photos that cannot be used.
        notes: what the user should know of how each of the others was read, by its name.
    """

    folder: Path
    reading: Reading
    broken: list[BrokenPhoto] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def photos_of(self, class_folder: Path, least: int) -> list[str]:
        """The photos of a class, sorted by name; folders that cannot be read are broken.

        Raises:
            PhotoError: there are fewer than ``least``.
        """
        files = files_below(class_folder, self.broken.append)
        photos = [path for path in files if path.suffix.lower() in SUFFIXES]
        check_enough(class_folder, len(photos), least)
        # The folder of the background may lie beside that of the classes.
        return sorted(Path(os.path.relpath(path, self.folder)).as_posix() for path in photos)

    def sizes(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Height and width, px, of those of some photos that can be decoded."""
        sizes = {}
        for name in names:
            try:
                sizes[name] = self._decoded_hw(name)
            except PhotoError as error:
                self.broken.append(BrokenPhoto(name, error.message))
        return sizes

    def measured(self, box_file: BoxFile) -> list[MeasuredPhoto]:
        """The listed photos by name: those that have the listed size and boxes within it.

        Raises:
            PhotoError: none of them is there.
            ResultError: one is listed twice.
        """
        names = {posixpath.normpath(listed.file): listed for listed in box_file.photos}
        if len(names) < len(box_file.photos):
            twice = next(listed.file for listed in box_file.photos if listed not in names.values())
            raise ResultError(f"{box_file.path}: {twice!r} is listed twice under different names")
        measured = []
        for name in sorted(names):
            try:
                measured.append(self._measured(name, names[name], box_file.path))
            except HeatmapError as error:
                self.broken.append(BrokenPhoto(name, error.message))
        if all(each.reason.endswith("no such file") for each in self.broken) and not measured:
            raise PhotoError(
                f"{self.folder}: lacks all of the {len(names)} photos that {box_file.path} lists, "
                f"first {min(names)!r}: give the folder that their names are relative to"
            )
        return measured

    def refuse_broken(self, total: int, *, skip: bool) -> None:
        """Refuse photos that cannot be used, unless they are to be skipped.

        Args:
            total: number of photos, with those that cannot be used.
            skip: whether they are left out.

        Raises:
            PhotoError: there are any; it names up to ``MOST_TOLD``.
        """
        if not self.broken or skip:
            return
        several = len(self.broken) > 1
        counted = f"{len(self.broken)} of {total} photos cannot be used: " if several else ""
        them = "them" if several else "it"
        advice = f"repair or remove {them}, or leave {them} out with {{}}, which lists all"
        way = Use("skip_broken", True, text=advice)
        raise PhotoError(f"{counted}{told(self.broken, MOST_TOLD)}", way)

    def _measured(self, name: str, listed: BoxedPhoto, source: str) -> MeasuredPhoto:
        hw = checked_hw(listed, self.folder / name, source)
        self._decoded_hw(name)
        boxes = sorted(listed.boxes, key=lambda box: (box.label, box.xyxy))
        return MeasuredPhoto(name, hw, tuple(boxes))

    def _decoded_hw(self, name: str) -> tuple[int, int]:
        photo = read_photo(self.folder / name, reading=self.reading)
        self.notes[name] = photo.notes
        return photo.hw


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
