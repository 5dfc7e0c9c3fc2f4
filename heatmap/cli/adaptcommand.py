"""`heatmap adapt` and `heatmap train`: networks for photos of one's own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .options import adapt_options, network_options, schedule_options


def _how_many_or_names(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


@click.command()
@network_options
@adapt_options
@click.option("--classes", metavar="K|FILE", help="How many, or a text file of names.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of fresh weights.")
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
    from ..networks.summary import summarize
    from .console import print_summary, working

    if output is not None:
        check_target(output)
    with working(f"adapting {options['model']}"):
        adapted = adapt_network(**{**options, "classes": _how_many_or_names(options["classes"])})
        found = summarize(adapted)
        if output is not None:
            save_checkpoint(adapted, output)
    if as_json:
        click.echo(json.dumps({**asdict(found), "weights": adapted.weights}, indent=2))
        return
    print_summary(found)
    click.echo(f"weights: {adapted.weights}")
    if output is not None:
        click.echo(f"wrote {output}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@network_options
@adapt_options
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="Boxes on the photos of FOLDER: COCO instances, or a JSON or CSV list.",
)
@schedule_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("trained.safetensors"),
    show_default=True,
    help="Checkpoint to write.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def train(folder: Path, boxes: Path | None, output: Path, **options: Any) -> None:
    """Train a network on the photos of FOLDER.

    FOLDER holds a folder a class, or with --boxes whole photos; the class "background" is then
    made from the rest of them. What is frozen is computed once. `heatmap run -m` takes what
    comes out. Stopped between epochs, it goes on from the last one with --resume.
    """
    from ..training.fit import Schedule
    from ..training.train import train as train_network
    from .train_console import telling

    schedule = Schedule(**{name: options.pop(name) for name in Schedule.__dataclass_fields__})
    model, resume = options.pop("model"), options.pop("resume")
    given = click.get_current_context().get_parameter_source
    with telling(as_json=options.pop("as_json")) as teller:
        wanted = {
            name: value
            for name, value in options.items()
            if given(name) is not click.core.ParameterSource.DEFAULT
        }
        try:
            done = train_network(
                folder,
                output,
                model,
                boxes=boxes,
                schedule=schedule,
                resume=resume,
                watcher=teller,
                options=wanted,  # type: ignore[arg-type]
            )
        except KeyboardInterrupt:
            teller.interrupted()
            raise click.Abort from None
        teller.end(done)
