"""`heatmap batch`: many photos, on one machine or a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .check import check_names
from .command import Command
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
    scales_options,
    skip_options,
    statistics_option,
    stride_option,
    under,
)
from .result_options import overwrite_option, picture_options, store_options, talk_options

# A copy of the default of the library, which is slow to import; a test compares them.
LOOK_EVERY = 5.0

runner_options = under(
    "Computing",
    click.option(
        "--runner",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where to run: in this process, or in workers on Ray (needs ray).",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of workers on Ray; default: one per CPU.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads per photo; default: 1 if several photos are run at a time.",
    ),
    click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="Address of a Ray cluster to join; default: start Ray here.",
    ),
    click.option(
        "--gpus",
        type=click.FloatRange(min=0),
        metavar="N",
        help="GPUs per worker on Ray; default: 1 on cuda, otherwise 0.",
    ),
)
progress_options = under(
    "Progress",
    click.option(
        "--retry-failed", is_flag=True, help="Run failed photos again even if nothing has changed."
    ),
    click.option(
        "--dry-run", is_flag=True, help="Print what would be done, without writing anything."
    ),
    click.option(
        "--watch",
        is_flag=True,
        help="Keep running and process new photos as they arrive, until Ctrl-C.",
    ),
    click.option(
        "--every",
        type=click.FloatRange(min=0.1),
        default=LOOK_EVERY,
        show_default=True,
        metavar="SECONDS",
        help="How often --watch looks for photos; files still changing are left for the next time.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per photo."),
)


# What `heatmap batch --help` lists.
_COMMON = (
    "model weights scales classes conf max_det colormap alpha legend boxes device formats output "
    "watch retry_failed quiet verbose as_json"
)


@click.command(cls=Command, common=_COMMON)
@click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="SOURCE...")
@model_options
@reading_options
@stride_option
@scales_options
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
@runner_options
@store_options
@under(
    "Output",
    click.option(
        "-o",
        "--output",
        type=FILE,
        default=Path("results"),
        show_default=True,
        metavar="FOLDER",
        help="Folder for the results of all photos; created if missing.",
    ),
)
@overwrite_option
@talk_options
@progress_options
def batch(photos: tuple[str, ...], output: Path, **options: Any) -> None:
    """Run many photos: folders, globs, lists, single photos.

    Results mirror the folder structure of the photos below the output folder; index.html shows
    all of them, summary.csv lists the detections, and manifest.jsonl records the outcome for
    each photo. Run again, the command processes only photos that are new or changed, or whose
    results are missing. Exits with 1 if a photo failed.
    """
    check_names(options)
    run_many(photos, output, options)
