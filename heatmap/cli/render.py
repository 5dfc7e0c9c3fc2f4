"""`heatmap render`: overlays from a saved grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..errors import ResultError
from .command import Command
from .options import output_options, view_options
from .request import view_of


@click.command(cls=Command)
@click.argument("grid_file", metavar="GRID.npz", type=click.Path(path_type=Path))
@click.argument("photo", required=False, type=click.Path(path_type=Path))
@view_options
@output_options
def render(grid_file: Path, photo: Path | None, **options: Any) -> None:
    """Draw overlays from a saved grid, without running the network.

    PHOTO is the one that was scored; by default the path that the grid holds.
    """
    from ..grid.read import load
    from ..photo.photo_file import open_photo
    from ..runs.save import save_overlays

    grid = load(grid_file)
    if photo is None and not grid.origin.photo:
        raise ResultError(
            f"{grid_file}: was made from an array, not a file: name the photo as well"
        )
    read = open_photo(photo or grid.origin.photo)
    view = view_of(options)
    found = view.find(grid)
    # What is found in a sharp map is a single position, not the box of an object.
    shown = () if grid.origin.is_sharp else found
    pictures = {
        group: view.draw(read, grid, group, [one.xyxy for one in shown if one.group == group])
        for group in view.groups(grid, found)
    }
    paths = save_overlays(options["output"], grid_file.stem, pictures)
    written = [(group.name, path) for group, path in paths.items()]
    if options["as_json"]:
        click.echo(
            json.dumps([{"class": name, "file": str(path)} for name, path in written], indent=2)
        )
    else:
        for name, path in written:
            click.echo(f"{name}: {path}")
