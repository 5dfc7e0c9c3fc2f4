"""The outcome of a training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..names import PAGE
from ..networks.classifier import Classifier
from ..notebook import notebook_html
from ..text_table import TextTable
from .examples import Examples
from .few_photos import is_refitted, too_few
from .fit import Epoch, Schedule
from .tables import classes_table, confusions_table, duration
from .validation import Validation

# Of the best epoch: its parameters are kept, or as many epochs are run on all examples.
_KEPT = ("kept", "repeated on all")


@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """The result of a training, which its page shows.

    Attributes:
        classifier: the trained network; every ``model`` parameter accepts it.
        path: its checkpoint.
        examples: the examples it was trained on.
        schedule: the hyperparameters; ``patience`` is None where all epochs were run.
        history: all epochs, in order, also those before an interruption.
        best: the epoch whose parameters the network has, or up to which it was trained again.
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

    def __repr__(self) -> str:
        """One line: ``Trained cats.safetensors: epoch 9 of 12, 97.8 % right in validation``."""
        best, split = self.best, "training" if self.validation is None else "validation"
        share = best.accuracy if best.validation_accuracy is None else best.validation_accuracy
        kept = f"epoch {best.number} of {len(self.history)}"
        return f"Trained {self.path.name}: {kept}, {100 * share:.1f} % right in {split}"

    def _repr_html_(self) -> str:
        """For a notebook: what the command prints, and where the page is."""
        tables = [epochs_table(self, every=False)]
        if self.validation is not None:
            tables.append(classes_table(self.validation.classes))
            tables += map(confusions_table, filter(None, [self.validation.confusions()]))
        page = f"Curves and mistakes: {self.page}"
        return notebook_html(repr(self), *outcome_lines(self), *tables, page)

    @property
    def page(self) -> Path:
        """The page about the training, beside the checkpoint."""
        return page_path(self.path)

    @property
    def refitted(self) -> bool:
        """Whether the network was trained again after the epochs, on all examples, up to the best.

        So it is where the validation split shows fewer than 10 photos of a class. What is said of
        epochs and of the validation split is then of the network before.
        """
        return is_refitted(self.classifier, self.examples)

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


def outcome_lines(trained: Trained) -> Iterator[str]:
    """Which epoch is kept and why, where the training ended, was resumed, and how long it took."""
    best, done = trained.best, len(trained.history)
    if best.validation_loss is None:
        yield f"epoch {best.number} is kept, the last one: there is no validation split"
    elif trained.schedule.patience is None:
        yield f"all {done} epochs were run: {too_few(trained.examples)} to say when to stop"
    else:
        yield (
            f"epoch {best.number} of {done} is {'the best' if trained.refitted else 'kept'}: its "
            f"validation loss, {best.validation_loss:.4f}, is the lowest"
        )
    if trained.stopped_early:
        since = done - best.number
        yield f"stopped early: no lower validation loss in {since} epoch{'s' * (since != 1)}"
    if trained.refitted:
        why = "" if trained.schedule.patience is None else f": {too_few(trained.examples)} to spare"
        yield (
            f"then {best.number} epoch{'s' * (best.number != 1)} on all examples, from the start"
            f"{why}; validation figures are from before"
        )
    if trained.resumed_after:
        times = trained.resumed_after
        yield f"resumed after epoch{'s' * (len(times) != 1)} {' and '.join(map(str, times))}"
    yield (
        f"{done} epoch{'s' * (done != 1)} took {duration(trained.epoch_seconds)}; "
        f"this call took {duration(trained.seconds)} in all"
    )


def epochs_table(trained: Trained, *, every: bool) -> TextTable:
    """Loss and accuracy of all epochs, or of the kept and the last one."""
    history = trained.history
    shown = history if every else tuple(dict.fromkeys((trained.best, history[-1])))
    of_validation = ("validation loss", "right") if trained.validation else ()
    headings = ("epoch", "loss", "right", *of_validation, "rate", "time", "")
    rows = tuple((*_cells(epoch), _said_of(trained, epoch)) for epoch in shown)
    return TextTable(headings, rows, numbers=range(1, len(headings) - 1))


def _cells(epoch: Epoch) -> Iterator[str]:
    yield from (str(epoch.number), f"{epoch.loss:.4f}", f"{epoch.accuracy:.1%}")
    if epoch.validation_loss is not None:
        yield f"{epoch.validation_loss:.4f}"
    if epoch.validation_accuracy is not None:
        yield f"{epoch.validation_accuracy:.1%}"
    yield from (f"{epoch.rate:g}", duration(epoch.seconds))


def _said_of(trained: Trained, epoch: Epoch) -> str:
    said = [_KEPT[trained.refitted]] if epoch.number == trained.best.number else []
    if epoch.number - 1 in trained.resumed_after:
        said.append("resumed")
    if trained.stopped_early and epoch.number == len(trained.history):
        said.append("stopped early")
    return ", ".join(said)
