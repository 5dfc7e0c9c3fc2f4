"""What the command line says: tables on standard output, progress on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from ..errors import HeatmapError, Use
from ..progress import Reporter

_PIPE_WIDTH = 10_000


def make_console() -> Console:
    # In a pipe each line stays whole, whatever width a terminal would have had.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


@dataclass(frozen=True)
class AtWork(Reporter):
    """A line that tells what is being done, and how far it is where that is known."""

    bar: Progress

    def stage(self, what: str) -> None:
        # Anew, or else total and time left stay those of what was done before.
        self.bar.remove_task(self.bar.task_ids[0])
        self.bar.add_task(escape(what), total=None)

    def advance(self, done: int, total: int) -> None:
        self.bar.update(self.bar.task_ids[0], completed=done, total=total)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something is printed, so that they do not run together."""
        self.bar.stop()
        yield
        self.bar.start()

    def note(self, message: str, *ways: Use) -> None:
        self.bar.console.print(
            f"note: {HeatmapError(message, *ways).worded(_option)}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def working(what: str) -> Iterator[AtWork]:
    """Show progress on a terminal; say nothing in a pipe."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.disable = not bar.console.is_terminal
        bar.add_task(escape(what), total=None)
        yield AtWork(bar)


def _option(way: Use) -> str:
    """A way out as an option of the command line."""
    given = "" if way.value is None else f" {way.value}"
    return way.text.format(f"--{way.parameter.replace('_', '-')}{given}")
