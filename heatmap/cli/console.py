"""What the command line says: tables on standard output, progress on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..evaluation.metrics import IOUS, Cases, Evaluation
from ..evaluation.verify import Agreement, VerifyReport
from ..geometry import Box
from ..grid.score_grid import ScoreGrid
from ..networks.catalog import ModelFacts
from ..networks.summary import MIB, LayerRow, Summary
from ..runs.run import Run, Watcher
from ..scoring.scorer import Scorer

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

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the line away while something is printed, so that they do not run together."""
        self.bar.stop()
        yield
        self.bar.start()

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
    exports = (path for paths in saved.exports.values() for path in paths)
    rest = (path for path in (saved.sharp, saved.page) if path is not None)
    for path in (*pictures, *grids, *rest, *exports, saved.description):
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
    name = escape(drawn[best].name)
    return (
        f"nothing found; the best is {name} with {peaks[best]:.2g}: "
        "try another --scale, --least-score or --engine crop"
    )


def _found_table(done: Run) -> Table:
    """What was found, in words: what, how sure, where in the photo, how large, and the box."""
    table = Table("found", box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("sure", "right"), ("where", "left"), ("of photo", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("box, px: left, top to right, bottom")
    for one in done.found:
        left, top, right, bottom = (round(side) for side in one.xyxy)
        table.add_row(
            escape(one.name),
            f"{one.score:.0%}",
            _whereabouts(one.xyxy, done.grid.geometry.photo_hw),
            _share(one.xyxy, done.grid.geometry.photo_hw),
            f"{left}, {top} to {right}, {bottom}",
        )
    return table


def _whereabouts(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """In which ninth of the photo the centre of a box lies."""
    down = (xyxy[1] + xyxy[3]) / 2 / photo_hw[0]
    across = (xyxy[0] + xyxy[2]) / 2 / photo_hw[1]
    row = ("top", "middle", "bottom")[min(2, int(down * 3))]
    column = ("left", "middle", "right")[min(2, int(across * 3))]
    return "middle" if row == column else f"{row} {column}"


def _share(xyxy: Box, photo_hw: tuple[int, int]) -> str:
    """How much of the photo a box takes."""
    area = (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1]) / (photo_hw[0] * photo_hw[1])
    return f"{area:.0%}" if area >= 0.01 else "< 1%"


def print_evaluation(evaluation: Evaluation) -> None:
    """All methods in one table, then this package's figures for each label."""
    console = _console()
    left = evaluation.left_out
    console.print(f"{evaluation.pairs} pairs of photo and class on {evaluation.photos} photos")
    if left.labels:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(left.labels.items()))
        console.print(f"left out, no such class: {escape(listed)}")
    for count, what in ((left.crowds, "crowds"), (left.empty, "boxes without an area")):
        if count:
            console.print(f"left out: {count} {what}")
    methods = {name: method.total for name, method in evaluation.methods.items()}
    console.print(_figures_table("method", methods))
    ours, figures = next(iter(evaluation.methods.items()))
    for name, method in evaluation.methods.items():
        if name.startswith("heatmap"):
            ours, figures = name, method
    console.print(f"\n{escape(ours)}, by label:")
    console.print(_figures_table("label", figures.labels))


def _figures_table(heading: str, rows: Mapping[str, Cases]) -> Table:
    """Pointing over all, small and hard pairs; boxes found, and best regions, at each IoU."""
    table = Table(heading, box=None, pad_edge=False, header_style="bold")
    table.add_column("pairs", justify="right")
    for case in ("all", "small", "hard"):
        table.add_column(f"points: {case}", justify="right")
    for kind in ("box", "region"):
        for iou in IOUS:
            table.add_column(f"{kind} {iou:g}", justify="right")
    for name, cases in rows.items():
        every = cases.all
        shares = [cases.all.pointing, cases.small.pointing, cases.hard.pointing]
        shares += [boxes.found for boxes in every.boxes] + [boxes.region for boxes in every.boxes]
        table.add_row(
            escape(name), str(every.pairs), *("" if one is None else f"{one:.3f}" for one in shares)
        )
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
