"""`heatmap summary`: the layer table of the converted network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from ..networks.summary import MIB, LayerRow, Summary
from .command import Command
from .console import make_console
from .options import model_options, photo_size_option


def print_summary(summary: Summary) -> None:
    """The layer table and its totals."""
    console = make_console()
    console.print(_layer_table(summary.rows))
    height, width = summary.photo_hw
    rows, columns = summary.grid_hw
    console.print(
        f"{escape(summary.model)} on {height} x {width} px: {rows} x {columns} windows of "
        f"{summary.window_px} px, native stride {summary.native_stride_px} px"
    )
    fixed = summary.parameters - summary.trainable
    console.print(
        f"parameters {summary.parameters:,}: {summary.trainable:,} trainable, {fixed:,} fixed"
        + (f"; {summary.unused:,} in layers that scoring does not use" if summary.unused else "")
    )
    console.print(
        f"memory in MiB: input {summary.input_bytes / MIB:.2f}, "
        f"outputs of all layers {summary.activation_bytes / MIB:.2f} "
        f"({2 * summary.activation_bytes / MIB:.2f} forward and backward), "
        f"parameters {summary.parameter_bytes / MIB:.2f}, "
        f"most at once while scoring {summary.peak_bytes / MIB:.2f}"
    )


def _layer_table(rows: Iterable[LayerRow]) -> Table:
    """One row a layer, close enough for VGG16 at 400 px to fit into 80 columns.

    Where it does not fit, names are folded; numbers never are.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("layer", "type", "kernel"):
        table.add_column(heading, overflow="fold")
    for heading in ("output", "parameters", "stride", "field"):
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


@click.command(cls=Command)
@model_options
@photo_size_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def summary(photo_size: tuple[int, int] | None, as_json: bool, **options: Any) -> None:
    """Print the layers of the converted network.

    Each with its output at the photo's size, parameters, stride and receptive field
    in photo px, then totals and memory.
    """
    from ..networks.load import load_classifier
    from ..networks.summary import summary as summary_of
    from .console import working

    with working(f"loading {options['model']}"):
        found = summary_of(load_classifier(options.pop("model"), **options), photo_hw=photo_size)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        print_summary(found)
