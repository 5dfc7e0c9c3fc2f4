"""What `heatmap train` prints: a line for each epoch and tables at the end, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..progress import print_text
from .console import (
    ProgressLine,
    drawn_table,
    factory_words,
    make_console,
    print_next,
    print_path,
    progress_line,
)

if TYPE_CHECKING:
    from rich.console import Console

    from ..networks.classifier import Classifier
    from ..training.examples import Examples
    from ..training.fit import Epoch
    from ..training.trained import Trained
    from ..training.training_reporter import TrainingReporter
    from ..training.validation import Validation
else:
    # The class itself would load torch; TrainingPrinter overrides all methods that it adds.
    from ..progress import Reporter as TrainingReporter

# So many classes, and rows of other tables, are printed; the page has all.
_MOST_CLASSES = 12
_MOST_ROWS = 5


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
        from ..training.trained import parameter_counts

        trainable, fixed = parameter_counts(classifier)
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
        if self.as_json:
            click.echo(json.dumps(described_training(trained), indent=2))
            return
        with self.line.aside():
            print_outcome(make_console(), trained)

    def interrupted(self) -> None:
        """Print that Ctrl-C stopped the training; complete epochs stay."""
        self._print("stopped; the same command with --resume continues")

    def _print(self, text: str) -> None:
        if not self.as_json:
            with self.line.aside():
                print_text(make_console(), text, indent=2)


def print_outcome(console: Console, trained: Trained) -> None:
    """Print what the page shows, as tables, and where the files are."""
    from ..training.trained import epochs_table, outcome_lines

    console.print()
    console.print(drawn_table(epochs_table(trained, every=False), console.width))
    if trained.validation is not None:
        _print_validation(console, trained.validation, trained.examples.classes)
    console.print()
    if examples := _box_examples(trained.classifier):
        console.print(f"boxes refined by {examples:,} examples")
    for line in outcome_lines(trained):
        print_text(console, line)
    print_path(console, f"wrote {trained.path}, and {trained.page} with curves and mistakes")
    more = factory_words(trained.classifier.architecture)
    print_next(console, "heatmap", "run", "PHOTO", "-m", trained.path, *more)


def _print_validation(console: Console, validation: Validation, classes: Sequence[str]) -> None:
    from ..training.tables import classes_table, confusions_table, worst_table

    figures = validation.classes
    if len(figures) > _MOST_CLASSES:
        # Classes without examples have no figures.
        ranked = sorted(figures, key=lambda each: 2.0 if each.f1 is None else each.f1)
        figures = tuple(ranked[:_MOST_CLASSES])
        console.print(f"\nthe {_MOST_CLASSES} classes of {len(ranked):,} with the lowest F1:")
    else:
        console.print()
    console.print(drawn_table(classes_table(figures), console.width))
    if pairs := validation.confusions():
        console.print()
        console.print(drawn_table(confusions_table(pairs[:_MOST_ROWS]), console.width))
        console.print()
        console.print(
            drawn_table(worst_table(validation.worst[:_MOST_ROWS], classes), console.width)
        )


def described_training(trained: Trained) -> dict[str, Any]:
    """The outcome of a training as JSON data."""
    classifier, validation = trained.classifier, trained.validation
    return {
        "checkpoint": str(trained.path),
        "page": str(trained.page),
        "notes": [*trained.examples.notes, *classifier.notes],
        "left_out": [asdict(photo) for photo in trained.examples.broken],
        "box_examples": _box_examples(classifier),
        "best": asdict(trained.best),
        "stopped_early": trained.stopped_early,
        "refitted": trained.refitted,
        "resumed_after": list(trained.resumed_after),
        "seconds": trained.seconds,
        "history": [asdict(epoch) for epoch in trained.history],
        "validation": validation and _described_validation(validation, trained.examples.classes),
    }


def _described_validation(validation: Validation, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "examples": validation.total,
        "wrong": validation.wrong,
        "classes": [asdict(figures) for figures in validation.classes],
        "confusions": [asdict(pair) for pair in validation.confusions()],
        "worst": [
            {
                **asdict(example),
                "probabilities": dict(zip(classes, example.probabilities, strict=True)),
            }
            for example in validation.worst
        ],
    }


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
