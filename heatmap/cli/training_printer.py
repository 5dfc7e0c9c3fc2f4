"""What `heatmap train` prints: a line for each epoch, or the outcome as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .console import ProgressLine, progress_line

if TYPE_CHECKING:
    from ..networks.classifier import Classifier
    from ..training.examples import Examples
    from ..training.fit import Epoch
    from ..training.train import Trained, TrainingReporter
else:
    # The class itself would load torch; TrainingPrinter overrides all methods that it adds.
    from ..progress import Reporter as TrainingReporter


class TrainingPrinter(TrainingReporter):
    """Prints the progress of a training as lines, or its outcome as JSON."""

    def __init__(self, line: ProgressLine, *, as_json: bool) -> None:
        self.line = line
        self.as_json = as_json

    def begins(self, examples: Examples, classifier: Classifier) -> None:
        """Print the classes with their numbers of examples, and the network."""
        self.line.notes((*examples.notes, *classifier.notes))
        self.line.notes([f"left out: {photo}" for photo in examples.broken])
        for name, (training, validation) in examples.counts().items():
            self._print(f"{name}: {training} training examples, {validation} for validation")
        trainable = sum(p.numel() for p in classifier.module.parameters() if p.requires_grad)
        fixed = sum(p.numel() for p in classifier.module.parameters()) - trainable
        self._print(
            f"{classifier.name}, window {classifier.preprocessing.window_px} px, "
            f"{classifier.weights}: {trainable:,} parameters trainable, {fixed:,} fixed"
        )
        self.line.stage("making views")

    def stage(self, what: str) -> None:
        """Show what is done after the epochs."""
        self.line.stage(what)

    def advance(self, done: int, total: int) -> None:
        """Show how many views have been made."""
        self.line.advance(done, total)

    def resumed(self, epochs: int) -> None:
        """Print after which epoch an interrupted training continues."""
        self._print(f"continuing after epoch {epochs}")

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """Print the loss and accuracy of an epoch."""
        self._print(
            f"epoch {epoch.number:3}: loss {epoch.loss:.4f}, {epoch.accuracy:.1%} right"
            f"{_validation(epoch)}{', best so far' if best else ''}"
        )
        self.line.stage("training")

    def end(self, trained: Trained) -> None:
        """Print the outcome."""
        classifier = trained.classifier
        if self.as_json:
            outcome = {
                "checkpoint": str(trained.path),
                "notes": [*trained.examples.notes, *classifier.notes],
                "left_out": [asdict(photo) for photo in trained.examples.broken],
                "box_examples": _box_examples(classifier),
                "best": asdict(trained.best),
                "history": [asdict(epoch) for epoch in trained.history],
            }
            click.echo(json.dumps(outcome, indent=2))
            return
        if examples := _box_examples(classifier):
            self._print(f"boxes refined by {examples:,} examples")
        factory = classifier.architecture if ":" in classifier.architecture else ""
        self._print(
            f"kept epoch {trained.best.number}; wrote {trained.path}: "
            f"`heatmap run PHOTO -m {trained.path}{f' --architecture {factory}' * bool(factory)}`"
        )

    def interrupted(self) -> None:
        """Print that Ctrl-C stopped the training; complete epochs stay."""
        self._print("stopped; the same command with --resume continues")

    def _print(self, text: str) -> None:
        if not self.as_json:
            with self.line.aside():
                click.echo(text)


def _box_examples(classifier: Classifier) -> int:
    """The number of examples that its box regression was fitted to; 0 without one."""
    regression = classifier.box_regression
    return 0 if regression is None else regression.examples


def _validation(epoch: Epoch) -> str:
    if epoch.validation_loss is None or epoch.validation_accuracy is None:
        return ""
    loss, accuracy = epoch.validation_loss, epoch.validation_accuracy
    return f"; validation: loss {loss:.4f}, {accuracy:.1%} right"


@contextmanager
def training_printer(*, as_json: bool) -> Iterator[TrainingPrinter]:
    """A printer for one training."""
    with progress_line("reading") as line:
        yield TrainingPrinter(line, as_json=as_json)
