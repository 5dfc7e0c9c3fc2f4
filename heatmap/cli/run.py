"""`heatmap run`: score one photo, detect objects, and print what and where they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from .check import check_names
from .command import Command
from .console import make_console, print_scored, progress_line
from .keep import keep_network
from .many import run_many
from .options import (
    FILE,
    backend_option,
    border_option,
    compute_options,
    confirm_option,
    detection_options,
    engine_option,
    fuse_option,
    model_options,
    reading_options,
    region_option,
    scales_options,
    skip_options,
    statistics_option,
    stride_option,
    under,
)
from .result_options import (
    json_option,
    overwrite_option,
    picture_options,
    store_options,
    talk_options,
)
from .single import RESULTS, check_output, given_photo, json_of, print_settings

if TYPE_CHECKING:
    from ..geometry import Box
    from ..grid.origin import Origin
    from ..localization.areas import Areas
    from ..localization.detection import Detection
    from ..runs.result import Result
    from ..scoring.scorer import Scorer


# What `heatmap run --help` lists.
_COMMON = (
    "model weights scales classes conf iou max_det colormap alpha legend boxes device formats html "
    "output quiet verbose as_json"
)


@click.command(cls=Command, common=_COMMON)
@click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="PHOTO...")
@model_options
@reading_options
@stride_option
@scales_options
@region_option
@fuse_option
@border_option
@engine_option
@statistics_option
@skip_options
@detection_options
@confirm_option
@picture_options
@backend_option
@compute_options
@store_options
@under(
    "Output",
    click.option(
        "-o",
        "--output",
        type=FILE,
        metavar="FOLDER|PICTURE",
        help="Folder for the results, created if missing; or of one photo only the picture, .png "
        "or .jpg; default: results, and no file with --json.",
    ),
)
@overwrite_option
@talk_options
@json_option
def run(photos: tuple[str, ...], output: Path | None, **options: Any) -> None:
    """Detect objects in PHOTO; write a picture, maps and boxes.

    Prints each detection with its class, confidence, position and box. All classes of the model
    are searched unless some are named with -c. A folder, a glob, a list of paths, or several
    photos are run as by `heatmap batch`; - is a photo from standard input.
    """
    check_names(options)
    from ..runs.sources import is_single

    if len(photos) == 1 and is_single(photos[0]):
        _run_one(photos[0], output, options)
    else:
        run_many(photos, output or RESULTS, options)


def _run_one(name: str, output: Path | None, options: dict[str, Any]) -> None:
    """Run one photo, and print what was found."""
    from ..runs.one_picture import run_into
    from ..runs.options import recipe_of, request_of

    request = request_of(options, overwrite=options["overwrite"])
    if output is None and not options["as_json"]:
        output = RESULTS
    photo = given_photo(name)
    check_output(photo, output, request)
    with progress_line(f"loading {options['model']}") as line:
        scorer = recipe_of(options["model"], options).prepare()
        line.notes((*scorer.facts.notes, *scorer.cache_notes))
        done = run_into(photo, scorer, request, output, progress=line)
        noted = done.maps.origin.notes[len(scorer.facts.notes) :]
        if options["as_json"]:
            # What was looked for stands in the JSON.
            stride_px = done.windows.finest.geometry.stride_px
            line.notes(scorer.notes_at(stride_px)[len(scorer.facts.notes) :])
    if options["as_json"]:
        click.echo(json_of(done), nl=False)
    elif not options["quiet"]:
        _print(done, scorer, noted, skips=request.limits.skip is not None)
        if options["verbose"]:
            print_settings(make_console(), done)
        written = [output] if done.saved is None else done.saved.written
        for path in written:
            make_console().print(f"wrote {escape(str(path))}", soft_wrap=True)
    keep_network(scorer)


def _print(done: Result, scorer: Scorer, noted: Iterable[str], *, skips: bool) -> None:
    """Print what was detected, with which settings, and where the files are."""
    console, grid = make_console(), done.windows.finest
    print_scored(console, done.photo.path, grid)
    sliding = (*noted, *_sliding_notes(grid.origin, scorer))
    for note in (*done.photo.notes, *sliding, *_grid_notes(done, skips=skips)):
        console.print(f"note: {escape(note)}")
    if not done.detections:
        console.print(_nothing_detected(done))
    if done.findings.shown:
        console.print(_detection_table(done))
    for missing in done.findings.not_found:
        console.print(escape(missing.answer(done.request.display.conf)), soft_wrap=True)
    if done.areas is not None:
        console.print(_area_table(done.areas))


def _sliding_notes(origin: Origin, scorer: Scorer) -> Iterator[str]:
    """Whether sliding is inexact, and what would slide all the same."""
    if origin.sliding == "inexact" and origin.engine == "crop":
        yield "--statistics local slides it, as an approximation"
    elif origin.statistics == "whole":
        yield f"sliding is inexact for this network: {scorer.why_not}"


def _grid_notes(done: Result, *, skips: bool) -> Iterator[str]:
    """Notes on fused scales and skipped windows."""
    if len(done.grids) > 1:
        names = ", ".join(name.removeprefix("x") for name in done.grids)
        yield f"scales {names} fused on the finest"
    missing = done.windows.not_scored
    if missing and skips:
        windows = math.prod(done.windows.finest.geometry.grid_hw)
        yield f"{missing} of {windows} windows skipped"


def _nothing_detected(done: Result) -> str:
    """That nothing was detected; guesses are in the table below it."""
    if done.windows.not_scored == math.prod(done.windows.finest.geometry.grid_hw):
        return "nothing detected: every window was skipped"
    way_out = "try another --scale, --conf or --engine crop"
    if not done.findings.guesses:
        return f"nothing detected: {way_out}"
    return f"nothing detected; the best guesses, all below --conf ({way_out}):"


def _detection_table(done: Result) -> Table:
    """A table of detections or guesses: class, how sure, where, area fraction, box, and or."""
    table = Table("class", box=None, pad_edge=False, header_style="bold")
    shown = done.findings.shown
    confirmed = any(detection.crop is not None for detection in shown)
    for heading in ("confidence", *["slide", "crop"] * confirmed):
        table.add_column(heading, justify="right")
    table.add_column("where")
    table.add_column("area", justify="right")
    table.add_column("box, px")
    if any(detection.alternatives for detection in shown):
        table.add_column("or")
    for detection in shown:
        table.add_row(*_cells(detection, done.photo.whole_hw, confirmed=confirmed))
    return table


def _area_table(areas: Areas) -> Table:
    """A table of the classes that win somewhere, and the fractions of the photo."""
    from ..rendering.areas_picture import share_text

    table = Table("class", box=None, pad_edge=False, header_style="bold")
    table.add_column("area", justify="right")
    for name, fraction in areas.rows():
        table.add_row(escape(name), share_text(fraction))
    return table


def _cells(detection: Detection, photo_hw: tuple[int, int], *, confirmed: bool) -> tuple[str, ...]:
    left, top, right, bottom = (round(side) for side in detection.xyxy)
    crop = "" if detection.crop is None else f"{detection.crop:.2f}"
    return (
        escape(detection.name),
        f"{detection.confidence:.2f}",
        *([f"{detection.slide:.2f}", crop] if confirmed else []),
        _whereabouts(detection.xyxy, photo_hw),
        _area_fraction(detection.xyxy, photo_hw),
        f"{left}, {top} to {right}, {bottom}",
        _alternatives(detection),
    )


def _alternatives(detection: Detection) -> str:
    """What else a detection may be: "tabby 0.30, tiger cat 0.12; cat in all 0.83"."""
    listed = ", ".join(f"{each.name} {each.confidence:.2f}" for each in detection.alternatives)
    together = detection.together
    in_all = f"; {together.name} in all {together.confidence:.2f}" if together else ""
    return escape(f"{listed}{in_all}")


def _whereabouts(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """In which ninth of the photo the centre of a box lies."""
    down = (xyxy[1] + xyxy[3]) / 2 / photo_hw[0]
    across = (xyxy[0] + xyxy[2]) / 2 / photo_hw[1]
    row = ("top", "middle", "bottom")[min(2, int(down * 3))]
    column = ("left", "middle", "right")[min(2, int(across * 3))]
    return "middle" if row == column else f"{row} {column}"


def _area_fraction(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """The fraction of the photo's area that a box covers, in percent."""
    area = (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1]) / (photo_hw[0] * photo_hw[1])
    return f"{area:.0%}" if area >= 0.01 else "< 1%"
