"""Read back the results of runs: what was found, and the paths of photo and grid."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..choices import Colormap
from ..classes import ClassGroup
from ..contents import read_bytes
from ..errors import ResultError
from ..geometry import Box
from ..grid.read import load
from ..localization.detection import Alternative, Detection, NotFound
from ..localization.findings import Findings
from ..names import DESCRIPTION, MAPS, PHOTOS, SHEET, ResultNames
from ..photo.reading import Reading
from .save import RESULT_FORMAT


@dataclass(frozen=True)
class SavedResult:
    """The saved result of one photo.

    Attributes:
        description: the JSON file.
        photo: the photo file; None where an array was scored.
        digest: SHA-256 of the photo file, or of the pixels of the array.
        grid: the file of the score grid, for :func:`heatmap.load`; None where it was not saved.
        detections: objects, most confident first, with boxes in photo px.
        guesses: where there are none, the best below the confidence threshold.
        not_found: the classes that were searched for by name and not found.
        maps: the file of the maps.
        groups: the classes of the maps, in their order.
        named: whether they were searched for by name.
        drawing: how the pictures were drawn.
        reading: how the photo's file was read.
    """

    description: Path
    photo: Path | None
    digest: str
    grid: Path | None
    detections: tuple[Detection, ...]
    guesses: tuple[Detection, ...]
    not_found: tuple[NotFound, ...]
    maps: Path
    groups: tuple[ClassGroup, ...]
    named: bool
    drawing: Drawn
    reading: Reading

    def findings(self) -> Findings:
        """What was found, as the run that was saved had it.

        Raises:
            ResultError: the maps cannot be read, or do not belong to the result.
        """
        maps = load(self.maps)
        if maps.classes.names != tuple(group.name for group in self.groups):
            raise ResultError(
                f"{self.description}: has maps of {len(self.groups)} classes, {self.maps.name} "
                f"has other ones ({len(maps.classes)}): run the photo again"
            )
        return Findings(
            *(self.detections, self.guesses, self.groups, maps),
            named=self.named,
            not_found=self.not_found,
        )


@dataclass(frozen=True)
class Drawn:
    """How a picture was drawn; see :class:`heatmap.Display`."""

    conf: float
    alpha: float
    color_range: tuple[float, float] | None
    colormap: Colormap | None
    legend: bool
    boxes: bool
    full: bool
    per_class: bool


def saved_results(path: str | Path) -> list[SavedResult]:
    """Read back what :func:`heatmap.run` saved: what was found, and the paths of the files.

    Args:
        path: a folder that results were written to, or one photo's ``cat.json`` in it.

    Returns:
        The results in the folder, sorted by file name, or the single one of the file.

    Raises:
        ResultError: no such file or folder, no results in it, or a file that is not a result
            or has an earlier format.
    """
    return [read_result(file) for file in result_files(path)]


def result_files(path: str | Path) -> list[Path]:
    """The JSON files of the results in a folder, sorted by name; or the single one given.

    One that cannot be read is among them if the maps of a result lie beside it.

    Raises:
        ResultError: there are none in the folder.
    """
    folder = Path(path)
    if os.path.isdir(folder):
        files = [file for file in sorted(folder.glob(f"*{DESCRIPTION}")) if _is_result(file)]
        if not files and (folder / PHOTOS).is_dir():
            raise ResultError(
                f"{folder}: holds a batch: open {folder / SHEET} in a browser, or give the folder "
                f"of one photo in {folder / PHOTOS}"
            )
        if not files:
            raise ResultError(f"{folder}: no results in this folder: run a photo into it first")
        return files
    return [folder]


def _is_result(file: Path) -> bool:
    """Whether a JSON file looks like a result: the folder may also hold exports and other files.

    One that is damaged does if the maps of a result are beside it.
    """
    try:
        described = json.loads(read_bytes(file, ResultError))
    # RecursionError: brackets nested a thousand deep.
    except (ResultError, ValueError, RecursionError):
        return ResultNames.of_description(file).path(MAPS).exists()
    if not isinstance(described, dict) or not {"format", "photo", "origin"} <= described.keys():
        return False
    # Or what a run printed that wrote no files.
    return described.get("files", {}) is not None


def read_result(file: Path) -> SavedResult:
    """Read one result back.

    Raises:
        ResultError: as :func:`saved_results`.
    """
    try:
        described = json.loads(read_bytes(file, ResultError))
        if described["format"] != RESULT_FORMAT:
            raise ResultError(
                f"{file}: result format {described['format']}, this version reads format "
                f"{RESULT_FORMAT}: run the photo again"
            )
        if described["files"] is None:
            raise ResultError(f"{file}: the run wrote no files: run the photo again into a folder")
        return SavedResult(
            description=file,
            photo=_photo(str(described["photo"]["path"]), file),
            digest=str(described["photo"]["sha256"]),
            grid=_beside(file, described["files"].get("grid")),
            detections=tuple(map(_detection, described["detections"])),
            guesses=tuple(map(_detection, described["guesses"])),
            not_found=tuple(map(_not_found, described["not_found"])),
            maps=file.with_name(Path(str(described["files"]["maps"])).name),
            groups=tuple(map(_group, described["maps"])),
            named=bool(described["settings"]["classes"]),
            drawing=_drawn(described["settings"]),
            reading=_reading(described["photo"]["reading"]),
        )
    except ResultError:
        raise
    # AttributeError: a list or a number where there should be an object.
    except (
        *(ValueError, KeyError, TypeError),
        *(AttributeError, OverflowError, RecursionError),
    ) as error:
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
            reason = "it is no JSON: give the cat.json that a run wrote, or its folder"
        else:
            reason = f"{type(error).__name__}: {error}"
        raise ResultError(f"{file}: not the result of a run: {reason}") from error


def _photo(path: str, file: Path) -> Path | None:
    """The photo at its original path, or else beside the result; None for an array."""
    if not path:
        return None
    given, beside = Path(path), file.with_name(Path(path).name)
    return beside if beside.exists() and not given.exists() else given


def _detection(described: Mapping[str, Any]) -> Detection:
    row, column = described["cell"]
    return Detection(
        group=_group(described),
        confidence=_number(described["confidence"]),
        xyxy=_box(described["box_xyxy"]),
        window_xyxy=_box(described["window_xyxy"]),
        cell=(int(row), int(column)),
        scale=_number(described["scale"]),
        slide=_number(described["slide"]),
        crop=None if described["crop"] is None else _number(described["crop"]),
        alternatives=tuple(map(_alternative, described["alternatives"])),
        together=None if described["together"] is None else _alternative(described["together"]),
    )


def _not_found(described: Mapping[str, Any]) -> NotFound:
    if described["confidence"] is None:
        return NotFound(_group(described))
    across, down = map(_number, described["at_xy"])
    return NotFound(_group(described), _number(described["confidence"]), (across, down))


def _group(described: Mapping[str, Any]) -> ClassGroup:
    return ClassGroup(str(described["class"]), tuple(map(int, described["indices"])))


def _reading(described: Mapping[str, Any]) -> Reading:
    low_high = described["input_range"]
    return Reading(
        None if low_high is None else (_number(low_high[0]), _number(low_high[1])),
        described["damaged"],
        int(described["max_pixels"]),
    )


def _drawn(described: Mapping[str, Any]) -> Drawn:
    of_colours = described["color_range"]
    low_high = None if of_colours is None else (_number(of_colours[0]), _number(of_colours[1]))
    return Drawn(
        conf=_number(described["conf"]),
        alpha=_number(described["alpha"]),
        color_range=low_high,
        colormap=described["colormap"],
        legend=bool(described["legend"]),
        boxes=bool(described["boxes"]),
        full=bool(described["full"]),
        per_class=bool(described["per_class"]),
    )


def _beside(file: Path, name: object) -> Path | None:
    """A file beside the result, or None without a name; never one in another folder."""
    return None if name is None else file.with_name(Path(str(name)).name)


def _alternative(described: Mapping[str, Any]) -> Alternative:
    return Alternative(str(described["class"]), _number(described["confidence"]))


def _box(sides: Any) -> Box:
    left, top, right, bottom = (_number(side) for side in sides)
    return left, top, right, bottom


def _number(value: Any) -> float:
    """A finite number; Python's JSON reader also accepts NaN and infinity."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no number")
    return number
