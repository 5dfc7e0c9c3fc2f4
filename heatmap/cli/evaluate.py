"""`heatmap evaluate`: heatmaps against ground-truth boxes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..names import EVALUATION_PAGE
from ..progress import print_text
from .check import check_names
from .command import Command
from .console import drawn_table, make_console, print_opening, print_path, progress_line
from .options import (
    FILE,
    backend_option,
    conf_option,
    confirm_option,
    fuse_option,
    model_options,
    reading_options,
    scales_options,
    statistics_option,
    stride_option,
    under,
)
from .result_options import json_option, overwrite_option

if TYPE_CHECKING:
    from ..evaluation.evaluate_photos import EvaluationReport


# So many labels are printed on a terminal.
_MOST_LABELS = 4

# What `heatmap evaluate --help` lists.
_COMMON = (
    "model weights class_names activation scales resolution conf confirm labels cam output "
    "overwrite as_json"
)


@click.command(cls=Command, common=_COMMON)
@click.argument("photos", type=FILE)
@click.argument("boxes", type=FILE)
@model_options
@reading_options
@scales_options
@stride_option
@statistics_option
@fuse_option
@backend_option
@conf_option
@confirm_option
@under(
    "Evaluation",
    click.option(
        "--labels",
        type=FILE,
        metavar="FILE",
        help="JSON file that maps each label of the boxes to classes of the model.",
    ),
    click.option(
        "--cam/--no-cam",
        default=True,
        show_default=True,
        help="Also measure CAM and Grad-CAM of the same network (needs torchcam).",
    ),
)
@under(
    "Output",
    click.option(
        "-o",
        "--output",
        type=FILE,
        metavar="FOLDER",
        help="Write a page with the best and worst photos, and the JSON, to this folder.",
    ),
)
@overwrite_option
@json_option
def evaluate(photos: Path, boxes: Path, *, as_json: bool, **options: Any) -> None:
    """Measure heatmaps and detections against boxes.

    PHOTOS is a folder, BOXES a file of ground-truth boxes: COCO instances, or a plain JSON or
    CSV list. docs/evaluation.md explains the measures. Photos that cannot be used are left out and
    listed, and the exit code is then 1.
    """
    check_names(options)
    from ..evaluation.evaluate import evaluate as evaluate_photos
    from ..evaluation.write_report import describe_evaluation

    with progress_line(f"loading {options['model']}") as line:
        report = evaluate_photos(photos, boxes, progress=line, **options)
    if as_json:
        click.echo(json.dumps(describe_evaluation(report), indent=2))
    else:
        _print(report, options["conf"])
        console = make_console()
        for path in report.written:
            print_path(console, f"wrote {path}")
        for page in (path for path in report.written if path.name == EVALUATION_PAGE):
            print_opening(console, page)
    sys.exit(1 if report.named.left_out.broken else 0)


def _print(report: EvaluationReport, conf: float) -> None:
    """Print a table of all methods, of this package's figures by label, and of detections."""
    from ..evaluation.tables import (
        counts_line,
        labels_table,
        methods_table,
        named_lines,
        unnamed_table,
    )

    console, named, unnamed = make_console(), report.named, report.unnamed
    for line in named_lines(named, report.notes):
        print_text(console, line, indent=2)
    console.print(drawn_table(methods_table(named), console.width))
    labels = labels_table(named)
    if console.is_terminal and len(labels.rows) > _MOST_LABELS:
        console.print()
        print_text(
            console, f"{len(labels.rows)} labels: -o FOLDER writes a page with their figures"
        )
    else:
        console.print("\nheatmap, by label:")
        console.print(drawn_table(labels, console.width))
    console.print(f"\nno class named, {unnamed.objects} objects:")
    console.print(drawn_table(unnamed_table(unnamed, conf), console.width))
    print_text(console, counts_line(unnamed))
