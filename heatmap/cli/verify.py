"""`heatmap verify`: sliding against cropping on a photo, or on a folder of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from .check import check_names
from .command import Command
from .completion import complete_classes
from .options import (
    FILE,
    backend_option,
    border_option,
    model_options,
    reading_options,
    scales_options,
    statistics_option,
    under,
    verify_stride_option,
)
from .result_options import json_option, output_option, overwrite_option

# What `heatmap verify --help` lists.
_COMMON = (
    "model weights class_names activation window stride scales border classes windows "
    "max_difference output overwrite as_json"
)


@click.command(cls=Command, common=_COMMON)
@click.argument("photo", metavar="PHOTO|FOLDER", type=FILE)
@model_options
@reading_options
@verify_stride_option
@scales_options
@border_option
@statistics_option
@backend_option
@under(
    "Windows",
    click.option(
        "--windows",
        type=click.IntRange(min=1),
        default=128,
        show_default=True,
        metavar="N",
        help="Maximum number of windows to crop at each scale.",
    ),
)
@under(
    "Output",
    click.option(
        "-c",
        "--class",
        "classes",
        metavar="CLASS",
        shell_complete=complete_classes,
        help="Class to draw; default: the top class of the photo.",
    ),
    click.option(
        "--max-difference",
        type=click.FloatRange(min=0),
        metavar="X",
        help="Exit with 1 if sliding differs from cropping by more than this share of the "
        "largest score.",
    ),
)
@output_option
@overwrite_option
@json_option
def verify(photo: Path, *, max_difference: float | None, as_json: bool, **options: Any) -> None:
    """Compare sliding with cropping on PHOTO or those in FOLDER.

    Prints how much their scores differ at each scale and how much faster sliding is, and draws
    both. Exits with 1 if the converted head is not exact, or a photo cannot be compared.
    """
    wanted = options["classes"]
    check_names(options | {"classes": () if wanted is None else (wanted,)})
    from ..evaluation.verify import verify as verify_photos
    from ..evaluation.verify_photos import VerifySummary, describe_summary
    from .verify_printer import print_summary, verify_printer

    with verify_printer(f"loading {options['model']}", as_json=as_json) as printer:
        done = verify_photos(photo, progress=printer, **options)
    if isinstance(done, VerifySummary):
        if as_json:
            told = {"summary": describe_summary(done), "photos": printer.described}
            click.echo(json.dumps(told, indent=2))
        else:
            print_summary(done)
    elif as_json:
        click.echo(json.dumps(printer.described[0], indent=2))
    if done.exceeds(max_difference):
        click.echo(
            f"error: sliding differs from cropping by {done.difference:.3g} of the largest "
            f"score, more than {max_difference:g}",
            err=True,
        )
    sys.exit(0 if done.passed and not done.exceeds(max_difference) else 1)
