"""The outcome of a training as text: for the command line, and for its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..rendering.text_table import TextTable
from .fit import Epoch
from .trained import Trained
from .validation import ClassFigures, Confusion, WrongExample


def outcome_lines(trained: Trained) -> Iterator[str]:
    """Which epoch is kept and why, where the training ended, was resumed, and how long it took."""
    best, done = trained.best, len(trained.history)
    if best.validation_loss is None:
        yield f"epoch {best.number} is kept, the last one: there is no validation split"
    else:
        yield (
            f"epoch {best.number} of {done} is kept: its validation loss, "
            f"{best.validation_loss:.4f}, is the lowest"
        )
    if trained.stopped_early:
        since = done - best.number
        yield f"stopped early: no lower validation loss in {since} epoch{'s' * (since != 1)}"
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
    return TextTable(headings, rows, numbers=len(headings) - 2)


def _cells(epoch: Epoch) -> Iterator[str]:
    yield from (str(epoch.number), f"{epoch.loss:.4f}", f"{epoch.accuracy:.1%}")
    if epoch.validation_loss is not None:
        yield f"{epoch.validation_loss:.4f}"
    if epoch.validation_accuracy is not None:
        yield f"{epoch.validation_accuracy:.1%}"
    yield from (f"{epoch.rate:g}", duration(epoch.seconds))


def _said_of(trained: Trained, epoch: Epoch) -> str:
    said = ["kept"] if epoch.number == trained.best.number else []
    if epoch.number - 1 in trained.resumed_after:
        said.append("resumed")
    if trained.stopped_early and epoch.number == len(trained.history):
        said.append("stopped early")
    return ", ".join(said)


def classes_table(figures: Sequence[ClassFigures]) -> TextTable:
    """The figures of classes, in this order."""
    headings = ("class", "training", "validation", "precision", "recall", "F1")
    rows = (
        (
            each.name,
            str(each.training),
            str(each.validation),
            *("" if share is None else f"{share:.1%}" for share in _shares(each)),
        )
        for each in figures
    )
    return TextTable(headings, tuple(rows), numbers=5)


def _shares(figures: ClassFigures) -> tuple[float | None, ...]:
    return figures.precision, figures.recall, figures.f1


def confusions_table(confusions: Sequence[Confusion]) -> TextTable:
    """Pairs of classes of which one was taken for the other."""
    rows = (
        (pair.true, f"{pair.count} of {pair.of}", f"{pair.count / pair.of:.1%}", pair.predicted)
        for pair in confusions
    )
    return TextTable(("class", "examples", "share", "taken for"), tuple(rows), numbers=2)


def worst_table(wrong: Sequence[WrongExample], classes: Sequence[str]) -> TextTable:
    """Examples that were classified wrong, and the probabilities of both classes."""
    places = {name: place for place, name in enumerate(classes)}
    rows = (
        (
            each.photo,
            f"{each.probabilities[places[each.true]]:.1%}",
            each.true,
            f"{each.probabilities[places[each.predicted]]:.1%}",
            each.predicted,
        )
        for each in wrong
    )
    return TextTable(("validation photo", "", "class", "", "taken for"), tuple(rows), numbers=1)


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(0.034), duration(3.25), duration(200), duration(7260)
    ('0.03 s', '3.2 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.{1 if seconds >= 1 else 2}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"
