"""What `heatmap batch` prints while it runs: a bar on a terminal, else lines, or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from ..errors import HeatmapError, Use
from ..progress import print_note, print_text
from ..runs.batch_plan import BatchPlan
from ..runs.batch_reporter import BatchReporter
from ..runs.batched import Batch
from ..runs.manifest import Record, counts, error_of
from ..runs.nowhere import nowhere
from .batch_lines import MOST_NAMED, done_line, print_batch, skipped_lines, to_do_line
from .command import in_options

BatchOutput = Literal["lines", "json", "quiet"]
# Seconds between two progress lines.
_LINE_EVERY = 10.0


class Tally:
    """The progress of a batch: photos, megapixels and bytes done, and the time taken."""

    def __init__(self, work: BatchPlan) -> None:
        self.total = len(work.todo)
        self._sizes = {task.item.name: _size(task.item.path) for task in work.todo}
        self._left = sum(self._sizes.values())
        self._started = time.monotonic()
        self.done = self.failed = 0
        self.megapixels = 0.0

    def add(self, record: Record) -> None:
        """Count a photo that is done or failed."""
        self.done += 1
        self.failed += record.state == "failed"
        self._left -= self._sizes.get(record.name, 0)
        if record.state == "done" and record.photo_hw is not None:
            self.megapixels += record.photo_hw[0] * record.photo_hw[1] / 1e6

    @property
    def seconds(self) -> float:
        """Seconds since the first photo was started; never 0."""
        return max(time.monotonic() - self._started, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the bytes of the files left; None before any is done."""
        sized = sum(self._sizes.values()) - self._left
        return self.seconds * self._left / sized if sized else None

    def describe(self) -> dict[str, Any]:
        """The progress as JSON; rates in megapixels per second."""
        left = self.seconds_left
        return {
            "photos": self.done,
            "of": self.total,
            "megapixels": round(self.megapixels, 3),
            "megapixels_per_second": round(self.megapixels / self.seconds, 3),
            "failed": self.failed,
            "seconds": round(self.seconds, 1),
            "seconds_left": None if left is None else round(left, 1),
        }

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.total} photos"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.done:
            parts.append(_pace(self.done / self.seconds))
        left = self.seconds_left
        if left is not None and self.done < self.total:
            parts.append(f"about {_duration(left)} left")
        return ", ".join(parts)


class BatchPrinter(BatchReporter):
    """Prints the outcome for each photo; failures in every output mode.

    On a terminal only the first failures and skipped photos are printed, unless --verbose is given.
    """

    def __init__(self, form: BatchOutput, output: Path, bar: Progress, *, verbose: bool) -> None:
        self._form, self._output, self._bar = form, output, bar
        self._verbose = verbose
        self.console = bar.console
        self._task = bar.add_task("", total=None)
        self._tally: Tally | None = None
        self._printed = time.monotonic()
        self._told: set[str] = set()
        self._skipped: list[Record] = []
        self.failed = 0

    def stage(self, what: str) -> None:
        """Show what happens before the first photo."""
        self._bar.update(self._task, description=escape(what))

    def note(self, message: str, *ways: Use) -> None:
        """Print something worth knowing on standard error."""
        if self._form == "quiet":
            return
        print_note(self.console, in_options(HeatmapError(message, *ways)))

    def worded(self, error: HeatmapError) -> str:
        """With the options of the command."""
        return in_options(error)

    def begin(self, work: BatchPlan) -> None:
        """Print what there is to do."""
        self._tally = Tally(work)
        self._tell_skipped()
        if self._form == "json":
            _print_json({"event": "begin", "photos": len(work.todo), "unchanged": work.unchanged})
        elif self._form == "lines":
            self._print(to_do_line(work))
        self._bar.update(self._task, description="", completed=0, total=len(work.todo))

    def photo(self, record: Record) -> None:
        """Print a photo that failed or was skipped, and the progress of the batch."""
        if record.state == "failed":
            self.failed += 1
        if self._tally is not None and record.state != "skipped":
            self._tally.add(record)
        if self._form == "json":
            progress = {} if self._tally is None else {"progress": self._tally.describe()}
            _print_json({"event": "photo", **asdict(record), **progress})
        elif record.state == "done" and self._verbose:
            self._print(done_line(record))
        elif record.state == "failed":
            self._tell(record)
        elif record.state == "skipped" and self._form == "lines":
            self._skipped.append(record)
        if self._tally is not None:
            self._show(self._tally)

    def end(self, done: Batch) -> None:
        """Print the state of the whole batch after the last photo."""
        states: dict[str, int] = dict(counts(done.records).items())
        if self._form == "json":
            detections = sum(len(record.detections) for record in done.records)
            _print_json(
                {
                    "event": "end",
                    **states,
                    "unchanged": done.work.unchanged,
                    "detections": detections,
                    "nowhere": [asdict(each) for each in nowhere(done.records)],
                    "output": str(self._output),
                }
            )
        elif self._form == "lines":
            # What was printed over the bar would be torn by it.
            self._bar.stop()
            self._tell_skipped()
            for record in done.failed:
                self._tell(record)
            print_batch(done, self._output)

    def interrupted(self) -> None:
        """Print that Ctrl-C stopped the batch; finished photos stay."""
        if self._form == "lines":
            self._bar.stop()
            self._print(
                f"stopped; finished results are in {self._output}, the same command continues there"
            )

    def _show(self, tally: Tally) -> None:
        self._bar.update(self._task, description=escape(str(tally)), completed=tally.done)
        now = time.monotonic()
        if (
            self._form == "lines"
            and not self.console.is_terminal
            and (now - self._printed >= _LINE_EVERY or tally.done == tally.total)
        ):
            self._printed = now
            self._print(str(tally))

    def _tell(self, record: Record) -> None:
        """Print once why a photo failed, on a screen only of the first ones."""
        if record.name in self._told or (self._is_screen and len(self._told) >= MOST_NAMED):
            return
        self._told.add(record.name)
        # Most messages begin with the path.
        name = "" if record.path in record.message else f"{record.name}: "
        self._print(f"failed: {name}{in_options(error_of(record))}", indent=2)

    def _tell_skipped(self) -> None:
        """Print which files were skipped since the last time, a line for each reason."""
        most = MOST_NAMED if self._is_screen else None
        for line in skipped_lines(self._skipped, most):
            self._print(line, indent=2)
        self._skipped.clear()

    @property
    def _is_screen(self) -> bool:
        """Whether only the first of many are named."""
        return self.console.is_terminal and not self._verbose

    def _print(self, line: str, *, indent: int = 0) -> None:
        print_text(self.console, line, indent=indent)


@contextmanager
def batch_printer(
    form: BatchOutput, output: Path, model: str, *, verbose: bool = False
) -> Iterator[BatchPrinter]:
    """A printer for a batch, with a progress bar on standard error if that is a terminal."""
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    # Disabled later, its thread would never end.
    disabled = form != "lines" or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disabled) as bar:
        printer = BatchPrinter(form, output, bar, verbose=verbose)
        printer.stage(f"loading {model}")
        yield printer


def describe_work(work: BatchPlan) -> dict[str, Any]:
    """What a batch would do, as JSON."""
    return {
        "todo": [
            {"name": task.item.name, "path": str(task.item.path), "why": task.why}
            for task in work.todo
        ],
        "skipped": [
            {"name": record.name, "path": record.path, "message": record.message}
            for record in work.skipped
        ],
        "unread": [
            {"name": record.name, "path": record.path, "message": record.message}
            for record in work.unread
        ],
        "refused": [
            {"name": record.name, "path": record.path, "message": record.message}
            for record in work.refused
        ],
        "unchanged": work.unchanged,
    }


def _pace(per_second: float) -> str:
    """Photos per second, or where they take longer seconds per photo.

    >>> _pace(2.14), _pace(0.08)
    ('2.1 photos per second', '12.5 seconds per photo')
    """
    if per_second >= 1:
        return f"{per_second:.1f} photos per second"
    return f"{1 / per_second:.1f} seconds per photo"


def _duration(seconds: float) -> str:
    """As one says it: an estimate has no seconds beside minutes.

    >>> _duration(41.6), _duration(130), _duration(9000)
    ('42 s', '2 min', '2 h 30 min')
    """
    if seconds < 59.5:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _print_json(line: dict[str, Any], to: TextIO | None = None) -> None:
    print(json.dumps(line), file=to or sys.stdout, flush=True)
