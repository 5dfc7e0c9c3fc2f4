"""The files of one run: grid, detections, overlays, exports; all of them or none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..classes import ClassGroup
from ..files import Writer, write_all
from ..grid.score_grid import ScoreGrid
from ..localization.detection import Alternative, Detection, on_region
from ..names import (
    DESCRIPTION,
    GRID,
    OVERLAY,
    PAGE,
    SHARP_GRID,
    THUMBNAIL,
    ResultNames,
    class_suffixes,
)
from ..photo.reduced import OpenPhoto, whole_of
from ..rendering.overlay import encode_image
from ..rendering.page import page_files
from ..rendering.thumbnail import Picture, thumbnail
from .coco import CocoIds
from .formats import export_files

# Version of ``cat.json``, raised when its keys change.
RESULT_FORMAT = 5


@dataclass(frozen=True)
class RunFiles:
    """The results that a run saves.

    Attributes:
        photo, grid, detections, scales, sharp: as in :class:`run.Run`.
        drawn_hw: height and width of the photo in the overlays, px; None is its own.
    """

    photo: OpenPhoto
    grid: ScoreGrid
    detections: Sequence[Detection]
    scales: Mapping[str, ScoreGrid] = field(default_factory=dict)
    sharp: ScoreGrid | None = None
    drawn_hw: tuple[int, int] | None = None

    def drawn(self, groups: Sequence[ClassGroup]) -> tuple[ScoreGrid, list[ClassGroup]]:
        """The grid to draw groups from, and the groups with their indices in that grid.

        A grid of sharp maps has the groups, in this order, as its first classes.
        """
        if self.sharp is None:
            return self.grid, list(groups)
        return self.sharp, [self.sharp.classes.single(index) for index in range(len(groups))]


@dataclass(frozen=True)
class Extras:
    """Further files that a run writes.

    >>> heatmap.Extras(formats=("csv", "geojson"), html=True)    # doctest: +SKIP

    Attributes:
        formats: any of "csv" (a table of the detections), "coco" (COCO results), "geojson"
            (boxes, in world coordinates where the photo is georeferenced) and "tiff" (float32
            heatmaps).
        html: write a page for the browser.
        coco: the image and category ids of a COCO dataset, for the format "coco"; None makes
            ids.
        thumbnail: write a small copy of the first overlay.
    """

    formats: tuple[str, ...] = ()
    html: bool = False
    coco: CocoIds | None = None
    thumbnail: bool = False


NO_EXTRAS = Extras()


@dataclass(frozen=True)
class SavedRun:
    """The paths of the results of one photo.

    Attributes:
        grid: the score grid.
        description: the JSON file of detections and settings.
        overlays: the overlay of each class.
        scales: the grid of each scale by its name, where there are several.
        previews: a small copy of each overlay, where the photo is too large to view whole.
        sharp: the grid of sharp maps, if there is one.
        exports: the files of each format.
        page: the page for the browser, if requested.
        written: all files and folders.
    """

    grid: Path
    description: Path
    overlays: Mapping[ClassGroup, Path]
    scales: Mapping[str, Path] = field(default_factory=dict)
    previews: Mapping[ClassGroup, Path] = field(default_factory=dict)
    sharp: Path | None = None
    exports: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    page: Path | None = None
    written: tuple[Path, ...] = ()


def save_run(
    folder: str | Path,
    run: RunFiles,
    overlays: Mapping[ClassGroup, Picture],
    extras: Extras = NO_EXTRAS,
) -> SavedRun:
    """Write ``cat.npz``, ``cat.json``, ``cat.<class>.png`` and more for a photo ``cat.jpg``.

    The files are first written under temporary names, and renamed when all are complete.

    Args:
        folder: where to write; created if missing.
        run: the results.
        overlays: for each class an RGB uint8 image (H, W, 3), or functions that write the files
            of one too large for memory, by suffix: ".tif", then its preview.
        extras: further files.

    Raises:
        ResultError: the folder or a file cannot be written; or as
            :func:`formats.export_files`.
    """
    names = ResultNames.of_photo(folder, run.photo.path)
    pictures = _picture_files(names, overlays)
    exports = _exports(names, run, list(overlays), extras)
    saved = SavedRun(
        grid=names.path(GRID),
        description=names.path(DESCRIPTION),
        overlays={group: next(iter(written)) for group, written in pictures.items()},
        scales={name: names.scale(name) for name in run.scales},
        previews={
            group: list(written)[1] for group, written in pictures.items() if len(written) > 1
        },
        sharp=None if run.sharp is None else names.path(SHARP_GRID),
        exports={name: list(written) for name, written in exports.items()},
        page=names.path(PAGE) if extras.html else None,
    )
    files = _grid_files(saved, run)
    for written in (*pictures.values(), *exports.values()):
        files |= written
    if extras.html:
        shown = on_region(run.detections, run.photo.region)
        page = page_files(whole_of(run.photo), run.grid, shown, stem=names.stem)
        files |= {names.path(suffix): write for suffix, write in page.items()}
    if extras.thumbnail:
        first = next(iter(overlays.values()))
        files[names.path(THUMBNAIL)] = thumbnail(run.drawn_hw or run.photo.hw, first)
    files[saved.description] = _description(describe_run(saved, run))
    write_all(files)
    return replace(saved, written=tuple(files))


def _grid_files(saved: SavedRun, run: RunFiles) -> dict[Path, Writer]:
    """The files of the grid, of the grids of single scales, and of the sharp maps."""
    files: dict[Path, Writer] = dict(run.grid.files(saved.grid))
    for name, grid in run.scales.items():
        files |= grid.files(saved.scales[name])
    if run.sharp is not None and saved.sharp is not None:
        files |= run.sharp.files(saved.sharp)
    return files


def _exports(
    names: ResultNames, run: RunFiles, groups: Sequence[ClassGroup], extras: Extras
) -> dict[str, dict[Path, Writer]]:
    """The files of each format; "tiff" has the heatmaps that are drawn."""
    files = {}
    for name in dict.fromkeys(extras.formats):
        grid, shown = run.drawn(groups) if name == "tiff" else (run.grid, groups)
        written = export_files(
            (name,), run.photo, grid, run.detections, shown, coco_ids=extras.coco
        )
        files[name] = {names.path(suffix): write for suffix, write in written.items()}
    return files


def _description(described: Mapping[str, Any]) -> Writer:
    text = json.dumps(described, indent=2, ensure_ascii=False)
    # File names that are not UTF-8 contain lone surrogates, which are valid JSON as escapes.
    content = f"{text}\n".encode("utf-8", "backslashreplace")
    return lambda to: to.write_bytes(content)


def save_overlays(
    folder: str | Path, stem: str, overlays: Mapping[ClassGroup, Picture]
) -> dict[ClassGroup, Path]:
    """Write ``<stem>.<class>.png`` for each picture, named as :func:`save_run` names them.

    Returns:
        The paths by class, in the order given.

    Raises:
        ResultError: the folder or a file cannot be written; then none is written.
    """
    pictures = _picture_files(ResultNames(Path(folder), stem), overlays)
    write_all({path: write for files in pictures.values() for path, write in files.items()})
    return {group: next(iter(files)) for group, files in pictures.items()}


def _picture_files(
    names: ResultNames, overlays: Mapping[ClassGroup, Picture]
) -> dict[ClassGroup, dict[Path, Writer]]:
    """The files of each overlay, the main one first."""
    return {
        group: {
            names.path(f"{class_suffix}{suffix}"): write
            for suffix, write in _writers(picture).items()
        }
        for class_suffix, (group, picture) in zip(
            class_suffixes(list(overlays)), overlays.items(), strict=True
        )
    }


def _writers(picture: Picture) -> Mapping[str, Writer]:
    """Functions that write the files of an overlay, by suffix."""
    if isinstance(picture, np.ndarray):
        return {OVERLAY: lambda to: to.write_bytes(encode_image(picture))}
    return picture


def describe_run(saved: SavedRun, run: RunFiles) -> dict[str, Any]:
    """The content of ``cat.json``; boxes are (left, top, right, bottom) in photo px.

    ``result.schema.json`` is its JSON Schema.
    """
    grid, photo, region = run.grid, run.photo, run.photo.region
    height, width = photo.whole_hw
    return {
        "format": RESULT_FORMAT,
        "photo": {
            "path": photo.path,
            "height": height,
            "width": width,
            "region_xywh": None if region is None else [*region.at, *reversed(region.hw)],
            "sha256": photo.digest,
            "notes": list(photo.notes),
        },
        "detections": list(map(_described, run.detections)),
        "grid": saved.grid.name,
        "scales": {name: path.name for name, path in saved.scales.items()},
        **({"sharp": saved.sharp.name} if saved.sharp else {}),
        "windows": grid.geometry.grid_hw[0] * grid.geometry.grid_hw[1],
        "not_scored": int((~grid.scored).sum()),
        "overlays": [
            {
                "class": group.name,
                "indices": list(group.indices),
                "file": path.name,
                **({"preview": saved.previews[group].name} if group in saved.previews else {}),
            }
            for group, path in saved.overlays.items()
        ],
        **({"exports": _names(saved.exports)} if saved.exports else {}),
        **({"page": saved.page.name} if saved.page else {}),
        "geometry": asdict(grid.geometry),
        "origin": asdict(grid.origin),
    }


def _names(exports: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    return {name: [path.name for path in paths] for name, paths in exports.items()}


def _described(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.name,
        "indices": list(detection.group.indices),
        "confidence": round(detection.confidence, 6),
        "box_xyxy": [round(side, 2) for side in detection.xyxy],
        "window_xyxy": [round(side, 2) for side in detection.window_xyxy],
        "scale": round(detection.scale, 6),
        "cell": list(detection.cell),
        "slide": round(detection.slide, 6),
        "crop": None if detection.crop is None else round(detection.crop, 6),
        "alternatives": list(map(_alternative, detection.alternatives)),
        "together": None if detection.together is None else _alternative(detection.together),
    }


def _alternative(alternative: Alternative) -> dict[str, Any]:
    return {"class": alternative.name, "confidence": round(alternative.confidence, 6)}
