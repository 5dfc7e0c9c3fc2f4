"""The options of `adapt` and `train` that describe the new network."""

from __future__ import annotations

import click

from .options import under
from .parameter_types import WholeNumbers, WindowSide

adapt_options = under(
    "New network",
    click.option(
        "--window",
        type=WindowSide(),
        metavar="PX",
        help="Side of the new network's square input; default: unchanged.",
    ),
    click.option(
        "--head",
        type=click.Choice(["fc", "pool", "spp"]),
        help="Kind of head; default: fc if the network flattens its feature map, pool if it "
        "averages it.",
    ),
    click.option(
        "--levels",
        type=WholeNumbers(),
        default="4,2,1",
        show_default=True,
        help="For --head spp: sides of the grids that it pools to.",
    ),
    click.option(
        "--fc6",
        type=click.Choice(["reinitialised", "resampled"]),
        default="reinitialised",
        show_default=True,
        help="For --head fc: if the size of the first fully connected layer changes, re-initialise "
        "it or resample the trained one.",
    ),
    click.option(
        "--freeze",
        default="trunk",
        show_default=True,
        metavar="trunk|none|N",
        help="Which layers are not trained: the trunk, none, or the first N.",
    ),
    click.option(
        "--average/--no-average",
        default=True,
        show_default=True,
        help="For --head fc: average over the windows of a larger photo, or refuse it.",
    ),
    click.option("--softmax", is_flag=True, help="End the network in a softmax."),
)
