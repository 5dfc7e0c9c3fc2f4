"""`heatmap adapt`: another window, other classes, another head."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .command import Command
from .options import adapt_options, network_options


@click.command(cls=Command)
@network_options
@adapt_options
@click.option(
    "--num-classes", type=click.IntRange(min=1), metavar="K", help="How many new classes."
)
@click.option("--class-names", type=click.Path(), metavar="FILE", help="Their names, one a line.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of re-initialised weights.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Checkpoint to write, FILE.safetensors; without it only the table is printed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def adapt(output: Path | None, as_json: bool, **options: Any) -> None:
    """Give a network another window, other classes and another head.

    Prints the layer table, with what training will change and what stays fixed.
    docs/fc-to-conv.md explains the three heads.
    """
    from ..networks.adapt import adapt as adapt_network
    from ..networks.checkpoint import check_target, save_checkpoint
    from ..networks.summary import summary as summary_of
    from .console import working
    from .summary import print_summary

    if output is not None:
        check_target(output)
    with working(f"adapting {options['model']}"):
        adapted = adapt_network(**options)
        found = summary_of(adapted)
        if output is not None:
            save_checkpoint(adapted, output)
    if as_json:
        click.echo(json.dumps({**asdict(found), "weights": adapted.weights}, indent=2))
        return
    print_summary(found)
    click.echo(f"weights: {adapted.weights}")
    if output is not None:
        click.echo(f"wrote {output}")
