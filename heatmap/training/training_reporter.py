"""Who receives the progress of a training."""

from __future__ import annotations

from typing import cast

from ..networks.classifier import Classifier
from ..progress import ForwardingReporter, Reporter
from .examples import Examples
from .fit import Epoch


class TrainingReporter(Reporter):
    """Receives the progress of a training; this base class ignores it. ``advance`` counts views."""

    def begins(self, examples: Examples, classifier: Classifier) -> None:
        """Called before the first view is made."""

    def resumed(self, epochs: int) -> None:
        """An interrupted training is resumed after this many epochs."""

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """An epoch is done and saved; ``best`` says whether it is the best so far."""


class _Stages(ForwardingReporter, TrainingReporter):
    """Tells of a training as of any other long work: epochs are counted."""

    def __init__(self, reporter: Reporter, epochs: int) -> None:
        super().__init__(reporter)
        self.epochs = epochs

    def begins(self, examples: Examples, classifier: Classifier) -> None:
        self.notes((*examples.notes, *classifier.notes))
        self.notes([f"left out: {photo}" for photo in examples.broken])
        self.stage("making views")

    def resumed(self, epochs: int) -> None:
        self.stage(f"continuing after epoch {epochs}")

    def epoch(self, epoch: Epoch, best: bool) -> None:
        so_far = ", best so far" if best else ""
        self.stage(f"epoch {epoch.number}: loss {epoch.loss:.4f}{so_far}")
        self.advance(epoch.number, self.epochs)


def training_reporter(given: Reporter, epochs: int) -> TrainingReporter:
    """The reporter itself if it takes epochs; that of the command line does, of another class."""
    if hasattr(given, "epoch"):
        return cast(TrainingReporter, given)
    return _Stages(given, epochs)
