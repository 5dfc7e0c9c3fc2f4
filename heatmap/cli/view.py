"""`heatmap view`: pages from saved results."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .command import Command


@click.command(cls=Command)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--photo", type=click.Path(path_type=Path), help="The photo, where it was moved.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def view(results: Path, photo: Path | None, as_json: bool) -> None:
    """Write a page to look at in a browser for RESULTS.

    RESULTS is a folder that `heatmap run` wrote to, or one photo's JSON file in it. The
    page needs no network; that of a large photo needs the folder of tiles beside it.
    """
    from ..runs.view import view as write_pages

    written = write_pages(results, photo)
    if as_json:
        click.echo(json.dumps([str(path) for path in written], indent=2))
    else:
        for path in written:
            click.echo(f"wrote {path}")
