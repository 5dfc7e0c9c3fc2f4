"""What `heatmap verify` prints of each photo, and of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import HeatmapError
from ..geometry import size_text
from ..grid.outputs import described
from ..progress import ForwardingReporter, print_text
from .command import in_options
from .console import (
    ProgressLine,
    drawn_table,
    make_console,
    print_model,
    print_path,
    progress_line,
)

if TYPE_CHECKING:
    from ..evaluation.verify_photos import VerifySummary
    from ..evaluation.verify_report import VerifyReport
    from ..evaluation.verify_reporter import VerifyReporter
else:
    # The class itself would load libraries; VerifyPrinter overrides the method that it adds.
    from ..progress import Reporter as VerifyReporter


class VerifyPrinter(ForwardingReporter, VerifyReporter):
    """Prints the report on each photo, or keeps what JSON says of it in ``described``."""

    def __init__(self, line: ProgressLine, *, as_json: bool) -> None:
        super().__init__(line)
        self._line, self._as_json = line, as_json
        self.described: list[dict[str, Any]] = []

    def photo(self, name: str, outcome: VerifyReport | HeatmapError) -> None:
        """Print or keep the report on a photo, or why there is none."""
        if isinstance(outcome, HeatmapError):
            self.note(outcome.message, *outcome.ways)
            self.described.append({"photo": name, "error": in_options(outcome)})
            return
        from ..evaluation.verify_report import describe_report

        about = {"photo": name, "photo_notes": outcome.notes, **describe_report(outcome)}
        self.described.append({**about, "picture": str(outcome.picture)})
        if not self._as_json:
            with self._line.aside():
                _print(name, outcome)


@contextmanager
def verify_printer(stage: str, *, as_json: bool) -> Iterator[VerifyPrinter]:
    """A printer, with a line of progress where standard error is a terminal."""
    with progress_line(stage) as line:
        yield VerifyPrinter(line, as_json=as_json)


def _print(photo: str, report: VerifyReport) -> None:
    """Print the check of the head, sliding against cropping, the times and the conclusion."""
    from ..evaluation.verify_report import scales_table

    console, grid, head = make_console(), report.worst.grid, report.head
    print_text(console, f"{photo}: {size_text(grid.geometry.photo_hw)}")
    print_model(console, grid.origin)
    print_text(console, f"outputs: {described(grid.kind)}")
    if head is None:
        console.print("converted head: not checked, the original network is not in the file")
    else:
        verdict = "exact" if head.holds else "NOT EXACT"
        print_text(
            console,
            f"converted head against the original head on {head.slices} slices: "
            f"{head.relative:.1e} of the largest score, {verdict}",
        )
    print_text(
        console,
        "sliding against cropping (relative: largest difference / largest score of a crop):",
    )
    console.print(drawn_table(scales_table(report.scales), console.width))
    slide_s = sum(scale.timing.slide_s for scale in report.scales)
    crop_s = sum(scale.timing.crop_s for scale in report.scales)
    extrapolated = any(scale.timing.extrapolated for scale in report.scales)
    how = " (extrapolated)" if extrapolated else ""
    times = crop_s / slide_s
    print_text(
        console,
        f"sliding {slide_s:.3g} s, cropping {crop_s:.3g} s{how}: {times:.1f} times as long",
    )
    print_text(console, report.conclusion)
    if report.picture is not None:
        print_path(console, f"wrote {report.picture}")


def print_summary(summary: VerifySummary) -> None:
    """Print what all photos give together."""
    console = make_console()
    head = (
        "head not checked"
        if summary.head is None
        else f"head off by at most {summary.head:.1e} of the largest score"
    )
    print_text(console, f"{summary.photos} photos, {summary.windows:,} windows: {head}")
    if summary.photos:
        print_text(
            console,
            f"sliding differs from cropping by at most {summary.difference:.1e} of the largest "
            f"score, on {summary.photo} at scale {summary.scale:g}; both name the same class in "
            f"{summary.top1:.0%} of the windows",
        )
    for heading, names in (("wrong", summary.wrong), ("not compared", summary.failed)):
        if names:
            print_text(console, f"{heading}: {', '.join(names)}", indent=2)
