"""`heatmap train`: train a network on your own photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .adapt_options import adapt_options
from .check import check_model
from .command import Command
from .options import FILE, network_options, reading_options, under
from .result_options import json_option, overwrite_option
from .training_printer import training_printer

training_options = under(
    "Training",
    click.option(
        "--boxes",
        type=FILE,
        metavar="FILE",
        help="Ground-truth boxes on the photos of FOLDER: COCO instances, or a JSON or CSV list.",
    ),
    click.option(
        "--background",
        type=FILE,
        metavar="FOLDER",
        help="Photos that show none of the classes and look like those to be searched.",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(min=1),
        default=40,
        show_default=True,
        metavar="N",
        help="Maximum number of passes over the examples.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        default=32,
        show_default=True,
        metavar="N",
        help="Batch size: examples per training step.",
    ),
    click.option(
        "--rate",
        type=float,
        default=1e-3,
        show_default=True,
        metavar="RATE",
        help="Learning rate of AdamW.",
    ),
    click.option(
        "--decay",
        type=float,
        default=1e-2,
        show_default=True,
        metavar="DECAY",
        help="Weight decay of AdamW.",
    ),
    click.option(
        "--views",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        metavar="N",
        help="Views per example: the original, and N - 1 augmented ones.",
    ),
    click.option(
        "--validation-split",
        type=float,
        default=0.2,
        show_default=True,
        metavar="SHARE",
        help="Share of the photos in the validation split; 0: none, and all epochs are run.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(min=1),
        metavar="N",
        help="Stop after this many epochs without a lower validation loss; default: 8, or never "
        "where the validation split shows fewer than 10 photos of a class.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Random seed of augmentation, split and weights.",
    ),
    click.option("--resume", is_flag=True, help="Continue an interrupted training."),
    click.option(
        "--skip-broken",
        is_flag=True,
        help="Leave out photos that cannot be used, and list them; default: refuse them all before "
        "the training begins.",
    ),
)


# What `heatmap train --help` lists.
_COMMON = (
    "model weights window head freeze boxes background epochs batch rate validation_split "
    "patience seed output resume skip_broken overwrite as_json"
)


@click.command(cls=Command, common=_COMMON)
@click.argument("folder", type=FILE)
@network_options
@reading_options
@adapt_options
@training_options
@under(
    "Output",
    click.option(
        "-o",
        "--output",
        type=FILE,
        default=Path("trained.safetensors"),
        show_default=True,
        metavar="FILE",
        help="Checkpoint to write, .safetensors, and beside it .json and the page, .html.",
    ),
)
@overwrite_option
@json_option
def train(folder: Path, *, as_json: bool, **options: Any) -> None:
    """Train a network on the photos of FOLDER.

    FOLDER holds one folder of photos for each class, and the class "background" is that of
    --background; or, with --boxes, whole photos: their boxes are the examples, and the rest
    becomes the background. The frozen layers run only once per view. Use the checkpoint with
    `heatmap run -m`. Beside NAME.safetensors lies NAME.html: a page with the curves of loss and
    accuracy, a confusion matrix, the figures of each class, and the validation examples that went
    most wrong. --resume continues an interrupted training after its last complete epoch.
    """
    check_model(options["model"])
    from ..training.train import train as train_network

    with training_printer(as_json=as_json) as printer:
        try:
            trained = train_network(folder, progress=printer, **_given(options))
        except KeyboardInterrupt:
            printer.interrupted()
            raise click.Abort from None
        printer.end(trained)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Only the options given explicitly, since a checkpoint has its own defaults."""
    source = click.get_current_context().get_parameter_source
    return {
        name: value
        for name, value in options.items()
        if source(name) is not click.core.ParameterSource.DEFAULT
    }
