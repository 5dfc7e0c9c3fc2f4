"""`heatmap verify`: sliding against cropping on a photo, or on a folder of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from ..errors import HeatmapError, PhotoError
from ..geometry import size_text
from ..grid.outputs import described
from ..names import COMPARISON, ResultNames
from ..ownership import check_folder
from .check import check_names
from .command import Command, in_options
from .completion import complete_classes
from .console import make_console, print_model, progress_line
from .options import (
    FILE,
    backend_option,
    border_option,
    model_options,
    reading_options,
    scales_options,
    statistics_option,
    stride_option,
    under,
)
from .result_options import json_option, output_option, overwrite_option

if TYPE_CHECKING:
    from ..evaluation.verify_photos import VerifySummary
    from ..evaluation.verify_report import ScaleReport, VerifyReport
    from ..scoring.scorer import Scorer
    from .console import ProgressLine


# What `heatmap verify --help` lists.
_COMMON = (
    "model weights class_names activation window stride scales border wanted windows "
    "max_difference output overwrite as_json"
)


@click.command(cls=Command, common=_COMMON)
@click.argument("photos", metavar="PHOTO|FOLDER", type=FILE)
@model_options
@reading_options
@stride_option
@scales_options
@border_option
@statistics_option
@backend_option
@under(
    "Windows",
    click.option(
        "--windows",
        type=click.IntRange(min=1),
        default=128,
        show_default=True,
        metavar="N",
        help="Maximum number of windows to crop at each scale.",
    ),
)
@under(
    "Output",
    click.option(
        "-c",
        "--class",
        "wanted",
        metavar="CLASS",
        shell_complete=complete_classes,
        help="Class to draw; default: the top class of the photo.",
    ),
    click.option(
        "--max-difference",
        type=click.FloatRange(min=0),
        metavar="X",
        help="Exit with 1 if sliding differs from cropping by more than this share of the "
        "largest score.",
    ),
)
@output_option
@overwrite_option
@json_option
def verify(photos: Path, **options: Any) -> None:
    """Compare sliding with cropping on PHOTO or those in FOLDER.

    Prints how much their scores differ at each scale and how much faster sliding is, and draws
    both. Exits with 1 if the converted head is not exact, or a photo cannot be compared.
    """
    wanted = options["wanted"]
    check_names(options | {"classes": () if wanted is None else (wanted,)})
    from ..evaluation.verify_photos import summarise
    from ..runs.options import recipe_of

    comparing = _Comparing(photos, options)
    with progress_line(f"loading {options['model']}") as line:
        scorer = recipe_of(options["model"], {**options, "engine": "slide"}).prepare()
        line.notes(scorer.facts.notes)
        summary = summarise(comparing.outcomes(scorer, line))
    if options["as_json"]:
        click.echo(json.dumps(comparing.told(summary), indent=2))
    elif comparing.many:
        _print_summary(summary)
    too_different = summary.exceeds(options["max_difference"])
    if too_different:
        click.echo(
            f"error: sliding differs from cropping by {summary.difference:.3g} of the largest "
            f"score, more than {options['max_difference']:g}",
            err=True,
        )
    sys.exit(0 if summary.passed and not too_different else 1)


@dataclass
class _Comparing:
    """Compares photos one after the other, and prints or keeps what is told of each."""

    source: Path
    options: dict[str, Any]
    described: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from ..rendering.overlay import picture_owner
        from ..runs.sources import BatchFiles, gather

        # The method of Path raises where a name is too long.
        self.many = os.path.isdir(self.source)
        # Listed at once, before a network is loaded for no photo.
        gathered = gather([self.source], self.options["output"]) if self.many else BatchFiles()
        self.items, self.unread = gathered.photos, gathered.unread
        paths = {item.name: item.path for item in self.items} or {self.source.stem: self.source}
        read = {_number(path) for path in paths.values()} - {None}
        for name, path in paths.items():
            picture = self._picture(name)
            check_folder(picture)
            if os.path.lexists(picture):
                owner = picture_owner(path, overwrite=self.options["overwrite"])
                # Nor is any other of the photos replaced, whatever links lead there.
                reads = (picture,) if _number(picture) in read else ()
                replace(owner, read=reads).check([picture])

    def _picture(self, name: str) -> Path:
        output: Path = self.options["output"]
        # In a folder, names are of files and keep their suffixes.
        return ResultNames.of_stem(output / Path(name).parent, Path(name).name).path(COMPARISON)

    def outcomes(
        self, scorer: Scorer, line: ProgressLine
    ) -> Iterator[tuple[str, VerifyReport | HeatmapError]]:
        """The outcome for each photo; of a single photo errors are raised."""
        if not self.many:
            yield self.source.name, self._compared(self.source, scorer, line, str(self.source))
            return
        for folder, reason in self.unread:
            yield folder.name, self._failed(folder.name, PhotoError(reason), line)
        for item in self.items:
            try:
                yield item.name, self._compared(item.path, scorer, line, item.name)
            except HeatmapError as error:
                yield item.name, self._failed(item.name, error, line)

    def _failed(self, name: str, error: HeatmapError, line: ProgressLine) -> HeatmapError:
        line.note(in_options(error))
        self.described.append({"photo": name, "error": in_options(error)})
        return error

    def _compared(self, path: Path, scorer: Scorer, line: ProgressLine, name: str) -> VerifyReport:
        from ..evaluation.verify import verify as verify_photo
        from ..evaluation.verify_report import describe_report, draw_report
        from ..photo.photo import read_photo
        from ..rendering.overlay import write_image
        from ..runs.options import placement_of, reading_of

        options = self.options
        photo = read_photo(path, reading=reading_of(options))
        placement = placement_of(options)
        report = verify_photo(
            photo, scorer, windows=options["windows"], placement=placement, progress=line
        )
        picture = draw_report(photo, report, options["wanted"])
        line.notes([f"{name}: {note}" for note in photo.notes])
        if not self.described:
            line.notes(report.worst.grid.origin.notes[len(scorer.facts.notes) :])
        target = self._picture(name if self.many else path.stem)
        written = write_image(target, picture, photo=path, overwrite=options["overwrite"])
        described = {"photo": name, "photo_notes": photo.notes, **describe_report(report)}
        self.described.append({**described, "picture": str(written)})
        if not options["as_json"]:
            with line.aside():
                _print(name, report, written)
        return report

    def told(self, summary: VerifySummary) -> dict[str, Any]:
        """The JSON: of one photo its report, of a folder all of them with the summary."""
        from ..evaluation.verify_photos import describe_summary

        if not self.many:
            return self.described[0]
        return {"summary": describe_summary(summary), "photos": self.described}


def _number(path: Path) -> tuple[int, int] | None:
    """The device and number of a file; None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _print(photo: str, report: VerifyReport, picture: Path) -> None:
    """Print the check of the head, sliding against cropping, the times and the conclusion."""
    console, grid, head = make_console(), report.worst.grid, report.head
    console.print(f"{escape(photo)}: {size_text(grid.geometry.photo_hw)}", soft_wrap=True)
    print_model(console, grid.origin)
    console.print(f"outputs: {described(grid.kind)}")
    if head is None:
        console.print("converted head: not checked, the original network is not in the file")
    else:
        verdict = "exact" if head.holds else "[red]NOT EXACT[/red]"
        console.print(
            f"converted head against the original head on {head.slices} slices: "
            f"{head.relative:.1e} of the largest score, {verdict}"
        )
    console.print(
        "sliding against cropping (relative: largest difference / largest score of a crop):"
    )
    console.print(_scales_table(report))
    slide_s = sum(scale.timing.slide_s for scale in report.scales)
    crop_s = sum(scale.timing.crop_s for scale in report.scales)
    extrapolated = any(scale.timing.extrapolated for scale in report.scales)
    how = " (extrapolated)" if extrapolated else ""
    times = crop_s / slide_s
    console.print(
        f"sliding {slide_s:.3g} s, cropping {crop_s:.3g} s{how}: {times:.1f} times as long"
    )
    console.print(escape(report.conclusion))
    console.print(f"wrote {escape(str(picture))}", soft_wrap=True)


def _scales_table(report: VerifyReport) -> Table:
    """One row for each scale."""
    table = Table("scale", box=None, pad_edge=False, header_style="bold")
    for heading in ("windows", "largest", "mean", "relative", "inner", "edge", "corr.", "same"):
        table.add_column(heading, justify="right")
    for scale in report.scales:
        table.add_row(f"{scale.scale:g}", *_scale_cells(scale))
    return table


def _scale_cells(scale: ScaleReport) -> tuple[str, ...]:
    seen = scale.everywhere
    of_places = (
        "" if place is None else f"{place.relative:.1e}" for place in (scale.inner, scale.edge)
    )
    return (
        f"{seen.windows}/{scale.grid.scored.size}",
        f"{seen.largest:.2e}",
        f"{seen.mean:.2e}",
        f"{seen.relative:.1e}",
        *of_places,
        f"{seen.correlation:.3f}",
        f"{seen.top1:.0%}",
    )


def _print_summary(summary: VerifySummary) -> None:
    console = make_console()
    head = (
        "head not checked"
        if summary.head is None
        else f"head off by at most {summary.head:.1e} of the largest score"
    )
    console.print(f"{summary.photos} photos, {summary.windows:,} windows: {head}")
    if summary.photos:
        console.print(
            f"sliding differs from cropping by at most {summary.difference:.1e} of the largest "
            f"score, on {escape(summary.photo)} at scale {summary.scale:g}; both name the same "
            f"class in {summary.top1:.0%} of the windows"
        )
    for heading, names in (("wrong", summary.wrong), ("not compared", summary.failed)):
        if names:
            console.print(f"{heading}: {escape(', '.join(names))}", soft_wrap=True)
