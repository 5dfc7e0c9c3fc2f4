"""Who receives the progress of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Use
from ..progress import Progress, Reporter, reporting
from .batch_plan import BatchPlan
from .manifest import Record


class BatchReporter(Reporter):
    """Receives the progress of a batch; this base class ignores it."""

    def begin(self, work: BatchPlan) -> None:
        """The plan, before the first photo; with ``watch`` once for every new set of photos."""

    def photo(self, record: Record) -> None:
        """A photo was done, failed or was skipped, and has been recorded."""


class _Photos(BatchReporter):
    """Tells of a batch as of any other long work: photos are counted, failures noted."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.done = self.total = 0

    def stage(self, what: str) -> None:
        self.reporter.stage(what)

    def note(self, message: str, *ways: Use) -> None:
        self.reporter.note(message, *ways)

    def begin(self, work: BatchPlan) -> None:
        self.done, self.total = 0, len(work.todo)
        self.stage(f"running {self.total} photos")

    def photo(self, record: Record) -> None:
        if record.state == "skipped":
            return
        if record.state == "failed":
            told = "" if record.path in record.message else f"{record.name}: "
            self.note(f"{told}{record.message}")
        # Those that could not be read or written come before the first one that is run.
        if self.total:
            self.done += 1
            self.reporter.advance(self.done, self.total)


@contextmanager
def batch_reporting(progress: Progress) -> Iterator[BatchReporter]:
    """As :func:`progress.reporting`, for a batch."""
    with reporting(progress) as reporter:
        yield reporter if isinstance(reporter, BatchReporter) else _Photos(reporter)
