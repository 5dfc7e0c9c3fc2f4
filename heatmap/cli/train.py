"""`heatmap train`: fit a network to one's own photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .command import Command
from .options import FILE, adapt_options, json_option, network_options, under
from .training_printer import training_printer

training_options = under(
    "Training",
    click.option(
        "--boxes",
        type=FILE,
        metavar="FILE",
        help="Boxes on the photos of FOLDER: COCO instances, or a JSON or CSV list.",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(min=1),
        default=40,
        show_default=True,
        metavar="N",
        help="Most passes over the examples.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        default=32,
        show_default=True,
        metavar="N",
        help="Examples in a step.",
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
        help="Views of each example: the plain one, and augmented ones.",
    ),
    click.option(
        "--validation-split",
        type=float,
        default=0.2,
        show_default=True,
        metavar="SHARE",
        help="Share of the photos in the validation split; 0: none, and all epochs are trained.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        metavar="N",
        help="Stop after so many epochs without a smaller validation loss.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Seed of all random draws.",
    ),
    click.option("--resume", is_flag=True, help="Go on with a training that was interrupted."),
)


@click.command(cls=Command)
@click.argument("folder", type=FILE)
@network_options
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
        help="Checkpoint to write, .safetensors.",
    ),
)
@json_option
def train(folder: Path, boxes: Path | None, output: Path, **options: Any) -> None:
    """Train a network on the photos of FOLDER.

    FOLDER holds one folder for each class; or, with --boxes, whole photos, whose remainder then
    makes the class "background". What is frozen is computed only once. The checkpoint is for
    `heatmap run -m`. A training that was interrupted goes on with --resume, from its last
    whole epoch.
    """
    from ..training.fit import Schedule
    from ..training.train import train as train_network

    schedule = Schedule(**{name: options.pop(name) for name in Schedule.__dataclass_fields__})
    model, resume = options.pop("model"), options.pop("resume")
    with training_printer(as_json=options.pop("as_json")) as printer:
        try:
            trained = train_network(
                folder,
                output,
                model,
                boxes=boxes,
                schedule=schedule,
                resume=resume,
                reporter=printer,
                options=_given(options),  # type: ignore[arg-type]
            )
        except KeyboardInterrupt:
            printer.interrupted()
            raise click.Abort from None
        printer.end(trained)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, whatever their values: a checkpoint has its own defaults."""
    source = click.get_current_context().get_parameter_source
    return {
        name: value
        for name, value in options.items()
        if source(name) is not click.core.ParameterSource.DEFAULT
    }
