"""`heatmap summary`: the layer table of the converted network."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from ..progress import print_text
from .check import check_model
from .command import Command
from .console import make_console, progress_line
from .options import model_options, statistics_of, under
from .parameter_types import PhotoSize
from .result_options import json_option

if TYPE_CHECKING:
    from ..networks.layer_table import Summary
    from ..text_table import TextTable


@click.command(cls=Command)
@model_options
@statistics_of("of the whole photo")
@under(
    "Photo",
    click.option(
        "--photo-size",
        type=PhotoSize(),
        metavar="WIDTHxHEIGHT",
        help="Size of the photo in px; default: one window.",
    ),
)
@json_option
def summary(*, as_json: bool, **options: Any) -> None:
    """Print the layers of the converted network.

    For each layer: its output for a photo of the given size, its parameters, its stride and its
    receptive field (both in photo px); then totals and memory.
    """
    check_model(options["model"])
    from ..networks.summary import summary as summary_of

    with progress_line(f"loading {options['model']}") as line:
        layers = summary_of(**options)
        line.notes(layers.notes)
    if as_json:
        click.echo(json.dumps(asdict(layers), indent=2))
    else:
        print_summary(layers)


def print_summary(summary: Summary) -> None:
    """Print the layer table and its totals."""
    from ..networks.layer_table import layer_table, summary_lines

    console = make_console()
    console.print(_layer_table(layer_table(summary.rows)))
    for line in summary_lines(summary):
        print_text(console, line)


def _layer_table(table: TextTable) -> Table:
    """One row per layer, narrow enough for VGG16 at 400 px to fit into 80 columns.

    Where it does not fit, names are wrapped; numbers never are.
    """
    drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for place, heading in enumerate(table.headings):
        if place in table.numbers:
            drawn.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
        else:
            drawn.add_column(heading, overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    return drawn
