"""The progress of long work: who receives it, and what callers ask for by ``progress``."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from .errors import HeatmapError, ResultError, Use
from .quiet import speaking

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

# Nothing is printed unless a program asks for it, as by ``logging.basicConfig(level="INFO")``.
LOGGER = logging.getLogger("heatmap")
LOGGER.addHandler(logging.NullHandler())


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


class ForwardingReporter(Reporter):
    """Passes everything on to another reporter; subclasses tell it of further events."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def stage(self, what: str) -> None:
        """Pass on what begins now."""
        self.reporter.stage(what)

    def advance(self, done: int, total: int) -> None:
        """Pass on how much is done."""
        self.reporter.advance(done, total)

    def note(self, message: str, *ways: Use) -> None:
        """Pass on a note."""
        self.reporter.note(message, *ways)


# What every long call takes as ``progress``, see :func:`reporting`.
Progress: TypeAlias = bool | Callable[[int, int], object] | Reporter


class LoggingReporter(Reporter):
    """Logs progress to ``logging.getLogger("heatmap")``: stages as INFO, notes as WARNING."""

    def stage(self, what: str) -> None:
        """Log what begins now."""
        _log(logging.INFO, what)

    def advance(self, done: int, total: int) -> None:
        """Log how much is done, as DEBUG."""
        _log(logging.DEBUG, f"{done} of {total}")

    def note(self, message: str, *ways: Use) -> None:
        """Log a warning, with its remedies as Python has them."""
        _log(logging.WARNING, str(HeatmapError(message, *ways)))


class CountingReporter(LoggingReporter):
    """Calls a function with how much is done and the total, of each stage anew; and logs."""

    def __init__(self, count: Callable[[int, int], object]) -> None:
        self.count = count

    def advance(self, done: int, total: int) -> None:
        """Pass on how much is done."""
        super().advance(done, total)
        self.count(done, total)


class ProgressBar(LoggingReporter):
    """A line that shows the current stage, with a bar where the total is known; and logs."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def stage(self, what: str) -> None:
        """Show what begins now."""
        super().stage(what)
        # A new task; otherwise total and remaining time of the previous stage would stay.
        self.bar.remove_task(self.bar.task_ids[0])
        self.bar.add_task(_plain(what), total=None)

    def advance(self, done: int, total: int) -> None:
        """Show how much is done."""
        super().advance(done, total)
        self.bar.update(self.bar.task_ids[0], completed=done, total=total)

    def note(self, message: str, *ways: Use) -> None:
        """Print a line that stays; nothing where there is no bar."""
        super().note(message, *ways)
        if not self.bar.disable:
            self.show(str(HeatmapError(message, *ways)))

    def show(self, note: str) -> None:
        """Print a note above the bar."""
        print_note(self.bar.console, note)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the line while something else is printed."""
        self.bar.stop()
        yield
        self.bar.start()


_Bar = TypeVar("_Bar", bound=ProgressBar)

# The bars that are shown, the innermost last: of what lies below every ``progress``.
_shown: list[ProgressBar] = []


@contextmanager
def downloading(what: str) -> Iterator[None]:
    """Say what is downloaded, on the bar that is shown, and in the log."""
    _log(logging.INFO, f"downloading {what}")
    # A task of its own, so that the stage is shown again behind it.
    bars = [
        (each.bar, each.bar.add_task(_plain(f"downloading {what}"), total=None))
        for each in _shown[-1:]
    ]
    try:
        yield
    finally:
        for bar, task in bars:
            bar.remove_task(task)


@contextmanager
def progress_bar(stage: str, kind: type[_Bar], *, hidden: bool = False) -> Iterator[_Bar]:
    """Show progress on standard error where that is a terminal, or in a notebook; else nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # Disabled later, its thread would never end.
    disabled = hidden or not (console.is_terminal or console.is_jupyter)
    with Bar(*columns, console=console, transient=True, disable=disabled) as bar:
        bar.add_task(_plain(stage), total=None)
        shown = kind(bar)
        _shown.append(shown)
        try:
            yield shown
        finally:
            _shown.remove(shown)


@contextmanager
def reporting(progress: Progress, stage: str = "") -> Iterator[Reporter]:
    """What receives the progress that a caller asked for.

    Args:
        progress: False only logs, True also shows a bar on standard error, a function is called
            with how much is done and the total, of each stage anew; a reporter gets everything
            instead.
        stage: what begins now, told to all but a reporter, whose giver tells it.

    Raises:
        ResultError: it is none of these.
    """
    if isinstance(progress, Reporter):
        yield progress
        return
    if progress is True:
        with progress_bar(stage, ProgressBar) as bar:
            if stage:
                bar.stage(stage)
            yield bar
        return
    # None is as not given.
    if progress is None or progress is False:
        reporter = LoggingReporter()
    elif callable(progress):
        reporter = CountingReporter(progress)
    else:
        raise ResultError(
            f"progress is {progress!r}: give True, False, a function of (done, total), or a "
            "heatmap.Reporter"
        )
    if stage:
        reporter.stage(stage)
    yield reporter


def print_note(console: Console, note: str) -> None:
    """Print a note: on a terminal wrapped between words, elsewhere on one line."""
    print_text(console, f"note: {note}", indent=len("note: "))


def print_text(console: Console, text: str, *, indent: int = 0) -> None:
    """Print a text as it is: on a terminal wrapped between words, elsewhere on one line.

    Args:
        console: where to.
        text: without markup.
        indent: by how many spaces further lines are indented.
    """
    if console.is_terminal:
        # Words longer than a line, such as paths, are left to the terminal, to be copied whole.
        lines = textwrap.wrap(
            text,
            console.width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = "\n".join(lines)
    console.print(text, highlight=False, soft_wrap=True, markup=False, emoji=False)


def _log(level: int, text: str) -> None:
    # Asked first: whoever does not listen pays nothing.
    if LOGGER.getEffectiveLevel() <= level:
        with speaking():
            LOGGER.log(level, "%s", text)


def _plain(text: str) -> str:
    """A text that rich does not take for markup."""
    from rich.markup import escape

    return escape(text)
