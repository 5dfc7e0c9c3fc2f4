"""The base class of progress reporters."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import HeatmapError, Use


class Reporter:
    """Receives the progress of long work; this base class ignores it.

    Override the methods of interest. Subclasses add the events of a batch or a training.
    """

    def stage(self, what: str) -> None:
        """A stage of the work begins, described in words such as "scoring cat.jpg"."""

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` units of the stage (windows, views) are finished."""

    def note(self, message: str, *ways: Use) -> None:
        """Something worth knowing while the work continues, and what would avoid it."""

    def notes(self, messages: Iterable[str]) -> None:
        """Several notes, each as :meth:`note`."""
        for message in messages:
            self.note(message)

    def worded(self, error: HeatmapError) -> str:
        """An error in words for whom the progress is reported to."""
        return str(error)
