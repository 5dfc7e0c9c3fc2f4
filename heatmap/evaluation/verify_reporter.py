"""Who receives the progress of a verification."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from ..errors import HeatmapError
from ..progress import ForwardingReporter, Progress, Reporter, reporting
from .verify_report import VerifyReport


class VerifyReporter(Reporter):
    """Receives the progress of a verification; this base class ignores it."""

    def photo(self, name: str, outcome: VerifyReport | HeatmapError) -> None:
        """A photo was compared, or could not be."""


class _Photos(ForwardingReporter, VerifyReporter):
    """Tells of a verification as of any other long work: failures are noted."""

    def photo(self, name: str, outcome: VerifyReport | HeatmapError) -> None:
        if isinstance(outcome, HeatmapError):
            self.note(outcome.message, *outcome.ways)


@contextmanager
def verify_reporting(progress: Progress) -> Iterator[VerifyReporter]:
    """As :func:`progress.reporting`, for a verification.

    What takes photos is taken itself; that of the command line does, of another class.
    """
    with reporting(progress) as reporter:
        if hasattr(reporter, "photo"):
            yield cast(VerifyReporter, reporter)
        else:
            yield _Photos(reporter)
