"""`heatmap render`: overlays from a saved grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..errors import ResultError, Use
from .command import Command
from .options import FILE, detection_options, json_option, output_option, overlay_options
from .request import view_of


@click.command(cls=Command)
@click.argument("grid_file", metavar="GRID.npz", type=FILE)
@click.argument("photo", required=False, type=FILE)
@detection_options
@overlay_options
@output_option
@json_option
def render(grid_file: Path, photo: Path | None, **options: Any) -> None:
    """Draw overlays from a saved grid, without running the network.

    PHOTO is the photo that was scored; by default it is read from the path saved in the grid.
    """
    from ..grid.read import load
    from ..localization.detect import detect
    from ..runs.pictures import draw, drawn_groups, open_to_draw, search_of
    from ..runs.save import save_overlays

    grid = load(grid_file)
    if photo is None and not grid.origin.photo:
        raise ResultError(
            f"{grid_file}: was made from an array, not a file",
            Use("photo", text="give the photo as {}"),
        )
    view = view_of(options)
    opened = open_to_draw(photo or grid.origin.photo, view, grid.origin.region)
    detections = detect([grid], search_of(view)).detections
    # In a grid of sharp maps a detection is a single position, not the box of an object.
    outlined = () if grid.origin.is_sharp else detections
    pictures = {
        group: draw(view, opened, grid, group, [box.xyxy for box in outlined if box.group == group])
        for group in drawn_groups(view, grid, detections)
    }
    paths = save_overlays(options["output"], grid_file.stem, pictures)
    if options["as_json"]:
        written = [{"class": group.name, "file": str(path)} for group, path in paths.items()]
        click.echo(json.dumps(written, indent=2))
    else:
        for group, path in paths.items():
            click.echo(f"{group.name}: {path}")
