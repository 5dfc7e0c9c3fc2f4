"""`heatmap run`: score one photo, detect objects, and print what and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .check import check_names
from .command import Command
from .console import progress_line
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
from .run_printer import RunPrinter
from .single import RESULTS, check_output, given_photo, json_of

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
        assert output is not None
        RunPrinter.of(done, output, verbose=options["verbose"]).print(scorer, noted)
    keep_network(scorer)
