"""The names of the result files of runs and batches, for writing and for finding them.

All result files of a photo ``cat.jpg`` begin with its stem ``cat`` and end in one of these
suffixes; files of a single class have its name in between: ``cat.tabby.jpg``.

File systems limit the bytes of a name, most of them to 255. What would be too long keeps its
beginning and ends in a digest of the whole (:func:`fitting`), so that names stay different, and
depend on nothing but the file system.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .classes import ClassGroup
from .errors import ResultError

# Suffixes of files of a photo.
DESCRIPTION, PICTURE, MAPS = ".json", ".heatmap.jpg", ".maps.npz"
GRID, AREAS = ".grid.npz", ".areas.jpg"
# The picture at the full size of a photo too large for a JPEG, as a pyramid.
PYRAMID = ".heatmap.tif"
PAGE, PAGE_TILES, THUMBNAIL = ".html", ".tiles", ".thumbnail.jpg"
CUTOUTS = ".crops"
CSV, GEOJSON = ".csv", ".geojson"
# Sliding beside cropping, from `verify`.
COMPARISON = ".verify.jpg"
COCO, COCO_DATASET = ".coco.json", ".coco.dataset.json"
# Annotations, and the names of the class numbers of YOLO's.
YOLO, YOLO_NAMES, VOC, LABELME = ".txt", ".classes.txt", ".xml", ".labelme.json"
# Suffixes of files of a class: its heatmap over the photo, and its values.
OVERLAY, HEATMAP = ".jpg", ".heat.tif"
# Suffix of the file with the scores of a grid too large for one .npz.
LARGE_SCORES = ".scores.npy"

# Files of a batch, in its output folder; below PHOTOS each photo has a folder of its own.
MANIFEST, SUMMARY, SHEET, PHOTOS = "manifest.jsonl", "summary.csv", "index.html", "photos"
# Those of all its photos, joined.
JOINED_COCO, JOINED_DATASET = "coco.json", "coco.dataset.json"
# Folders with their annotations, by the name of the format.
ANNOTATION_FOLDERS = ("yolo", "voc", "labelme")

# Files of an evaluation, in its output folder.
EVALUATION, EVALUATION_PAGE = "evaluation.json", "evaluation.html"

# Most file systems take names of so many bytes and paths of so many; few take less.
_NAME_BYTES, _PATH_BYTES = 255, 4096
# Room after a stem for the longest suffix: ".<slug>-<index>-<index>.heat.tif", with indices of six
# digits, takes 84 bytes, and ".earlier" while a folder is replaced 8.
SUFFIX_BYTES = 95
_DIGEST_LENGTH = 8
_SLUG_LENGTH = 60
# A class of this name would have the file name of another picture.
_TAKEN = tuple(name.split(".")[1] for name in (PICTURE, AREAS, THUMBNAIL, COMPARISON))


@dataclass(frozen=True)
class ResultNames:
    """The paths of one photo's results: their folder, and the stem that all names begin with."""

    folder: Path
    stem: str

    @classmethod
    def of_photo(cls, folder: str | Path, photo: str) -> ResultNames:
        """The names for the photo at a path, or for an array if the path is ""."""
        return cls.of_stem(folder, Path(photo).stem if photo else "photo")

    @classmethod
    def of_stem(cls, folder: str | Path, stem: str) -> ResultNames:
        """The names that begin with a stem, shortened where one would be too long."""
        return cls(Path(folder), fitting(stem, _limit(Path(folder)) - SUFFIX_BYTES))

    @classmethod
    def of_description(cls, description: Path) -> ResultNames:
        """The names of the files beside an existing ``cat.json``."""
        return cls(description.parent, description.name.removesuffix(DESCRIPTION))

    @property
    def description(self) -> Path:
        """The file that describes the others: ``cat.json``."""
        return self.path(DESCRIPTION)

    def path(self, suffix: str) -> Path:
        """The file with this suffix, such as ``cat.maps.npz``."""
        return self.folder / f"{self.stem}{suffix}"

    def scale(self, name: str) -> Path:
        """The grid of one scale, given its :func:`scale_name`: ``cat.x0.5.grid.npz``."""
        return self.path(f".{name}{GRID}")


def scale_name(scale: float) -> str:
    """A resize factor as part of a file name: "x0.5"."""
    return f"x{scale:g}"


def scores_path(grid: Path) -> Path:
    """Where the large scores of a grid saved as ``cat.grid.npz`` lie: ``cat.grid.scores.npy``."""
    return grid.with_name(f"{grid.stem}{LARGE_SCORES}")


def class_suffixes(groups: Sequence[ClassGroup]) -> list[str]:
    """The part of the file name, after the stem, for each class or group: ".tabby".

    Where two slugs are equal, or one is part of the name of another file of a photo, the class
    index is appended; for a group its first two indices.
    """
    slugs = [slug(group.name) for group in groups]
    counts = Counter([*(name.casefold() for name in slugs), *_TAKEN])
    return [
        "."
        + (name if counts[name.casefold()] == 1 else "-".join([name, *map(str, group.indices[:2])]))
        for name, group in zip(slugs, groups, strict=True)
    ]


def check_length(path: Path) -> None:
    """Refuse a file to be written whose name the file system does not take.

    Raises:
        ResultError: it, or a folder that it would lie in, has too long a name.
    """
    most = _limit(path)
    if any(len(_bytes(part)) > most for part in path.parts):
        raise ResultError(f"{path}: cannot be written: a name may have {most} bytes")


def photo_folder(output: Path, photo: str) -> str:
    """The folder of a photo's results in a batch, below ``PHOTOS``, with "/".

    It is the photo's own name, with each part shortened that the file system would not take. If the
    path to the results would be too long as a whole, it is one name, of the last part.

    Args:
        output: the folder of the batch, which need not exist.
        photo: the name of the photo in the batch: a relative path with "/".
    """
    most = _limit(output)
    parts = "/".join(fitting(part, most) for part in photo.split("/"))
    # A result lies in a temporary folder there until it is whole.
    around = len(_bytes(os.path.abspath(output / PHOTOS))) + len("//.heatmap-12345678/") + most
    if around + len(_bytes(parts)) < _limit(output, "PC_PATH_MAX", _PATH_BYTES):
        return parts
    return fitting(photo.rpartition("/")[2], most, whole=photo)


def fitting(name: str, most: int, *, whole: str = "") -> str:
    """A name of at most so many bytes: itself, or its beginning, "-" and a digest of the whole.

    Args:
        name: a name, in bytes as the file system encodes it (UTF-8).
        most: the bytes that it may have.
        whole: what it stands for, if that is more than the name; always shortened then.

    >>> fitting("cat", 160)
    'cat'
    >>> fitting("c" * 200, 20)
    'ccccccccccc-5e39abe8'
    """
    if not whole and len(_bytes(name)) <= most:
        return name
    kept = name[:most]
    while len(_bytes(kept)) > most - _DIGEST_LENGTH - 1:
        kept = kept[:-1]
    return f"{kept}-{_digest(_bytes(whole or name))}"


def _limit(folder: Path, kind: str = "PC_NAME_MAX", otherwise: int = _NAME_BYTES) -> int:
    """How many bytes a name in a folder may have; the folder need not exist yet."""
    near = Path(os.path.abspath(folder))
    for parent in (near, *near.parents):
        try:
            return min(os.pathconf(parent, kind), otherwise)
        # One that does not exist, or a system without this.
        except (OSError, ValueError, AttributeError):
            continue
    return otherwise


def _bytes(name: str) -> bytes:
    try:
        return os.fsencode(name)
    # No name of a file.
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]


def slug(name: str) -> str:
    """A class name as part of a file name: ASCII letters, digits, "-" and "_", 1 to 60 of them.

    Accents are dropped. A name that is shortened, or has no such character, ends in a digest
    of the whole name, so that different names get different slugs.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")
    if 0 < len(safe) <= _SLUG_LENGTH:
        return safe
    digest = _digest(name.encode("utf-8", "surrogatepass"))
    return f"{safe[: _SLUG_LENGTH - 9].rstrip('-') or 'class'}-{digest}"
