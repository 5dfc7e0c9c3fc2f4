"""The names of the result files of runs and batches, for writing and for finding them.

All result files of a photo ``cat.jpg`` begin with its stem ``cat`` and end in one of these
suffixes; files of a single class have its name in between: ``cat.tabby.jpg``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .classes import ClassGroup

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
# Suffixes of files of a class: its heatmap over the photo, and its values.
OVERLAY, HEATMAP = ".jpg", ".heat.tif"
# Suffix of the file with the scores of a grid too large for one .npz.
LARGE_SCORES = ".scores.npy"

# Files of a batch, in its output folder; below PHOTOS each photo has a folder of its own.
MANIFEST, SUMMARY, SHEET, PHOTOS = "manifest.jsonl", "summary.csv", "index.html", "photos"

# Files of an evaluation, in its output folder.
EVALUATION, EVALUATION_PAGE = "evaluation.json", "evaluation.html"

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
        return cls(Path(folder), Path(photo).stem if photo else "photo")

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


def slug(name: str) -> str:
    """A class name as part of a file name: ASCII letters, digits, "-" and "_", 1 to 60 of them.

    Accents are dropped. A name that is shortened, or has no such character, ends in a digest
    of the whole name, so that different names get different slugs.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")
    if 0 < len(safe) <= _SLUG_LENGTH:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _SLUG_LENGTH - 9].rstrip('-') or 'class'}-{digest}"
