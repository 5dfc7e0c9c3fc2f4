"""`heatmap train`: fit a network to one's own photos; a line an epoch, progress on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..training.train import Trained, TrainingReporter
from .command import Command
from .console import AtWork, working
from .options import adapt_options, network_options, schedule_options

if TYPE_CHECKING:
    from ..networks.classifier import Classifier
    from ..training.examples import Examples
    from ..training.fit import Epoch


@click.command(cls=Command)
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
                reporter=teller,
                options=wanted,  # type: ignore[arg-type]
            )
        except KeyboardInterrupt:
            teller.interrupted()
            raise click.Abort from None
        teller.end(done)


class Teller(TrainingReporter):
    """Tells of a training in lines, or of its end in JSON."""

    def __init__(self, at_work: AtWork, *, as_json: bool) -> None:
        self.at_work = at_work
        self.as_json = as_json

    def begins(self, examples: Examples, classifier: Classifier) -> None:
        for name, (training, validation) in examples.counts().items():
            self._say(f"{name}: {training} examples to train on, {validation} for validation")
        trainable = sum(p.numel() for p in classifier.module.parameters() if p.requires_grad)
        fixed = sum(p.numel() for p in classifier.module.parameters()) - trainable
        self._say(
            f"{classifier.name}, window {classifier.preprocessing.window_px} px, "
            f"{classifier.weights}: {trainable:,} parameters trainable, {fixed:,} fixed"
        )
        self.at_work.stage("making views")

    def advance(self, done: int, total: int) -> None:
        self.at_work.advance(done, total)

    def resumed(self, epochs: int) -> None:
        self._say(f"going on behind epoch {epochs}")

    def epoch(self, epoch: Epoch, best: bool) -> None:
        validation = ""
        if epoch.validation_loss is not None and epoch.validation_accuracy is not None:
            validation = (
                f"; validation: loss {epoch.validation_loss:.4f}, "
                f"{epoch.validation_accuracy:.1%} right"
            )
        self._say(
            f"epoch {epoch.number:3}: loss {epoch.loss:.4f}, {epoch.accuracy:.1%} right"
            f"{validation}{', best so far' if best else ''}"
        )
        self.at_work.stage("training")

    def end(self, done: Trained) -> None:
        """Say what came out."""
        if self.as_json:
            known = {
                "checkpoint": str(done.path),
                "best": asdict(done.best),
                "history": [asdict(epoch) for epoch in done.history],
            }
            click.echo(json.dumps(known, indent=2))
            return
        self._say(
            f"kept epoch {done.best.number}; wrote {done.path}: `heatmap run PHOTO -m {done.path}`"
        )

    def interrupted(self) -> None:
        """Ctrl-C: whole epochs stay."""
        self._say("stopped; the same command with --resume goes on")

    def _say(self, line: str) -> None:
        if not self.as_json:
            with self.at_work.aside():
                click.echo(line)


@contextmanager
def telling(*, as_json: bool) -> Iterator[Teller]:
    """A teller for one training."""
    with working("reading") as at_work:
        yield Teller(at_work, as_json=as_json)
