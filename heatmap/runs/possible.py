"""The names of all files that a run may write, known before the photo is scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..classes import ClassGroup, ClassList
from ..contents import digest_of
from ..names import (
    AREAS,
    COCO,
    COCO_DATASET,
    CSV,
    CUTOUTS,
    DESCRIPTION,
    GEOJSON,
    GRID,
    HEATMAP,
    LABELME,
    MAPS,
    OVERLAY,
    PAGE,
    PAGE_TILES,
    PICTURE,
    PYRAMID,
    THUMBNAIL,
    VOC,
    YOLO,
    YOLO_NAMES,
    ResultNames,
    class_suffixes,
    scores_path,
    slug,
)
from .earlier import Claim
from .request import Request

_OF_FORMATS = {
    "csv": (CSV,),
    "coco": (COCO, COCO_DATASET),
    "geojson": (GEOJSON,),
    "yolo": (YOLO, YOLO_NAMES),
    "voc": (VOC,),
    "labelme": (LABELME,),
}


def check_known(photo: str | Path, folder: str | Path, request: Request) -> None:
    """Refuse what can be refused before a network is loaded: all but files of single classes.

    Raises:
        ResultError: as :func:`check_claim`.
    """
    names = ResultNames.of_photo(folder, str(photo))
    claim = Claim(names, str(photo), digest_of(Path(photo)), request.overwrite, read=request.files)
    display = replace(request.display, classes=(), per_class=False)
    possible = possible_names(names, replace(request, display=display), ClassList(()), ())
    claim.check(possible, saves_grid=request.extras.save_grid)


def check_claim(claim: Claim, request: Request, classes: ClassList, scales: Iterable[str]) -> None:
    """Refuse before a photo is scored what would be refused after it.

    Args:
        claim: what may be replaced.
        request: what is written; its classes are named among those that are stored.
        classes: those that are stored.
        scales: the names of the scales.

    Raises:
        ResultError: a file that would be written is a stranger's, another photo's, or is read;
            or a saved grid would be removed without another being written.
    """
    possible = _possible_of(claim, request, classes, scales)
    claim.check(possible, saves_grid=request.extras.save_grid)


def notes_of_kept(
    claim: Claim, request: Request, classes: ClassList, scales: Iterable[str]
) -> Iterator[str]:
    """Notes on files of earlier results that stay, since somebody changed them.

    The arguments are those of :func:`check_claim`.
    """
    replaced = _possible_of(claim, request, classes, scales) if request.overwrite else ()
    for path in claim.changed(but=replaced):
        name = path.relative_to(claim.names.folder).as_posix()
        yield f"{name} stays: it was changed since it was written"


def _possible_of(
    claim: Claim, request: Request, classes: ClassList, scales: Iterable[str]
) -> set[str]:
    """The names that a run may write, as for :func:`check_claim`; none in a new folder."""
    if not claim.names.folder.is_dir():
        return set()
    return possible_names(claim.names, request, classes, scales)


def possible_names(
    names: ResultNames, request: Request, classes: ClassList, scales: Iterable[str]
) -> set[str]:
    """The names of the files, and of the folders for files, that a run may write.

    Args:
        names: those of the photo.
        request: what is written; its classes are among ``classes``.
        classes: those that are stored.
        scales: the names of the scales.
    """
    display, extras = request.display, request.extras
    asked = {
        (PYRAMID,): display.full,
        (AREAS,): display.areas,
        (THUMBNAIL,): extras.thumbnail,
        (PAGE, PAGE_TILES): extras.html,
        (CUTOUTS,): extras.save_crops,
    }
    suffixes = {DESCRIPTION, PICTURE, MAPS}
    suffixes |= {suffix for some, are_asked in asked.items() if are_asked for suffix in some}
    for name in extras.formats:
        suffixes |= set(_OF_FORMATS.get(name, ()))
    endings = {OVERLAY: display.per_class, HEATMAP: "tiff" in extras.formats}
    for ending in (ending for ending, is_asked in endings.items() if is_asked):
        groups = classes.find_all(display.classes)
        suffixes |= {f"{part}{ending}" for part in _class_parts(groups, classes)}
    paths = [names.path(suffix) for suffix in suffixes]
    if extras.save_grid:
        grids = [names.path(GRID), *map(names.scale, scales)]
        paths += [*grids, *map(scores_path, grids)]
    return {path.name for path in paths}


def _class_parts(named: list[ClassGroup], classes: ClassList) -> Iterable[str]:
    """The part of the name of each class; where none are named, of all that may be found."""
    if named:
        yield from class_suffixes(named)
        return
    for group in (*map(classes.single, range(len(classes))), *classes.groups):
        part = slug(group.name)
        # The indices are there where several have this name.
        yield from (f".{part}", f".{'-'.join([part, *map(str, group.indices[:2])])}")
