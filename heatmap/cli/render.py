"""`heatmap render`: the pictures of saved results once more."""

from __future__ import annotations

import json
from typing import Any

import click

from ..errors import HeatmapError
from .command import Command, end_with
from .options import FILE, under
from .result_options import (
    drawing_options,
    json_option,
    output_option,
    overwrite_option,
    per_class_option,
)


@click.command(cls=Command)
@click.argument("results", type=FILE)
@under(
    "Photo",
    click.option(
        "--photo", type=FILE, metavar="FILE", help="The photo, if it has moved since it was scored."
    ),
)
@under(
    "Detections",
    click.option(
        "-c",
        "--class",
        "classes",
        multiple=True,
        metavar="CLASS",
        help="Draw this class only; may be repeated. One that was not searched for needs a saved "
        "grid, and is drawn without boxes.",
    ),
    click.option(
        "--conf",
        type=click.FloatRange(0, 1),
        metavar="P",
        help="Leave out detections below this confidence; default: that of the run.",
    ),
)
@per_class_option
@drawing_options
@output_option
@overwrite_option
@json_option
def render(*, as_json: bool, **options: Any) -> None:
    """Draw the pictures of saved RESULTS once more.

    The network does not run again. RESULTS is a folder that `heatmap run` wrote to, or the JSON
    file of one photo in it. Exits with 1 if a result cannot be drawn; the others of a folder are.
    """
    from ..runs.view import render as draw

    failed: list[HeatmapError] = []
    paths = draw(**options, on_error=failed.append)
    if as_json:
        click.echo(json.dumps([str(path) for path in paths], indent=2))
    else:
        for path in paths:
            click.echo(f"wrote {path}")
    end_with(failed)
