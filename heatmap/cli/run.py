"""`heatmap run`: score one photo, find objects, and say what was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.markup import escape
from rich.table import Table

from .command import Command
from .console import make_console
from .options import (
    border_option,
    engine_option,
    extra_options,
    limit_options,
    model_options,
    output_options,
    scales_options,
    stride_option,
    view_options,
)
from .request import recipe_of, request_of

if TYPE_CHECKING:
    from ..geometry import Box
    from ..grid.score_grid import ScoreGrid
    from ..runs.run import Run
    from ..scoring.scorer import Scorer


def print_run(done: Run, scorer: Scorer) -> None:
    """What was found, with which settings, and where the files are."""
    console, grid = make_console(), done.grid
    height, width = grid.geometry.photo_hw
    rows, columns = grid.geometry.grid_hw
    console.print(
        f"{escape(done.photo.path)}: {height} x {width} px, {rows} x {columns} windows of "
        f"{grid.geometry.window_px} px, {grid.geometry.stride_px} px apart, by "
        f"{escape(grid.origin.model)} ({escape(grid.origin.weights.text)})"
    )
    notes = (*done.photo.notes, *_sliding_notes(grid, scorer), *_grid_notes(done))
    for note in notes:
        console.print(f"note: {escape(note)}")
    console.print(_found_table(done) if done.detections else _nothing_found(done))
    saved = done.saved
    grids = (saved.grid, *saved.scales.values())
    pictures = (*saved.overlays.values(), *saved.previews.values())
    exports = (path for paths in saved.exports.values() for path in paths)
    rest = (path for path in (saved.sharp, saved.page) if path is not None)
    for path in (*pictures, *grids, *rest, *exports, saved.description):
        console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def _sliding_notes(grid: ScoreGrid, scorer: Scorer) -> Iterator[str]:
    """What stands against sliding; its advice on the engine is for those who have not chosen."""
    crops, inexact = grid.origin.engine == "crop", grid.origin.sliding == "inexact"
    if crops and inexact:
        yield (
            f"scored crop by crop: sliding would be inexact: {scorer.why_not}; "
            "--engine slide slides all the same"
        )
    elif crops and scorer.why_not:
        yield f"scored crop by crop: {scorer.why_not}"
    elif inexact:
        yield f"slid all the same, but sliding is inexact: {scorer.why_not}"


def _grid_notes(done: Run) -> Iterator[str]:
    """What a person should know of how the grid was made."""
    if done.scales:
        names = ", ".join(name.removeprefix("x") for name in done.scales)
        yield f"scales {names} fused on the finest"
    missing = int((~done.grid.scored).sum())
    if missing:
        rows, columns = done.grid.geometry.grid_hw
        yield f"{missing} of {rows * columns} windows skipped"


def _nothing_found(done: Run) -> str:
    """The best of the classes that were drawn, which are those that were asked for."""
    if not done.grid.scored.any():
        return "nothing found: every window was skipped"
    drawn = list(done.saved.overlays)
    peaks = np.nan_to_num(done.grid.class_maps(drawn)).max(axis=(0, 1))
    best = int(peaks.argmax())
    name = escape(drawn[best].name)
    return (
        f"nothing found; the best is {name} with {peaks[best]:.2g}: "
        "try another --scale, --conf or --engine crop"
    )


def _found_table(done: Run) -> Table:
    """What was found, in words: what, how sure, where in the photo, how large, and the box."""
    table = Table("found", box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("sure", "right"), ("where", "left"), ("of photo", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("box, px: left, top to right, bottom")
    for one in done.detections:
        left, top, right, bottom = (round(side) for side in one.xyxy)
        table.add_row(
            escape(one.name),
            f"{one.confidence:.0%}",
            _whereabouts(one.xyxy, done.grid.geometry.photo_hw),
            _share(one.xyxy, done.grid.geometry.photo_hw),
            f"{left}, {top} to {right}, {bottom}",
        )
    return table


def _whereabouts(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """In which ninth of the photo the centre of a box lies."""
    down = (xyxy[1] + xyxy[3]) / 2 / photo_hw[0]
    across = (xyxy[0] + xyxy[2]) / 2 / photo_hw[1]
    row = ("top", "middle", "bottom")[min(2, int(down * 3))]
    column = ("left", "middle", "right")[min(2, int(across * 3))]
    return "middle" if row == column else f"{row} {column}"


def _share(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """How much of the photo a box takes."""
    area = (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1]) / (photo_hw[0] * photo_hw[1])
    return f"{area:.0%}" if area >= 0.01 else "< 1%"


@click.command(cls=Command)
@click.argument("photo", type=click.Path(path_type=Path))
@model_options
@stride_option
@scales_options
@border_option
@limit_options
@engine_option
@view_options
@extra_options
@output_options
def run(photo: Path, **options: Any) -> None:
    """Score PHOTO, find objects, and write grid, overlays and boxes."""
    from ..runs.run import run as run_photo
    from .console import working

    request = request_of(options)
    with working(f"loading {options['model']}") as at_work:
        scorer = recipe_of(options, options["engine"]).prepare()
        done = run_photo(
            photo,
            scorer,
            options["output"],
            view=request.view,
            placement=request.placement,
            limits=request.limits,
            extras=request.extras,
            reporter=at_work,
        )
    if options["as_json"]:
        click.echo(done.saved.description.read_text(encoding="utf-8"), nl=False)
    else:
        print_run(done, scorer)
