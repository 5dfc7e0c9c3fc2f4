"""`heatmap adapt`: another window, other classes, another head."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from ..progress import print_text
from .adapt_options import adapt_options
from .check import check_model
from .command import Command
from .console import factory_words, make_console, print_next, print_path, progress_line
from .options import FILE, activation_option, network_options, under
from .result_options import json_option, overwrite_option
from .summary import print_summary


@click.command(cls=Command)
@network_options
@activation_option
@adapt_options
@under(
    "New network",
    click.option(
        "--num-classes", type=click.IntRange(min=1), metavar="K", help="Number of new classes."
    ),
    click.option(
        "--class-names",
        type=click.Path(),
        metavar="FILE",
        help="Text file of the names of the new classes, one per line.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        metavar="N",
        help="Random seed of the re-initialised weights.",
    ),
)
@under(
    "Output",
    click.option(
        "-o",
        "--output",
        type=FILE,
        metavar="FILE",
        help="Checkpoint to write, .safetensors; default: only print the table.",
    ),
)
@overwrite_option
@json_option
def adapt(*, as_json: bool, **options: Any) -> None:
    """Give a network another window, other classes and another head.

    Prints the layer table, with the trainable layers and those that stay fixed.
    docs/how-it-works/fc-to-conv.md explains the three heads.
    """
    check_model(options["model"])
    from ..networks.adapt import adapt as adapt_network
    from ..networks.summary import summary as summary_of

    with progress_line(f"loading {options['model']}") as line:
        adapted = adapt_network(**options, progress=line)
        layers = summary_of(adapted)
    if as_json:
        click.echo(json.dumps(asdict(layers), indent=2))
        return
    print_summary(layers)
    print_text(make_console(), f"weights: {layers.weights}")
    if options["output"] is not None:
        print_path(make_console(), f"wrote {options['output']}")
        more = factory_words(adapted.architecture)
        print_next(make_console(), "heatmap", "train", "FOLDER", "-m", options["output"], *more)
