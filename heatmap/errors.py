"""Every error that heatmap raises on purpose.

    HeatmapError
    ├── PhotoError        a photo that cannot be read, or is no photo
    ├── GeometryError     window, stride, scale or border that do not fit
    ├── ModelError        an unknown model, weights that are missing or do not match
    ├── ConversionError   a network that cannot slide
    │   └── InexactError  a network that can slide, but whose scores depend on the whole input
    ├── ClassError        a class that the model does not have
    └── ResultError       a result that cannot be read or written

An error says what is wrong in one line, with the names and numbers involved, and carries the
remedies as data: which parameter to change, and a value that helps. ``str()`` words them for
Python; the command line words them as its options, prints the line and exits with code 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Use:
    """A remedy for an error: a parameter to give, with a value that helps where one is known.

    Attributes:
        parameter: name of the Python parameter.
        value: a value that would help; None where any other value might.
        text: the advice, with ``{}`` for parameter and value: "use a larger {}".

    >>> str(Use("border", "cover"))
    "use border='cover'"
    """

    parameter: str
    value: Any = None
    text: str = "use {}"

    def __str__(self) -> str:
        given = "" if self.value is None else f"={self.value!r}"
        return self.text.format(f"{self.parameter}{given}")


class HeatmapError(Exception):
    """Base class of all errors that heatmap raises on purpose.

    Attributes:
        message: what is wrong, without the advice.
        ways: the remedies (:class:`Use`).

    >>> print(HeatmapError("no window fits", Use("border", "cover"), Use("scale", 2)))
    no window fits: use border='cover' or scale=2
    """

    def __init__(self, message: str, *ways: Use) -> None:
        # Pass all arguments on, or the error could not be unpickled.
        super().__init__(message, *ways)
        self.message = message
        self.ways = ways

    def __str__(self) -> str:
        return self.worded(str)

    def about(self, subject: str) -> Self:
        """The same error with ``subject: `` before its message and the same remedies."""
        return type(self)(f"{subject}: {self.message}", *self.ways)

    def worded(self, word: Callable[[Use], str]) -> str:
        """The message and the remedies as ``word`` phrases them; one phrased as "" is left out."""
        texts = [text for text in map(word, self.ways) if text]
        # "use a or b" instead of "use a or use b".
        shortened = [
            text.removeprefix("use ") if before.startswith("use ") else text
            for before, text in zip(["", *texts], texts, strict=False)
        ]
        listed = ", ".join(shortened[:-1])
        advice = f"{listed} or {shortened[-1]}" if listed else "".join(shortened)
        return f"{self.message}: {advice}" if advice else self.message


class PhotoError(HeatmapError):
    """A photo that cannot be read, or an array that is not an RGB uint8 photo."""


class GeometryError(HeatmapError):
    """A window, stride, scale or border that does not fit the photo or the network."""


class ModelError(HeatmapError):
    """An unknown model, or weights that are missing or do not match it."""


class ConversionError(HeatmapError):
    """A network that cannot be made to slide; names the layer and the reason."""


class InexactError(ConversionError):
    """A network that can slide, but whose scores then depend on what else is in the photo."""


class ClassError(HeatmapError):
    """A class that the model does not have, or a name that fits several."""


class ResultError(HeatmapError):
    """A result file that cannot be read or written."""


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line: the system's own message, or the error's first line.

    For an error without a message, the name of its class.
    """
    said = getattr(error, "strerror", None) or str(error)
    return next(iter(said.strip().splitlines()), type(error).__name__).rstrip(".:")


def some_of(texts: Sequence[str], most: int) -> str:
    """The first texts, and how many more there are.

    >>> some_of(["cat", "dog", "owl"], 2)
    'cat, dog and 1 more'
    """
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
