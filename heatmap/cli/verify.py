"""`heatmap verify`: sliding against cropping on one photo."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from ..grid.outputs import described
from .command import Command
from .console import make_console, print_scored, progress_line
from .options import (
    FILE,
    border_option,
    json_option,
    model_options,
    output_option,
    scale_option,
    stride_option,
    under,
)
from .request import recipe_of

if TYPE_CHECKING:
    from ..evaluation.verify_report import Agreement, VerifyReport


@click.command(cls=Command)
@click.argument("photo", type=FILE)
@model_options
@stride_option
@scale_option
@border_option
@under(
    "Windows",
    click.option(
        "--windows",
        type=click.IntRange(min=1),
        default=128,
        show_default=True,
        metavar="N",
        help="Maximum number of windows to crop.",
    ),
)
@under(
    "Output",
    click.option(
        "-c",
        "--class",
        "wanted",
        metavar="CLASS",
        help="Class to draw; default: the top class of the photo.",
    ),
)
@output_option
@json_option
def verify(photo: Path, **options: Any) -> None:
    """Compare sliding with cropping on PHOTO.

    Prints how much their scores differ and how much faster sliding is, and draws both. Exits
    with 1 if the converted head is not exact.
    """
    from ..evaluation.verify import verify as verify_photo
    from ..evaluation.verify_report import describe_report, draw_report
    from ..rendering.overlay import write_image

    with progress_line(f"loading {options['model']}") as line:
        scorer = recipe_of(options, "slide").prepare()
        line.notes(scorer.classifier.notes)
        line.stage(f"sliding and cropping over {photo.name}")
        report = verify_photo(
            photo,
            scorer,
            windows=options["windows"],
            stride=options["stride"],
            scale=options["scale"],
            border=options["border"],
        )
        picture = draw_report(photo, report, options["wanted"])
        line.notes(report.grid.origin.notes[len(scorer.classifier.notes) :])
        path = write_image(options["output"] / f"{photo.stem}.verify.png", picture)
    if options["as_json"]:
        click.echo(json.dumps({**describe_report(report), "picture": str(path)}, indent=2))
    else:
        _print(photo, report, path)
    sys.exit(0 if report.passed else 1)


def _print(photo: Path, report: VerifyReport, picture: Path) -> None:
    """Print the check of the head, sliding against cropping, the times and the conclusion."""
    console, grid, timing = make_console(), report.grid, report.timing
    print_scored(console, str(photo), grid)
    console.print(f"outputs: {described(grid.kind)}")
    compared = report.everywhere.windows
    console.print(f"{compared} of {grid.scored.size} windows compared")
    verdict = "exact" if report.head.holds else "[red]NOT EXACT[/red]"
    console.print(
        f"converted head against the original head on {report.head.slices} slices: "
        f"{report.head.relative:.1e} of the largest score, {verdict}"
    )
    console.print("sliding against cropping, in units of the scores:")
    console.print(_agreement_table(report))
    how = f" (extrapolated from {timing.crop_windows} windows)" if timing.extrapolated else ""
    console.print(
        f"sliding {timing.slide_s:.3g} s, cropping {timing.crop_s:.3g} s{how}: "
        f"{timing.ratio:.1f} times as long"
    )
    console.print(escape(report.conclusion))
    console.print(f"wrote {escape(str(picture))}", soft_wrap=True)


def _agreement_table(report: VerifyReport) -> Table:
    table = Table("windows", box=None, pad_edge=False, header_style="bold")
    for heading in ("number", "largest", "mean", "relative", "correlation", "same class"):
        table.add_column(heading, justify="right")
    groups = (("all", report.everywhere), ("inner", report.inner), ("at the edge", report.edge))
    for name, agreement in groups:
        if agreement is not None:
            table.add_row(name, *_agreement_cells(agreement))
    return table


def _agreement_cells(agreement: Agreement) -> tuple[str, ...]:
    return (
        str(agreement.windows),
        f"{agreement.largest:.2e}",
        f"{agreement.mean:.2e}",
        f"{agreement.relative:.1e}",
        f"{agreement.correlation:.4f}",
        f"{agreement.top1:.1%}",
    )
