"""How long work tells of itself while it goes on."""

from __future__ import annotations

from .errors import Use


class Reporter:
    """Is told how work goes on; this one does nothing with it.

    Override what is of interest. What a run, a batch or a training has to tell beyond
    this, classes made from this one add.
    """

    def stage(self, what: str) -> None:
        """What begins now, in words such as "scoring cat.jpg"."""

    def advance(self, done: int, total: int) -> None:
        """How much of the stage is done, in its own units (windows, views)."""

    def note(self, message: str, *ways: Use) -> None:
        """Something worth knowing before going on, and what would avoid it."""
