"""`heatmap summary`: the layer table of the converted network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from ..geometry import grid_text
from ..grid.outputs import described
from ..localization.auto_scales import in_words
from ..progress import print_text
from .check import check_model
from .command import Command
from .console import make_console, progress_line
from .options import model_options, under
from .parameter_types import PhotoSize
from .result_options import json_option

if TYPE_CHECKING:
    from ..networks.summary import LayerRow, Summary

_MIB = 2**20


@click.command(cls=Command)
@model_options
@under(
    "Photo",
    click.option(
        "--photo-size",
        "photo_hw",
        type=PhotoSize(),
        metavar="WIDTHxHEIGHT",
        help="Size of the photo in px; default: one window.",
    ),
)
@json_option
def summary(photo_hw: tuple[int, int] | None, as_json: bool, **options: Any) -> None:
    """Print the layers of the converted network.

    For each layer: its output for a photo of the given size, its parameters, its stride and its
    receptive field (both in photo px); then totals and memory.
    """
    check_model(options["model"])
    from ..networks.load import load_classifier
    from ..networks.summary import summary as summary_of

    with progress_line(f"loading {options['model']}") as line:
        classifier = load_classifier(options.pop("model"), **options)
        line.notes(classifier.notes)
        layers = summary_of(classifier, photo_hw=photo_hw)
    if as_json:
        click.echo(json.dumps({**asdict(layers), "notes": classifier.notes}, indent=2))
    else:
        print_summary(layers)


def print_summary(summary: Summary) -> None:
    """Print the layer table and its totals."""
    console = make_console()
    console.print(_layer_table(summary.rows))
    print_text(
        console, "output: channels x height x width; stride and receptive field: px of the photo"
    )
    height, width = summary.photo_hw
    rows, columns = summary.grid_hw
    print_text(
        console,
        f"{summary.model} on {width} x {height} px: {grid_text(rows, columns)} of "
        f"windows, {summary.window_px} px wide, {summary.native_stride_px} px apart",
    )
    print_text(console, f"outputs: {described(summary.outputs)}")
    print_text(console, f"scales: {in_words(summary.scale_rule)}")
    if summary.box_examples:
        print_text(console, f"boxes: refined by {summary.box_examples:,} examples")
    fixed = summary.parameters - summary.trainable
    print_text(
        console,
        f"parameters {summary.parameters:,}: {summary.trainable:,} trainable, {fixed:,} fixed"
        + (f"; {summary.unused:,} in layers that scoring does not use" if summary.unused else ""),
    )
    print_text(
        console,
        f"memory in MiB: input {summary.input_bytes / _MIB:.2f}, "
        f"outputs of all layers {summary.activation_bytes / _MIB:.2f} "
        f"({2 * summary.activation_bytes / _MIB:.2f} forward and backward), "
        f"parameters {summary.parameter_bytes / _MIB:.2f}, "
        f"peak while scoring {summary.peak_bytes / _MIB:.2f}",
    )


def _layer_table(rows: Iterable[LayerRow]) -> Table:
    """One row per layer, narrow enough for VGG16 at 400 px to fit into 80 columns.

    Where it does not fit, names are wrapped; numbers never are.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("layer", "type", "kernel"):
        table.add_column(heading, overflow="fold")
    for heading in ("output", "parameters", "stride", "receptive\nfield"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        fixed = "" if row.trainable else " fixed"
        table.add_row(
            escape(row.path),
            escape(row.kind),
            escape(row.detail.replace(" x ", "x")),
            "x".join(map(str, row.shape)),
            f"{row.parameters:,}{fixed}" if row.parameters else "",
            str(row.stride_px),
            str(row.field_px),
        )
    return table
