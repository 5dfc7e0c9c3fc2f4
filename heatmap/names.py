"""The names of the files that runs and batches leave: one rule, to write them and to find them.

All files of a photo ``cat.jpg`` begin with its stem ``cat`` and end in one of these suffixes;
what there is one of for each class has the class between them: ``cat.tabby.png``.
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

# Of a photo.
DESCRIPTION, GRID, SHARP_GRID = ".json", ".npz", ".sharp.npz"
PAGE, PAGE_TILES, THUMBNAIL = ".html", ".tiles", ".thumbnail.jpg"
CSV, GEOJSON = ".csv", ".geojson"
COCO, COCO_DATASET = ".coco.json", ".coco.dataset.json"
# Of a class: a picture, or of a large photo a pyramid and a small picture; a heatmap.
OVERLAY, PYRAMID, PREVIEW, HEATMAP = ".png", ".tif", ".preview.png", ".heat.tif"
# Beside a grid whose scores are too many for it.
LARGE_SCORES = ".scores.npy"

# Of a batch: in its folder, and below PHOTOS a folder for each photo.
MANIFEST, SUMMARY, SHEET, PHOTOS = "manifest.jsonl", "summary.csv", "index.html", "photos"

_SLUG_LENGTH = 60


@dataclass(frozen=True)
class ResultNames:
    """The paths of one photo's results: ``folder``, and what all of their names begin with."""

    folder: Path
    stem: str

    @classmethod
    def of_photo(cls, folder: str | Path, photo: str) -> ResultNames:
        """Those of a photo by its path, "" where it was an array."""
        return cls(Path(folder), Path(photo).stem if photo else "photo")

    @classmethod
    def of_description(cls, description: Path) -> ResultNames:
        """Those beside a ``cat.json``."""
        return cls(description.parent, description.name.removesuffix(DESCRIPTION))

    def path(self, suffix: str) -> Path:
        """The file of this suffix: ``cat.npz``."""
        return self.folder / f"{self.stem}{suffix}"

    def scale(self, name: str) -> Path:
        """The grid of a single scale by its :func:`scale_name`: ``cat.x0.5.npz``."""
        return self.path(f".{name}{GRID}")


def scale_name(scale: float) -> str:
    """A resize factor in the name of a file: "x0.5"."""
    return f"x{scale:g}"


def scores_path(grid: Path) -> Path:
    """Where the large scores of a grid saved as ``cat.npz`` lie: ``cat.scores.npy``."""
    return grid.with_name(f"{grid.stem}{LARGE_SCORES}")


def class_suffixes(groups: Sequence[ClassGroup]) -> list[str]:
    """What stands for each class or group behind the stem: ".tabby".

    Where slugs are alike, with its index; of a group, with the first two.
    """
    slugs = [slug(group.name) for group in groups]
    counts = Counter(name.casefold() for name in slugs)
    return [
        "."
        + (name if counts[name.casefold()] == 1 else "-".join([name, *map(str, group.indices[:2])]))
        for name, group in zip(slugs, groups, strict=True)
    ]


def slug(name: str) -> str:
    """A class name as part of a file name: ASCII letters, digits, "-" and "_", 1 to 60 of them.

    Accents are dropped. A name that is cut or has nothing left ends in a digest of
    the whole, so that two of them stay apart.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")
    if 0 < len(safe) <= _SLUG_LENGTH:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _SLUG_LENGTH - 9].rstrip('-') or 'class'}-{digest}"
