"""Photos that a file lists: found under the names it gives them, and their boxes cut to them."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ..errors import PhotoError, ResultError
from ..geometry import Box
from .annotations import ROUNDING_PX, BoxedPhoto, BoxFile, LabelledBox
from .photo_file import upright_hw

# A box may extend beyond an edge of its photo by this share of its side, or by so many px if that
# is more, but never by more than half of its side: annotation tools let boxes be drawn so.
OUTSIDE_SHARE, OUTSIDE_PX = 0.05, 3.0


def listed_name(folder: Path, name: str) -> str:
    """The name of a listed photo as it is found in a folder, by "/" and without "./".

    Lists come from other systems. The first of these that is a file counts: the name as it
    stands; with "/" for "\\"; with the characters of URLs decoded ("%20"); each with its suffix in
    lower or upper case. Where none is a file, the name stays as it stands.
    """
    found = (one for one in _spellings(name) if os.path.isfile(folder / one))
    spelled = next(found, None)
    return name if spelled is None else posixpath.normpath(spelled)


def _spellings(name: str) -> Iterator[str]:
    slashed = name.replace("\\", "/")
    for spelled in dict.fromkeys((name, slashed, unquote(slashed))):
        yield spelled
        stem, suffix = posixpath.splitext(spelled)
        yield from (stem + other for other in (suffix.lower(), suffix.upper()))


def on_photos(boxes: BoxFile, folder: str | Path) -> BoxFile:
    """The boxes of a file on the photos of a folder: names as found there, boxes cut to the photos.

    A box that extends beyond its photo a little (``OUTSIDE_SHARE``, ``OUTSIDE_PX``) is cut, and
    counted in ``cut`` where that is more than rounding. Photos that are missing, cannot be read or
    have another size than listed stay as they are, and so do boxes that lie further outside: they
    are refused where they are used.

    Raises:
        ResultError: two names are of one photo.
    """
    folder = Path(folder)
    named = [replace(photo, file=listed_name(folder, photo.file)) for photo in boxes.photos]
    twice = [name for name, times in Counter(photo.file for photo in named).items() if times > 1]
    if twice:
        raise ResultError(f"{boxes.path}: {twice[0]!r} is listed twice under different names")
    cut = [_cut(photo, folder) for photo in named]
    count = boxes.cut + sum(beyond for _, beyond in cut)
    return replace(boxes, photos=tuple(photo for photo, _ in cut), cut=count)


def cut_note(count: int) -> str:
    """What was done with boxes that reached a little outside, in words."""
    which = "1 box that reached" if count == 1 else f"{count} boxes that reached"
    return f"{which} a little outside the photo: cut to it"


def _cut(photo: BoxedPhoto, folder: Path) -> tuple[BoxedPhoto, int]:
    """A photo with its boxes cut, and how many of them were cut by more than rounding."""
    if not photo.boxes:
        return photo, 0
    try:
        hw = upright_hw(folder / PurePosixPath(photo.file))
    except PhotoError:
        return photo, 0
    if photo.hw not in (None, hw):
        return photo, 0
    boxes = tuple(LabelledBox(box.label, _inside(box.xyxy, hw)) for box in photo.boxes)
    changes = zip(photo.boxes, boxes, strict=True)
    return replace(photo, boxes=boxes), sum(_moved(old.xyxy, new.xyxy) for old, new in changes)


def _inside(xyxy: Box, hw: tuple[int, int]) -> Box:
    """The part of a box on a photo of ``hw`` px; the box itself where it lies far outside."""
    left, top, right, bottom = xyxy
    for low, high, side in ((left, right, hw[1]), (top, bottom, hw[0])):
        most = min(max(OUTSIDE_SHARE * (high - low), OUTSIDE_PX), (high - low) / 2)
        outside = low >= side or high <= 0
        if outside or max(-low, high - side) > max(most, ROUNDING_PX):
            return xyxy
    return max(left, 0.0), max(top, 0.0), min(right, float(hw[1])), min(bottom, float(hw[0]))


def _moved(old: Box, new: Box) -> bool:
    return any(abs(a - b) > ROUNDING_PX for a, b in zip(old, new, strict=True))
