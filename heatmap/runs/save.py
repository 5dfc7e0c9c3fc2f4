"""The files of one run: description, picture, maps and more; all of them or none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..classes import ClassGroup, ClassList
from ..files import Writer, changing
from ..localization.areas import Areas
from ..localization.detection import Alternative, Detection
from ..marks import Mark
from ..names import GRID, MAPS, ResultNames
from ..photo.reduced import OpenPhoto, whole_of
from ..rendering.cutouts import cutouts
from ..rendering.page import page_files
from .earlier import Claim, description_writer
from .formats import export_files
from .outcome import Outcome
from .pictures import Drawing
from .possible import notes_of_kept
from .request import Display

SomeOutcome = TypeVar("SomeOutcome", bound=Outcome)

# Version of ``cat.json``, raised when its keys change.
RESULT_FORMAT = 8


@dataclass(frozen=True)
class SavedRun:
    """The paths of the results of one photo.

    Attributes:
        description: the JSON file of detections and settings.
        pictures: the annotated picture, and for a photo drawn in full that is too large for a
            JPEG a pyramid.
        maps: the maps of what was found or asked for.
        per_class: the heatmap of each class by itself, if asked for.
        areas: the map of areas, if asked for.
        crops: the folder of cut-outs, if asked for and anything was found.
        grid: the score grid, if asked for.
        scales: the grid of each scale by its name, where there are several and they were asked for.
        exports: the files of each format.
        page: the page for the browser, if asked for.
        written: all files and folders, pictures first.
        kept: files of earlier results that were changed since they were written, and so stay.
    """

    description: Path
    pictures: Sequence[Path]
    maps: Path
    per_class: Mapping[ClassGroup, Path] = field(default_factory=dict)
    areas: Path | None = None
    crops: Path | None = None
    grid: Path | None = None
    scales: Mapping[str, Path] = field(default_factory=dict)
    exports: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    page: Path | None = None
    written: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


def save_result(result: SomeOutcome, claim: Claim) -> tuple[SomeOutcome, SavedRun]:
    """Write ``cat.json``, ``cat.heatmap.jpg``, ``cat.maps.npz`` and more for a photo ``cat.jpg``.

    The files are first made in a temporary folder, and moved when all are complete. They replace
    earlier results of the photo as a whole: of those, files that are not written anew are removed,
    unless they were changed since.

    Args:
        result: the result; its request says how it is drawn, and which further files are written.
        claim: the folder, created if missing, and what may be replaced there.

    Returns:
        The result with the notes that its files have, and their paths.

    Raises:
        ResultError: the folder or a file cannot be written, or is a stranger's; or as
            :func:`formats.export_files`.
    """
    # Read anew, since others may have written here while the photo was scored.
    classes, scales = result.windows.finest.classes, result.windows.several
    kept_notes = notes_of_kept(replace(claim), result.request, classes, scales)
    result = result.with_notes(tuple(kept_notes))
    files = _Files(claim.names, result)
    files.add_pictures()
    files.add_grids()
    files.add_exports()
    saved = files.saved()
    with changing(claim.names.folder) as change:
        change.make(files.writers)
        described = describe_result(result, saved, change.made)
        change.make({saved.description: description_writer(described)})
        claim = replace(claim)
        kept = claim.changed(but=change.made)
        change.put(claim.owner, removed=claim.unchanged)
    return result, replace(saved, kept=kept)


def claim_of(
    folder: str | Path, result: Outcome, *, stem: str | None = None, overwrite: bool = False
) -> Claim:
    """What a result may replace in a folder; ``stem`` is None for the name of the photo."""
    photo = result.photo
    of_photo = ResultNames.of_photo(folder, photo.path)
    names = of_photo if stem is None else ResultNames.of_stem(folder, stem)
    return Claim(names, photo.path, photo.digest, overwrite, read=result.read)


def page_of(result: Outcome, stem: str) -> dict[str, Writer]:
    """Functions that write the page of a result, by suffix."""
    display = result.request.display
    return page_files(
        whole_of(result.photo),
        result.findings,
        result.grid if result.request.extras.save_grid else None,
        stem=stem,
        color_range=display.color_range,
        alpha=display.alpha,
        colormap=display.colormap,
    )


class _Files:
    """The files of a run, collected with the functions that write them."""

    def __init__(self, names: ResultNames, result: Outcome) -> None:
        self.names, self.result, self.request = names, result, result.request
        self.writers: dict[Path, Writer] = {}
        self._kinds: dict[str, Any] = {}

    def _add(self, files: Mapping[str, Writer]) -> list[Path]:
        """Add files by suffix; returns their paths."""
        paths = {self.names.path(suffix): write for suffix, write in files.items()}
        self.writers |= paths
        return list(paths)

    def add_pictures(self) -> None:
        """The pictures, the cut-outs, and the page."""
        result, display, extras = self.result, self.request.display, self.request.extras
        drawing = Drawing(result.photo, result.findings, display)
        self._kinds["pictures"] = self._add(drawing.picture())
        if result.areas is not None:
            (self._kinds["areas"],) = self._add(drawing.areas(result.areas))
        if display.per_class:
            self._kinds["per_class"] = {
                group: self._add({suffix: write})[0]
                for group, (suffix, write) in drawing.per_class().items()
            }
        if extras.save_crops and result.detections:
            cut = cutouts(result.photo, result.detections)
            (self._kinds["crops"],) = self._add(cut)
        if extras.thumbnail:
            self._add(drawing.thumbnail())
        if extras.html:
            self._kinds["page"] = self._add(page_of(result, self.names.stem))[0]

    def add_grids(self) -> None:
        """The maps, and where asked for the grids."""
        self.writers |= self.result.maps.files(self.names.path(MAPS))
        if not self.request.extras.save_grid:
            return
        grids = self.result.windows.several
        scales = {name: self.names.scale(name) for name in grids}
        self._kinds |= {"grid": self.names.path(GRID), "scales": scales}
        self.writers |= self.result.grid.files(self.names.path(GRID))
        for name, grid in grids.items():
            self.writers |= grid.files(scales[name])

    def add_exports(self) -> None:
        """The files of each format."""
        extras, result = self.request.extras, self.result
        numbered = self.request.display.numbered_names(result.windows.finest.classes)
        exports = {}
        for name in dict.fromkeys(extras.formats):
            written = export_files(
                (name,),
                result.photo,
                result.findings,
                coco_ids=extras.coco,
                image=result.image,
                names=numbered if extras.yolo_names else None,
                folder=self.names.folder,
            )
            exports[name] = self._add(written)
        self._kinds["exports"] = exports

    def saved(self) -> SavedRun:
        description = self.names.description
        return SavedRun(
            description=description,
            maps=self.names.path(MAPS),
            written=(*self.writers, description),
            **self._kinds,
        )


def describe_result(
    result: Outcome, saved: SavedRun | None = None, written: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The content of ``cat.json``; boxes are (left, top, right, bottom) in photo px.

    ``result.schema.json`` is its JSON Schema.

    Args:
        result: the result.
        saved: its files, if it was saved; those of others are null.
        written: the SHA-256 of all other files by name.
    """
    findings, windows = result.findings, result.windows
    return {
        "format": RESULT_FORMAT,
        "generator": Mark.of(result.photo.path, digest=result.photo.digest).text,
        "photo": _photo(result.photo),
        "detections": list(map(_described, findings.detections)),
        "guesses": list(map(_described, findings.guesses)),
        "not_found": [
            {**_class(each.group), "confidence": each.confidence, "at_xy": each.at_xy}
            for each in findings.not_found
        ],
        "maps": [
            {**_class(group), "peak": peak}
            for group, peak in zip(findings.groups, findings.peaks, strict=True)
        ],
        **({} if result.areas is None else {"areas": _areas(result.areas)}),
        "settings": _settings(result.request.display, windows.finest.classes),
        "windows": math.prod(windows.finest.geometry.grid_hw),
        "not_scored": windows.not_scored,
        "files": None if saved is None else _file_names(saved, written or {}),
        "geometry": asdict(findings.maps.geometry),
        "origin": asdict(findings.maps.origin),
    }


def _photo(photo: OpenPhoto) -> dict[str, Any]:
    height, width = photo.whole_hw
    return {
        "path": photo.path,
        "height": height,
        "width": width,
        "region_xywh": None if photo.region is None else list(photo.region.xywh),
        "sha256": photo.digest,
        "reading": asdict(photo.reading),
        "notes": list(photo.notes),
    }


def _settings(display: Display, classes: ClassList) -> dict[str, Any]:
    """What was looked for, and how it was drawn."""
    return {
        "classes": [group.name for group in classes.find_all(display.classes)],
        "exclude": [group.name for group in classes.find_all(display.exclude)],
        "conf": display.conf,
        "iou": display.iou,
        "max_det": display.max_det,
        "confirm": display.confirm,
        "alpha": display.alpha,
        "full": display.full,
        "per_class": display.per_class,
        "color_range": None if display.color_range is None else list(display.color_range),
        "colormap": display.colormap,
        "legend": display.legend,
        "boxes": display.boxes,
    }


def _file_names(saved: SavedRun, written: Mapping[str, str]) -> dict[str, Any]:
    """The names of all files by what they are, and the SHA-256 of each."""
    one = {"grid": saved.grid, "areas": saved.areas, "crops": saved.crops, "page": saved.page}
    many: dict[str, Mapping[str, Any]] = {
        "scales": {name: path.name for name, path in saved.scales.items()},
        "exports": {name: [path.name for path in paths] for name, paths in saved.exports.items()},
    }
    per_class = [{**_class(group), "file": path.name} for group, path in saved.per_class.items()]
    return {
        "written": dict(sorted(written.items())),
        "pictures": [path.name for path in saved.pictures],
        "maps": saved.maps.name,
        **({"per_class": per_class} if per_class else {}),
        **{name: path.name for name, path in one.items() if path is not None},
        **{name: names for name, names in many.items() if names},
    }


def _class(group: ClassGroup) -> dict[str, Any]:
    return {"class": group.name, "indices": list(group.indices)}


def _areas(areas: Areas) -> dict[str, Any]:
    shares = zip(areas.groups, areas.fractions, strict=True)
    return {
        "classes": [{**_class(group), "fraction": round(share, 6)} for group, share in shares],
        "others": {"count": areas.others, "fraction": round(areas.other, 6)},
        "not_scored": round(areas.unscored, 6),
    }


def _described(detection: Detection) -> dict[str, Any]:
    return {
        **_class(detection.group),
        "confidence": detection.confidence,
        "box_xyxy": list(detection.xyxy),
        "window_xyxy": list(detection.window_xyxy),
        "scale": detection.scale,
        "cell": list(detection.cell),
        "slide": detection.slide,
        "crop": detection.crop,
        "alternatives": list(map(_alternative, detection.alternatives)),
        "together": None if detection.together is None else _alternative(detection.together),
    }


def _alternative(alternative: Alternative) -> dict[str, Any]:
    return {"class": alternative.name, "confidence": alternative.confidence}
