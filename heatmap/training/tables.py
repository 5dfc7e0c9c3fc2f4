"""The outcome of a training as text: for the command line, and for its page."""

from __future__ import annotations

from collections.abc import Sequence

from ..text_table import TextTable
from .validation import ClassFigures, Confusion, WrongExample


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
    return TextTable(headings, tuple(rows), numbers=range(1, 6))


def _shares(figures: ClassFigures) -> tuple[float | None, ...]:
    return figures.precision, figures.recall, figures.f1


def confusions_table(confusions: Sequence[Confusion]) -> TextTable:
    """Pairs of classes of which one was taken for the other."""
    rows = (
        (pair.true, f"{pair.count} of {pair.of}", f"{pair.count / pair.of:.1%}", pair.predicted)
        for pair in confusions
    )
    return TextTable(("class", "examples", "share", "taken for"), tuple(rows), numbers=(1, 2))


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
    return TextTable(("validation photo", "", "class", "", "taken for"), tuple(rows), numbers=(1,))


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
