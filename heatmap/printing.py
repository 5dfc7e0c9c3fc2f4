"""What the command line says: tables on standard output, progress on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from .catalog import ModelFacts
from .grid import ScoreGrid
from .running import Run, Watcher
from .scoring import Scorer
from .summarizing import MIB, LayerRow, Summary
from .verifying import Agreement, VerifyReport

_PIPE_WIDTH = 10_000


def _console() -> Console:
    # In a pipe each line stays whole, whatever width a terminal would have had.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


@dataclass(frozen=True)
class AtWork(Watcher):
    """A line that tells what is being done, and how far it is where that is known."""

    bar: Progress

    def say(self, what: str) -> None:
        # Anew, or else total and time left stay those of what was done before.
        self.bar.remove_task(self.bar.task_ids[0])
        self.bar.add_task(escape(what), total=None)

    def progress(self, done: int, total: int) -> None:
        self.bar.update(self.bar.task_ids[0], completed=done, total=total)

    def large(self, needed: int) -> None:
        self.bar.console.print(
            f"note: the scores will take {needed / 1e9:.1f} GB on disk; --keep CLASS keeps fewer",
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


def print_run(done: Run, scorer: Scorer) -> None:
    """What was found, with which settings, and where the files are."""
    console, grid = _console(), done.grid
    height, width = grid.geometry.photo_hw
    rows, columns = grid.geometry.grid_hw
    console.print(
        f"{escape(done.photo.path)}: {height} x {width} px, {rows} x {columns} windows of "
        f"{grid.geometry.window_px} px, {grid.geometry.stride_px} px apart, by "
        f"{escape(grid.origin.model)} ({escape(grid.origin.weights)})"
    )
    notes = (*done.photo.notes, *_sliding_notes(grid, scorer), *_grid_notes(done))
    for note in notes:
        console.print(f"note: {escape(note)}")
    console.print(_found_table(done) if done.found else _nothing_found(done))
    saved = done.saved
    grids = (saved.grid, *saved.scales.values())
    pictures = (*saved.overlays.values(), *saved.previews.values())
    for path in (*pictures, *grids, saved.description):
        console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def _sliding_notes(grid: ScoreGrid, scorer: Scorer) -> Iterator[str]:
    """What stands against sliding; its advice on the engine is for those who have not chosen."""
    reason = scorer.why_not.partition("; use --engine")[0]
    if grid.origin.engine == "crop" and reason:
        slides = "; --engine slide slides all the same" if grid.origin.sliding == "inexact" else ""
        yield f"scored crop by crop: {reason}{slides}"
    elif grid.origin.sliding == "inexact":
        yield f"slid all the same, but {reason.replace('would be', 'is')}"


def _grid_notes(done: Run) -> Iterator[str]:
    """What a person should know of how the grid was made."""
    if done.scales:
        names = ", ".join(name.removeprefix("x") for name in done.scales)
        yield f"scales {names} fused on the finest"
    missing = int((~done.grid.scored).sum())
    if missing:
        rows, columns = done.grid.geometry.grid_hw
        yield f"{missing} of {rows * columns} windows skipped"


def _nothing_found(done: Run) -> str:
    """The best of the classes that were drawn, which are those that were asked for."""
    if not done.grid.scored.any():
        return "nothing found: every window was skipped"
    drawn = list(done.saved.overlays)
    peaks = np.nan_to_num(done.grid.class_maps(drawn)).max(axis=(0, 1))
    best = int(peaks.argmax())
    name = escape(done.grid.classes.names[drawn[best]])
    return (
        f"nothing found; the best is {name} with {peaks[best]:.2g}: "
        "try another --scale, --least-score or --engine crop"
    )


def _found_table(done: Run) -> Table:
    table = Table("class", box=None, pad_edge=False, header_style="bold")
    for heading in ("probability", "left", "top", "right", "bottom"):
        table.add_column(heading, justify="right")
    for one in done.found:
        table.add_row(escape(one.name), f"{one.score:.2f}", *(f"{side:.0f}" for side in one.xyxy))
    return table


def print_verify(report: VerifyReport, picture: Path) -> None:
    """Claims 1 and 3, the times, and the conclusion."""
    console, grid, timing = _console(), report.grid, report.timing
    rows, columns = grid.geometry.grid_hw
    console.print(
        f"{escape(grid.origin.model)} ({escape(grid.origin.weights)}), "
        f"{rows} x {columns} windows, {report.everywhere.windows} compared"
    )
    verdict = "exact" if report.head.holds else "[red]NOT EXACT[/red]"
    console.print(
        f"converted head against the original head on {report.head.slices} slices: "
        f"{report.head.relative:.1e} of the largest score, {verdict}"
    )
    console.print("sliding against cropping, differences in units of the scores:")
    table = Table("windows", box=None, pad_edge=False, header_style="bold")
    for heading in ("number", "largest", "mean", "relative", "correlation", "same class"):
        table.add_column(heading, justify="right")
    groups = (("all", report.everywhere), ("inner", report.inner), ("at the edge", report.edge))
    for name, agreement in groups:
        if agreement is not None:
            table.add_row(name, *_agreement_cells(agreement))
    console.print(table)
    how = f" (extrapolated from {timing.crop_windows} windows)" if timing.extrapolated else ""
    console.print(
        f"sliding {timing.slide_s:.3g} s, cropping {timing.crop_s:.3g} s{how}: "
        f"{timing.ratio:.1f} times as long"
    )
    console.print(escape(report.conclusion))
    console.print(f"wrote {escape(str(picture))}", soft_wrap=True)


def _agreement_cells(agreement: Agreement) -> tuple[str, ...]:
    return (
        str(agreement.windows),
        f"{agreement.largest:.2e}",
        f"{agreement.mean:.2e}",
        f"{agreement.relative:.1e}",
        f"{agreement.correlation:.4f}",
        f"{agreement.top1:.1%}",
    )


def print_summary(summary: Summary) -> None:
    """The layer table and its totals."""
    console = _console()
    console.print(_layer_table(summary.rows))
    height, width = summary.photo_hw
    rows, columns = summary.grid_hw
    console.print(
        f"{escape(summary.model)} on {height} x {width} px: {rows} x {columns} windows of "
        f"{summary.window_px} px, native stride {summary.native_stride_px} px"
    )
    fixed = summary.parameters - summary.trainable
    console.print(
        f"parameters {summary.parameters:,}: {summary.trainable:,} trainable, {fixed:,} fixed"
        + (f"; {summary.unused:,} in layers that scoring does not use" if summary.unused else "")
    )
    console.print(
        f"memory in MiB: input {summary.input_bytes / MIB:.2f}, "
        f"outputs of all layers {summary.activation_bytes / MIB:.2f} "
        f"({2 * summary.activation_bytes / MIB:.2f} forward and backward), "
        f"parameters {summary.parameter_bytes / MIB:.2f}, "
        f"most at once while scoring {summary.peak_bytes / MIB:.2f}"
    )


def _layer_table(rows: Iterable[LayerRow]) -> Table:
    """One row a layer, close enough for VGG16 at 400 px to fit into 80 columns.

    Where it does not fit, names are folded; numbers never are.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("layer", "type", "kernel"):
        table.add_column(heading, overflow="fold")
    for heading in ("output", "parameters", "stride", "field"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        fixed = "" if row.trainable else " fixed"
        table.add_row(
            escape(row.path),
            escape(row.kind),
            escape(row.detail.replace(" x ", "x")),
            "x".join(map(str, row.shape)),
            f"{row.parameters:,}{fixed}" if row.parameters else "",
            str(row.stride_px),
            str(row.field_px),
        )
    return table


def print_models(facts: Iterable[ModelFacts]) -> None:
    """One line a model, as each becomes known."""
    console = _console()
    width = 34
    console.print(f"{'model':{width}} {'window':>6} {'stride':>6} sliding", style="bold")
    for fact in facts:
        stride = str(fact.native_stride_px or "")
        numbers = f"{fact.window_px or '':>6} {stride:>6}"
        line = f"{fact.name:{width}} {numbers} {fact.sliding:8} {fact.reason}"
        console.print(escape(line.rstrip()), soft_wrap=True)
