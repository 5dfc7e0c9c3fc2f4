"""Where the command line writes: tables on standard output, progress on standard error."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import HeatmapError, Use
from ..geometry import grid_text, scale_of, size_text
from ..progress import ProgressBar, print_text, progress_bar
from .command import in_options

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from ..grid.origin import Origin
    from ..grid.score_grid import ScoreGrid
    from ..text_table import TextTable

_PIPE_WIDTH = 10_000


def make_console() -> Console:
    """A console on standard output that does not wrap lines in a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def print_path(console: Console, text: str) -> None:
    """Print a line that ends in a path, unwrapped, so that it can be copied."""
    console.print(text, soft_wrap=True, markup=False, emoji=False)


def print_next(console: Console, *words: str | Path) -> None:
    """Print the command to type next, to be pasted; only on a terminal, for who can type."""
    if console.is_terminal:
        print_path(console, f"next: {shlex.join(map(str, words))}")


def factory_words(architecture: str) -> tuple[str, ...]:
    """What a command must be given beside a checkpoint whose network a factory makes."""
    return ("--architecture", architecture) if ":" in architecture else ()


def print_opening(console: Console, page: Path) -> None:
    """Print which page to open next; only on a terminal."""
    if console.is_terminal:
        print_path(console, f"next: open {page} in a browser")


def print_scored(console: Console, photo: str, grid: ScoreGrid) -> None:
    """Print a photo and its size, the layout of its windows, and the model that scored them."""
    geometry, origin = grid.geometry, grid.origin
    (rows, columns), region = geometry.grid_hw, origin.region
    scale = scale_of(geometry)
    resized = "" if scale == 1 else f", on the photo resized by {scale:.3g}"
    where = f" at {region.left}, {region.top} of {size_text(region.whole_hw)}" if region else ""
    size = size_text(geometry.photo_hw)
    console.print(f"{escape(photo or 'photo')}: {size}{where}", soft_wrap=True)
    print_text(
        console,
        f"{grid_text(rows, columns)} of windows, {geometry.window_px} px wide, "
        f"{geometry.stride_px} px apart{resized}",
    )
    print_model(console, origin)


def print_model(console: Console, origin: Origin) -> None:
    """Print the network, its weights, and what ran it."""
    backend = "ONNX Runtime" if origin.computation.backend == "onnx" else "torch"
    model = f"{origin.model}, weights {origin.weights.text}"
    print_text(console, f"model: {model}, run by {backend}")


def drawn_table(table: TextTable, width: int) -> Table:
    """A table as it is printed; where it is wider than ``width``, closer and with high headings.

    Numbers are never cut; other text is wrapped, or where a word is too long shortened with an
    ellipsis.
    """
    widths = [
        max(map(cell_len, column)) for column in zip(table.headings, *table.rows, strict=True)
    ]
    is_wide = sum(widths) + 2 * (len(widths) - 1) > width
    gap = 1 if is_wide else 2
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for place, heading in enumerate(table.headings):
        if place in table.numbers:
            heading = heading.replace(" ", "\n") if is_wide else heading
            drawn.add_column(heading, justify="right", no_wrap=True)
        else:
            drawn.add_column(heading, overflow="ellipsis")
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    return drawn


def is_on(flag: str) -> bool:
    """Whether a flag of the command that is running is given, such as "quiet"."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get(flag))


class ProgressLine(ProgressBar):
    """The progress of a command: notes name its options, and are printed in a pipe too.

    With --quiet of the command at hand it prints no notes, with --verbose how long stages took.
    """

    def __init__(self, bar: Bar) -> None:
        super().__init__(bar)
        self._stage, self._since = "", time.monotonic()

    def stage(self, what: str) -> None:
        """Show what begins now."""
        super().stage(what)
        self.begin(what)

    def begin(self, what: str) -> None:
        """Time what begins now, which is shown already."""
        self.end()
        self._stage, self._since = what, time.monotonic()

    def end(self) -> None:
        """Say how long the stage took, if that is asked for."""
        if self._stage and is_on("verbose"):
            took = f"{self._stage}: {time.monotonic() - self._since:.2f} s"
            self.bar.console.print(took, highlight=False, soft_wrap=True, markup=False)

    def note(self, message: str, *ways: Use) -> None:
        """Print a line that is not overwritten."""
        if not is_on("quiet"):
            self.show(in_options(HeatmapError(message, *ways)))


@contextmanager
def progress_line(stage: str) -> Iterator[ProgressLine]:
    """Show progress on a terminal; show nothing in a pipe."""
    with progress_bar(stage, ProgressLine, hidden=is_on("quiet")) as line:
        line.begin(stage)
        yield line
        line.end()
