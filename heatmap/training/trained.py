"""The outcome of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..names import PAGE
from ..networks.classifier import Classifier
from .examples import Examples
from .fit import Epoch, Schedule
from .validation import Validation


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a training, which its page shows.

    Attributes:
        classifier: the trained network; every ``model`` parameter accepts it.
        path: its checkpoint.
        examples: the examples it was trained on.
        schedule: the hyperparameters.
        history: all epochs, in order, also those before an interruption.
        best: the epoch whose parameters the network has.
        resumed_after: after how many epochs the training was interrupted and resumed, each time.
        validation: what the network makes of the validation split; None without one.
        seconds: how long the call took, without epochs before an interruption.
    """

    classifier: Classifier
    path: Path
    examples: Examples
    schedule: Schedule
    history: tuple[Epoch, ...]
    best: Epoch
    resumed_after: tuple[int, ...]
    validation: Validation | None
    seconds: float

    @property
    def page(self) -> Path:
        """The page about the training, beside the checkpoint."""
        return page_path(self.path)

    @property
    def stopped_early(self) -> bool:
        """Whether it ended before the last epoch, as the validation loss no longer fell."""
        return len(self.history) < self.schedule.epochs

    @property
    def epoch_seconds(self) -> float:
        """How long all epochs took together."""
        return sum(epoch.seconds for epoch in self.history)


def page_path(path: Path) -> Path:
    """The page of a training, beside its checkpoint."""
    return path.with_suffix(PAGE)


def parameter_counts(classifier: Classifier) -> tuple[int, int]:
    """The numbers of parameters that training changes, and that it does not."""
    every = list(classifier.module.parameters())
    trainable = sum(each.numel() for each in every if each.requires_grad)
    return trainable, sum(each.numel() for each in every) - trainable
