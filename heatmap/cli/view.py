"""`heatmap view`: pages for the browser from saved results."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import HeatmapError
from .command import Command, end_with
from .console import make_console, print_opening, print_path
from .options import FILE, under
from .result_options import json_option, overwrite_option


@click.command(cls=Command)
@click.argument("results", type=FILE)
@under(
    "Photo",
    click.option(
        "--photo", type=FILE, metavar="FILE", help="The photo, if it has moved since it was scored."
    ),
)
@overwrite_option
@json_option
def view(results: Path, photo: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write a page that shows saved RESULTS in a browser.

    RESULTS is a folder that `heatmap run` wrote to, or the JSON file of one photo in it. The
    page works offline; that of a large photo needs the folder of tiles beside it. Exits with 1 if
    a result cannot be shown; the others of a folder are.
    """
    from ..runs.view import view as write_pages

    failed: list[HeatmapError] = []
    pages = write_pages(results, photo, overwrite=overwrite, on_error=failed.append)
    if as_json:
        click.echo(json.dumps([str(path) for path in pages], indent=2))
    else:
        console = make_console()
        for path in pages:
            print_path(console, f"wrote {path}")
        if pages:
            print_opening(console, pages[0])
    end_with(failed)
