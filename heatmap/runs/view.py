"""Pages for the browser from saved results."""

from __future__ import annotations

from pathlib import Path

from ..errors import ResultError, Use
from ..files import write_all
from ..grid.read import load
from ..grid.score_grid import ScoreGrid
from ..localization.detection import on_region
from ..names import PAGE, ResultNames
from ..photo.photo import Photo, pixels_digest
from ..photo.photo_file import PhotoFile, open_whole
from ..rendering.page import page_files
from .saved import SavedResult, saved_results


def view(results: str | Path, photo: str | Path | None = None) -> list[Path]:
    """Write a page for each saved result beside it: ``cat.html`` beside ``cat.json``.

    A page is one HTML file that shows photo, heatmaps and detections in any browser, offline.
    That of a photo above 32 megapixels needs the folder ``cat.tiles`` that is written beside
    it. An earlier page is replaced.

    >>> heatmap.view("results")                  # doctest: +SKIP
    [PosixPath('results/cat.html')]

    Args:
        results: a folder that :func:`heatmap.run` wrote to, or one photo's JSON file in it.
        photo: the photo, if it has moved; by default the path saved in the result, or else
            a file of its name beside the result.

    Returns:
        The pages, in the order of the results' names.

    Raises:
        PhotoError: a photo cannot be read.
        ResultError: no results, or one of an earlier format; a photo that is not the one that
            was scored, or one photo for several results; a grid that cannot be read, or a page
            that cannot be written. Pages already written stay.
    """
    saved = saved_results(results)
    if photo is not None and len(saved) > 1:
        raise ResultError(
            f"{results}: holds the results of {len(saved)} photos",
            Use("photo", text="name the JSON file of the result that {} belongs to"),
        )
    return [_write_page(result, photo) for result in saved]


def _write_page(result: SavedResult, photo: str | Path | None) -> Path:
    grid = _grid(result)
    opened = _photo(result, grid, photo)
    names = ResultNames.of_description(result.description)
    shown = on_region(result.detections, opened.region)
    pages = page_files(opened, grid, shown, stem=names.stem)
    write_all({names.path(suffix): write for suffix, write in pages.items()})
    return names.path(PAGE)


def _grid(result: SavedResult) -> ScoreGrid:
    """The grid of a result, checked to have the classes of its detections."""
    grid = load(result.grid)
    indices = [index for detection in result.detections for index in detection.group.indices]
    for index in indices:
        if not 0 <= index < len(grid.classes):
            raise ResultError(
                f"{result.description}: has class {index}, {result.grid.name} has "
                f"{len(grid.classes)} classes: run the photo again"
            )
    return grid


def _photo(result: SavedResult, grid: ScoreGrid, photo: str | Path | None) -> Photo | PhotoFile:
    """The photo that was scored."""
    source = photo or result.photo
    if source is None:
        raise ResultError(
            f"{result.description}: was made from an array, not a file",
            Use("photo", text="give the photo with {}"),
        )
    opened = open_whole(source, grid.origin.region)
    # An array has a digest of its pixels, whatever file they are in.
    of_array = not grid.origin.photo
    digest = pixels_digest(opened.hw, opened.strips()) if of_array else opened.digest
    if digest != grid.origin.photo_digest:
        raise ResultError(
            f"{opened.path}: is not the photo that was scored for {result.description.name}",
            Use("photo", text="give that one with {}"),
        )
    return opened
