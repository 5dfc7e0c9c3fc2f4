"""The results of a run read back: what was found, the grid, and which photo it was."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..classes import ClassGroup
from ..errors import ResultError
from ..files import write_all
from ..geometry import Box
from ..grid.read import load
from ..grid.score_grid import ScoreGrid
from ..localization.localize import Detection
from ..photo.photo_file import open_photo
from ..rendering.page import page_files
from .save import FORMAT


@dataclass(frozen=True)
class SavedResult:
    """What ``cat.json`` says: where the photo is, its grid, and what was found, best first.

    ``photo`` is None where an array was scored.
    """

    description: Path
    photo: Path | None
    grid: Path
    detections: tuple[Detection, ...]


def saved_results(path: str | Path) -> list[SavedResult]:
    """The results in a folder, by name, or those of one ``cat.json``.

    Raises:
        ResultError: no such file or folder, no results in it, or a file that is none.
    """
    place = Path(path)
    if place.is_dir():
        found = [file for file in sorted(place.glob("*.json")) if _is_result(file)]
        if not found:
            raise ResultError(f"{place}: no results in this folder: `heatmap run PHOTO` makes some")
        return [_read(file) for file in found]
    return [_read(place)]


def write_page(result: SavedResult, photo: str | Path | None = None) -> Path:
    """Write the page of a result beside it: ``cat.html``.

    Args:
        result: of :func:`saved_results`.
        photo: the one that was scored; None is where the result says it was.

    Raises:
        PhotoError: the photo cannot be read.
        ResultError: it is another one, the grid cannot be read, or the page not be written.
    """
    grid = _grid(result)
    source = photo or result.photo
    if source is None:
        raise ResultError(
            f"{result.description}: was made from an array, not a file: name the photo with --photo"
        )
    opened = open_photo(source)
    if opened.digest != grid.origin.photo_digest:
        raise ResultError(
            f"{opened.path}: is not the photo that was scored: its pixels differ; give the one "
            f"that {result.description.name} was made from with --photo"
        )
    stem = result.description.stem
    pages = page_files(opened, grid, result.detections, stem=stem)
    folder = result.description.parent
    write_all({folder / f"{stem}{suffix}": write for suffix, write in pages.items()})
    return folder / f"{stem}.html"


def _grid(result: SavedResult) -> ScoreGrid:
    """The grid of a result, which must have the classes that were found in it."""
    grid = load(result.grid)
    for index in (index for one in result.detections for index in one.group.indices):
        if not 0 <= index < len(grid.classes):
            raise ResultError(
                f"{result.description}: names class {index}, {result.grid.name} has "
                f"{len(grid.classes)}: run the photo again"
            )
    return grid


def _is_result(file: Path) -> bool:
    """Whether a JSON file looks like one of ours: exports and others lie in the folder too."""
    try:
        described = json.loads(file.read_bytes())
    # RecursionError: brackets nested a thousand deep.
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(described, dict) and {"format", "grid", "detections"} <= described.keys()


def _read(file: Path) -> SavedResult:
    try:
        described = json.loads(file.read_bytes())
        if described["format"] != FORMAT:
            raise ResultError(
                f"{file}: result format {described['format']}, this version reads format "
                f"{FORMAT}: run the photo again"
            )
        return SavedResult(
            description=file,
            photo=_photo(str(described["photo"]["path"]), file),
            grid=file.with_name(Path(str(described["grid"])).name),
            detections=tuple(_found(one) for one in described["detections"]),
        )
    except ResultError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise ResultError(f"{file}: not the result of a run: {reason}") from error


def _photo(path: str, file: Path) -> Path | None:
    """Where the photo is: as it was given, or else beside the result; None of an array."""
    if not path:
        return None
    given, beside = Path(path), file.with_name(Path(path).name)
    return beside if beside.exists() and not given.exists() else given


def _found(one: Mapping[str, Any]) -> Detection:
    row, column = one["cell"]
    return Detection(
        group=ClassGroup(str(one["class"]), tuple(int(index) for index in one["indices"])),
        confidence=_number(one["confidence"]),
        xyxy=_box(one["box_xyxy"]),
        window_xyxy=_box(one["window_xyxy"]),
        cell=(int(row), int(column)),
        scale=_number(one["scale"]),
    )


def _box(sides: Any) -> Box:
    left, top, right, bottom = (_number(side) for side in sides)
    return left, top, right, bottom


def _number(value: Any) -> float:
    """A number of JSON; Python's reader takes NaN and infinity for such too."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
