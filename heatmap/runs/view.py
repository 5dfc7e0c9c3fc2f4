"""Pages for the browser, and pictures once more, from saved results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..choices import Colormap
from ..classes import ClassGroup, Wanted
from ..errors import ClassError, HeatmapError, ResultError, Use
from ..files import Writer
from ..grid.read import load
from ..grid.score_grid import ScoreGrid
from ..localization.findings import GUESSES, Findings
from ..names import PAGE, ResultNames
from ..photo.photo import Photo, pixels_digest
from ..photo.photo_file import PhotoFile, open_whole, upright_hw
from ..photo.reduced import OpenPhoto
from ..rendering.page import page_files
from .earlier import Claim, add_files
from .options import several
from .pictures import Drawing, open_to_draw
from .request import Display
from .saved import SavedResult, read_result, result_files

# Of results that fail, an error names so many.
_MOST_TOLD = 10


def view(
    results: str | Path,
    photo: str | Path | None = None,
    *,
    overwrite: bool = False,
    on_error: Callable[[HeatmapError], object] | None = None,
) -> list[Path]:
    """Write a page for each saved result beside it: ``cat.html`` beside ``cat.json``.

    A page is one HTML file that shows photo, heatmaps and detections in any browser, offline.
    That of a photo above 32 megapixels needs the folder ``cat.tiles`` that is written beside
    it. Where the score grid was saved, the page also names the strongest classes of each window.
    An earlier page is replaced, and the page is listed in the JSON file like the run's own files.

    >>> heatmap.view("results")                  # doctest: +SKIP
    [PosixPath('results/cat.html')]

    Args:
        results: a folder that :func:`heatmap.run` wrote to, or one photo's JSON file in it.
        photo: the photo, if it has moved; by default the path saved in the result, or else
            a file of its name beside the result.
        overwrite: also replace files that this tool did not write.
        on_error: called with the error of each result in a folder that fails, when the others are
            done; None raises one error that names them all.

    Returns:
        The pages, in the order of the results' names.

    Raises:
        PhotoError: a photo cannot be read.
        ResultError: no results, or one of an earlier format; a photo that is not the one that
            was scored, or one photo for several results; maps or a grid that cannot be read, or
            a page that cannot be written, or a stranger's file of its name. The pages of
            other results are written all the same.
    """
    return _of_each(
        results, photo, lambda result: [_write_page(result, photo, overwrite)], on_error
    )


def render(
    results: str | Path,
    output: str | Path = "results",
    *,
    photo: str | Path | None = None,
    classes: Wanted | Sequence[Wanted] = (),
    conf: float | None = None,
    alpha: float | None = None,
    color_range: tuple[float, float] | None = None,
    colormap: Colormap | None = None,
    legend: bool | None = None,
    boxes: bool | None = None,
    full: bool | None = None,
    per_class: bool | None = None,
    overwrite: bool = False,
    on_error: Callable[[HeatmapError], object] | None = None,
) -> list[Path]:
    """Draw the pictures of saved results once more, without running the network.

    By default they are the pictures that the run wrote, but for the map of areas.

    >>> heatmap.render("results", "again", classes=["cat"])      # doctest: +SKIP
    [PosixPath('again/cat.heatmap.jpg')]

    Args:
        results: a folder that :func:`heatmap.run` wrote to, or one photo's JSON file in it.
        output: where to write; created if missing.
        photo: the photo, if it has moved, as for :func:`heatmap.view`.
        classes: draw these only, or this one: classes that have maps or, where the grid was saved,
            any; of those that were not searched for there is heat only, and no boxes.
        conf: confidence threshold, 0..1, by default that of the run. What the run found below its
            own threshold was not saved, except for its guesses.
        alpha, color_range, colormap, legend, boxes, full, per_class: as of
            :class:`heatmap.RunOptions`; None is as the run drew it.
        overwrite: also replace files that this tool did not write, or drew of another photo.
        on_error: as of :func:`heatmap.view`.

    Returns:
        The pictures, in the order of the results' names.

    Raises:
        ClassError: a class that has no map, or an unknown one.
        PhotoError, ResultError: as :func:`heatmap.view`.
    """
    given: dict[str, Any] = {"conf": conf, "alpha": alpha, "color_range": color_range}
    given |= {"colormap": colormap, "legend": legend, "boxes": boxes}
    given |= {"full": full, "per_class": per_class}
    drawn = several(classes)
    settings = {name: value for name, value in given.items() if value is not None}

    def draw(result: SavedResult) -> list[Path]:
        names = ResultNames.of_stem(output, ResultNames.of_description(result.description).stem)
        display = Display(classes=drawn, **{**asdict(result.drawing), **settings})
        opened, files = _pictures(result, photo, display)
        claim = Claim(names, opened.path, result.digest, overwrite)
        return add_files(claim, {names.path(suffix): write for suffix, write in files.items()})

    return _of_each(results, photo, draw, on_error)


def _of_each(
    results: str | Path,
    photo: str | Path | None,
    make: Callable[[SavedResult], list[Path]],
    on_error: Callable[[HeatmapError], object] | None,
) -> list[Path]:
    """What is made of each result; one that fails does not end the others."""
    files = result_files(results)
    if len(files) == 1:
        return make(read_result(files[0]))
    if photo is not None:
        raise ResultError(
            f"{results}: holds the results of {len(files)} photos",
            Use("photo", text="name the JSON file of the result that {} belongs to"),
        )
    paths: list[Path] = []
    failed: list[HeatmapError] = []
    for file in files:
        try:
            paths += make(read_result(file))
        except HeatmapError as error:
            failed.append(error if file.name in error.message else error.about(str(file)))
    if failed and on_error is None:
        raise _several(failed, len(files))
    for each in failed:
        assert on_error is not None
        on_error(each)
    return paths


def _several(failed: Sequence[HeatmapError], count: int) -> ResultError:
    """One error for the results that failed."""
    more = f"; and {len(failed) - _MOST_TOLD} more" if len(failed) > _MOST_TOLD else ""
    listed = "; ".join(str(error) for error in failed[:_MOST_TOLD])
    return ResultError(
        f"{len(failed)} of {count} results failed, the others are done: {listed}{more}"
    )


def _write_page(result: SavedResult, photo: str | Path | None, overwrite: bool) -> Path:
    findings, grid = result.findings(), _grid(result)
    source = _source(result, findings, photo)
    opened = open_whole(source, findings.maps.origin.region, result.reading)
    _check_photo(result, findings, opened)
    names = ResultNames.of_description(result.description)
    drawn = result.drawing
    pages = page_files(
        *(opened, findings, grid),
        stem=names.stem,
        color_range=drawn.color_range,
        alpha=drawn.alpha,
        colormap=drawn.colormap,
    )
    claim = Claim(names, opened.path, result.digest, overwrite)
    add_files(claim, {names.path(suffix): write for suffix, write in pages.items()})
    return names.path(PAGE)


def _pictures(
    result: SavedResult, photo: str | Path | None, display: Display
) -> tuple[OpenPhoto, dict[str, Writer]]:
    """The photo, and the pictures of a result by suffix."""
    findings = _of_classes(result, result.findings(), display.classes)
    # The threshold parts detections and guesses anew.
    sure = tuple(each for each in findings.shown if each.confidence >= display.conf)
    guesses = () if sure else findings.shown[:GUESSES]
    findings = replace(findings, detections=sure, guesses=guesses)
    source = _source(result, findings, photo)
    opened = open_to_draw(source, display, findings.maps.origin.region, result.reading)
    _check_photo(result, findings, opened)
    drawing = Drawing(opened, findings, display, findings.groups if display.classes else None)
    per_class = dict(drawing.per_class().values()) if display.per_class else {}
    return opened, {**drawing.picture(), **per_class}


def _of_classes(result: SavedResult, findings: Findings, classes: Sequence[Wanted]) -> Findings:
    """What was found of some classes; their maps from the saved grid where there are no others."""
    if not classes:
        return findings
    grid = _grid(result)
    groups = _named(findings, classes) if grid is None else grid.classes.find_all(classes)
    return Findings(
        tuple(each for each in findings.detections if each.group in groups),
        tuple(each for each in findings.guesses if each.group in groups),
        tuple(groups),
        findings.maps_of(groups, grid),
    )


def _named(findings: Findings, classes: Sequence[Wanted]) -> list[ClassGroup]:
    """The classes among those that have maps, by name or index.

    Raises:
        ClassError: one has none.
    """
    found: list[ClassGroup] = []
    known = findings.maps.classes
    for wanted in classes:
        own = [
            group
            for column, group in enumerate(findings.groups)
            if _is(group, known.in_network(column), wanted)
        ]
        if not own:
            raise ClassError(
                f"class {str(wanted)!r} has no map: there are those of "
                f"{', '.join(group.name for group in findings.groups)}; a run that saves its grid "
                "has those of all classes"
            )
        found += own
    return list(dict.fromkeys(found))


def _is(group: ClassGroup, in_network: Sequence[int], wanted: Wanted) -> bool:
    """Whether a class is meant by a name, an index in the network, or itself."""
    if isinstance(wanted, ClassGroup):
        return group == wanted
    asked = str(wanted).casefold()
    return asked == group.name.casefold() or [asked] == list(map(str, in_network))


def _grid(result: SavedResult) -> ScoreGrid | None:
    """The grid of a result, checked to have the classes of its detections; None if not saved."""
    if result.grid is None:
        return None
    grid = load(result.grid)
    indices = [index for group in result.groups for index in group.indices]
    for index in indices:
        if not 0 <= index < len(grid.classes):
            raise ResultError(
                f"{result.description}: has class {index}, {result.grid.name} has "
                f"{len(grid.classes)} classes: run the photo again"
            )
    return grid


def _source(result: SavedResult, findings: Findings, photo: str | Path | None) -> Path:
    """The path of the photo that was scored, which is checked to have its size."""
    source = photo or result.photo
    if source is None:
        raise ResultError(
            f"{result.description}: was made from an array, not a file",
            Use("photo", text="give the photo with {}"),
        )
    region = findings.maps.origin.region
    # Before it is read, since another photo need not have the region.
    if upright_hw(Path(source)) != (region.whole_hw if region else findings.maps.geometry.photo_hw):
        raise _another_photo(str(source), result)
    return Path(source)


def _check_photo(result: SavedResult, findings: Findings, opened: OpenPhoto) -> None:
    """Refuse a photo that is not the one that was scored."""
    origin = findings.maps.origin
    # An array has a digest of its pixels, whatever file they are in.
    of_array = not origin.photo and isinstance(opened, Photo | PhotoFile)
    digest = pixels_digest(opened.hw, opened.strips()) if of_array else opened.digest
    if digest != origin.photo_digest:
        raise _another_photo(opened.path, result)


def _another_photo(path: str, result: SavedResult) -> ResultError:
    return ResultError(
        f"{path}: is not the photo that was scored for {result.description.name}",
        Use("photo", text="give that one with {}"),
    )
