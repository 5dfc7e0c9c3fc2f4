"""What `heatmap run` prints of one photo: on a terminal one screen, otherwise everything."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from ..geometry import size_text
from ..localization.found_table import (
    alternatives_text,
    area_text,
    box_text,
    percent,
    whereabouts,
)
from ..progress import print_note, print_text
from .console import make_console, print_next, print_opening, print_path, print_scored
from .options import CONFIDENCE_THRESHOLD, DEFAULT_MODEL
from .single import print_settings

if TYPE_CHECKING:
    from rich.console import Console

    from ..localization.areas import Areas
    from ..localization.detection import Detection
    from ..runs.result import Result
    from ..scoring.scorer import Scorer

# On a screen of 24 lines the other lines take about half.
_MOST_ROWS = 8
_MOST_FILES = 3
# The width of a column beside the space between two.
_GAP = 2
_LEAST_NAME = 12
# Measured for the built-in network at its own threshold: 34 of 47 detections on photos of COCO were
# hits, 72 %, or 57 to 85 % (docs/evaluation.md, "Measured"). It hardly depends on confidence: 68 %
# from 0.3 on, and 72 % from 0.4 on. Of other networks nothing is known.
_MEASURED = "On everyday photos 3 of 10 such detections were wrong: look at the picture."


@dataclass(frozen=True)
class RunPrinter:
    """Prints the result of one photo.

    Attributes:
        done: the result.
        output: where it was written: a folder, or one picture.
        verbose: whether to print everything, how it was made too.
        console: where to.
    """

    done: Result
    output: Path
    verbose: bool
    console: Console

    @classmethod
    def of(cls, done: Result, output: Path, *, verbose: bool) -> RunPrinter:
        """A printer to standard output."""
        return cls(done, output, verbose, make_console())

    def print(self, scorer: Scorer, noted: Iterable[str]) -> None:
        """Print what was found, how sure it is, where the files are, and what to type next.

        Args:
            scorer: what scored the photo.
            noted: what was noted while scoring.
        """
        done, console = self.done, self.console
        self._print_photo()
        self._print_found()
        self._print_answers()
        if done.areas is not None:
            console.print(_area_table(done.areas))
        for note in (*done.photo.notes, *noted, *self._notes(scorer)):
            print_note(console, note)
        if self.verbose:
            print_settings(console, done)
        self._print_files()
        self._print_next()

    @property
    def _is_short(self) -> bool:
        """Whether what is printed must fit on a screen."""
        return self.console.is_terminal and not self.verbose

    def _most(self, rows: int) -> int | None:
        return rows if self._is_short else None

    def _print_gap(self) -> None:
        if self._is_short:
            self.console.print()

    def _print_photo(self) -> None:
        grid = self.done.windows.finest
        if self.verbose:
            print_scored(self.console, self.done.photo.path, grid)
            return
        region = grid.origin.region
        where = f" at {region.left}, {region.top} of {size_text(region.whole_hw)}" if region else ""
        size = size_text(grid.geometry.photo_hw)
        name = self.done.photo.path or "photo"
        print_text(self.console, f"{name}: {size}{where}, model {grid.origin.model}")

    def _print_found(self) -> None:
        done, findings = self.done, self.done.findings
        # Of classes that were named, the answers say the same as guesses would.
        shown = done.detections if findings.named else findings.shown
        if nothing := _nothing_found(done):
            print_text(self.console, nothing)
        if shown:
            rows = shown[: self._most(_MOST_ROWS)]
            self._print_gap()
            self.console.print(self._table(rows))
            if left := len(shown) - len(rows):
                print_path(self.console, f"and {left} more: {self._where_all}")
            self._print_gap()
        if done.detections and self._is_measured:
            print_text(self.console, _MEASURED)

    def _print_answers(self) -> None:
        """Print of each class that was named and not found how near it came."""
        done, missing = self.done, self.done.findings.not_found
        told = missing[: self._most(_MOST_ROWS // 2 if done.detections else _MOST_ROWS)]
        for each in told:
            print_text(self.console, each.answer(done.request.display.conf), indent=2)
        if left := len(missing) - len(told):
            print_path(self.console, f"and {left} more not found: {self._where_all}")
        if not done.detections and done.windows.not_scored < _windows(done):
            print_text(self.console, self._ways_out())

    def _ways_out(self) -> str:
        """What may find more than nothing."""
        origin = self.done.windows.finest.origin
        ways = ["another --scale", "a lower --conf"]
        if origin.engine == "slide":
            ways.append("--engine crop")
        elif origin.cropped is not None:
            ways.append("no --stride auto")
        return f"To find more, try {', '.join(ways[:-1])} or {ways[-1]}."

    @property
    def _is_measured(self) -> bool:
        """Whether it was measured how many detections of such a run are wrong."""
        origin, display = self.done.windows.finest.origin, self.done.request.display
        published = origin.model == DEFAULT_MODEL and origin.weights.kind == "default"
        return published and display.conf == CONFIDENCE_THRESHOLD and not self.done.findings.named

    @property
    def _where_all(self) -> str:
        """Where the rest is that a screen has no room for."""
        if self._view is not None:
            return shlex.join(self._view)
        return "-v lists all" if self._page is None else f"open {self._page} in a browser"

    def _table(self, rows: Sequence[Detection]) -> Table:
        """What, how sure, and where; beside it what else it may be, as far as there is room."""
        columns = self._columns(rows)
        names = [each.name for each in rows]
        widest = max(map(cell_len, ("class", *names)))
        room = self.console.width - _width(columns)
        if room < min(widest, _LEAST_NAME):
            # The box says it too.
            del columns["where"]
            room = self.console.width - _width(columns)
        name_width = min(widest, max(_LEAST_NAME, room))
        others = [_fitting(each, room - name_width - _GAP) for each in rows]
        if any(others):
            columns["or"] = others
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
        table.add_column("class", no_wrap=True, max_width=name_width, overflow="ellipsis")
        for heading in columns:
            left = heading in ("box, px", "where", "or")
            table.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for row in zip(names, *columns.values(), strict=True):
            table.add_row(*map(escape, row))
        return table

    def _columns(self, rows: Sequence[Detection]) -> dict[str, list[str]]:
        """The cells of each column but the first and the last, by its heading."""
        photo_hw = self.done.photo.whole_hw
        columns = {
            "confidence": [self._sure(each.confidence) for each in rows],
            "box, px": [box_text(each.xyxy) for each in rows],
            "where": [whereabouts(each.xyxy, photo_hw) for each in rows],
        }
        if self.verbose:
            columns["area"] = [area_text(each.xyxy, photo_hw) for each in rows]
            if any(each.crop is not None for each in rows):
                columns["slide"] = [percent(each.slide) for each in rows]
                columns["crop"] = [percent(each.crop) for each in rows]
        return columns

    def _sure(self, confidence: float) -> str:
        # A guess is below the threshold, also where it is rounded.
        return percent(confidence, down=not self.done.detections)

    def _notes(self, scorer: Scorer) -> Iterator[str]:
        """Notes on the network, fused scales and skipped windows."""
        done, origin = self.done, self.done.windows.finest.origin
        if origin.weights.are_random:
            yield "the weights are random: what is found means nothing"
        if origin.sliding == "inexact" and origin.engine == "crop":
            yield "--statistics local slides it, as an approximation"
        elif origin.statistics == "whole":
            yield f"sliding is inexact for this network: {scorer.why_not}"
        if self.verbose and len(done.grids) > 1:
            names = ", ".join(name.removeprefix("x") for name in done.grids)
            yield f"scales {names} fused on the finest"
        missing = done.windows.not_scored
        if missing and done.request.limits.skip is not None:
            yield f"{missing} of {_windows(done)} windows skipped"

    def _print_files(self) -> None:
        saved = self.done.saved
        written = (self.output,) if saved is None else saved.written
        if not self._is_short:
            for path in written:
                print_path(self.console, f"wrote {path}")
            return
        picture = self.output if saved is None else saved.pictures[0]
        print_path(self.console, f"picture: {picture}")
        names = [path.name for path in written if path != picture]
        if names:
            left = len(names) - _MOST_FILES
            more = f" and {left} more" if left > 0 else ""
            print_text(self.console, f"beside it: {', '.join(names[:_MOST_FILES])}{more}")

    def _print_next(self) -> None:
        if self._page is not None:
            print_opening(self.console, self._page)
        elif self._view is not None:
            print_next(self.console, *self._view)

    @property
    def _page(self) -> Path | None:
        return None if self.done.saved is None else self.done.saved.page

    @property
    def _view(self) -> tuple[str, ...] | None:
        """The command that makes a page of the result; None where none is needed, or can."""
        saved, from_file = self.done.saved, self.done.photo.path
        if saved is None or saved.page is not None or not from_file:
            return None
        return ("heatmap", "view", str(self.output))


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    """The width of some columns, with the space before each."""
    return sum(_GAP + max(map(cell_len, (name, *cells))) for name, cells in columns.items())


def _nothing_found(done: Result) -> str:
    """That nothing was found; "" where that is said of each class by itself."""
    if done.detections:
        return ""
    if done.windows.not_scored == _windows(done):
        return "Nothing found: every window was skipped."
    if done.findings.named:
        return ""
    nothing = f"Nothing is sure enough (threshold {100 * done.request.display.conf:.3g} %)."
    return f"{nothing} Best guesses:" if done.findings.guesses else nothing


def _windows(done: Result) -> int:
    return math.prod(done.windows.finest.geometry.grid_hw)


def _fitting(detection: Detection, width: int) -> str:
    """What else a detection may be, as much as there is room for."""
    forms = alternatives_text(detection)
    return next((form for form in forms if cell_len(form) <= width), "")


def _area_table(areas: Areas) -> Table:
    """A table of the classes that win somewhere, and the fractions of the photo."""
    from ..rendering.areas_picture import share_text

    table = Table("class", box=None, pad_edge=False, header_style="bold")
    table.add_column("area", justify="right")
    for name, fraction in areas.rows():
        table.add_row(escape(name), share_text(fraction))
    return table
