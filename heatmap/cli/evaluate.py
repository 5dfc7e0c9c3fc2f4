"""`heatmap evaluate`: heatmaps against ground-truth boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from .command import Command
from .console import make_console, progress_line
from .options import (
    FILE,
    conf_option,
    confirm_option,
    fuse_option,
    model_options,
    scales_options,
    under,
)
from .request import placement_of, recipe_of, view_of
from .result_options import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from ..evaluation.metrics import Cases, Evaluation
    from ..evaluation.unnamed import Share, UnnamedFigures


@click.command(cls=Command)
@click.argument("photos", type=FILE)
@click.argument("boxes", type=FILE)
@model_options
@scales_options
@fuse_option
@conf_option
@confirm_option
@under(
    "Evaluation",
    click.option(
        "--labels",
        "mapping",
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
@json_option
def evaluate(photos: Path, boxes: Path, **options: Any) -> None:
    """Measure heatmaps and detections against boxes.

    PHOTOS is a folder, BOXES a file of ground-truth boxes: COCO instances, or a plain JSON or
    CSV list. docs/evaluation.md explains the measures.
    """
    from ..evaluation.evaluate import evaluate as evaluate_photos

    with progress_line(f"loading {options['model']}") as line:
        scorer = recipe_of(options, "auto").prepare()
        notes = scorer.notes_at(scorer.native_stride_px)
        line.notes(notes)
        line.stage(f"evaluating {photos}")
        report = evaluate_photos(
            photos,
            boxes,
            scorer,
            display=view_of(options),
            placement=placement_of(options),
            mapping=options["mapping"],
            cam=options["cam"],
            progress=line.advance,
        )
    if options["as_json"]:
        click.echo(json.dumps({**asdict(report), "notes": notes}, indent=2))
    else:
        console = make_console()
        _print_named(console, report.named)
        _print_unnamed(console, report.unnamed, options["conf"])


def _print_named(console: Console, evaluation: Evaluation) -> None:
    """Print a table of all methods, then one of this package's figures for each label."""
    from ..evaluation.evaluate import HEATMAP

    left = evaluation.left_out
    console.print(f"{evaluation.pairs} (photo, class) pairs on {evaluation.photos} photos")
    if left.labels:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(left.labels.items()))
        console.print(f"left out, no corresponding class: {escape(listed)}")
    for count, what in ((left.crowds, "crowds"), (left.empty, "boxes without an area")):
        if count:
            console.print(f"left out: {count} {what}")
    methods = {name: method.total for name, method in evaluation.methods.items()}
    console.print(_figures_table("class named", methods))
    console.print("\nheatmap, by label:")
    console.print(_figures_table("label", evaluation.methods[HEATMAP].labels))


def _print_unnamed(console: Console, figures: UnnamedFigures, conf: float) -> None:
    """Print the figures of detections without a class being named, with their intervals."""
    counts = figures.counts
    console.print(f"\nno class named, {figures.objects} objects:")
    table = Table("", box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right")
    table.add_column("95 % interval")
    for name, share in figures.average_precision.items():
        at = "pointing" if name == "pointing" else f"at IoU {name}"
        table.add_row(f"average precision, {at}", *_interval(share, 100))
    table.add_row(f"precision at confidence {conf:g}, IoU 0.3", *_interval(figures.precision))
    table.add_row(f"recall at confidence {conf:g}, IoU 0.3", *_interval(figures.recall))
    for name, share in figures.recall_by_size.items():
        table.add_row(f"  of {name} objects", *_interval(share))
    console.print(table)
    console.print(
        f"{counts.annotated} detections of annotated classes, {counts.hits} hits; "
        f"{counts.others} of classes that nobody annotated"
    )


def _interval(share: Share, of: int = 1) -> tuple[str, str]:
    """A share and its interval, of 1 or of 100."""
    digits = 3 if of == 1 else 1
    numbers = [
        "" if number is None else f"{of * number:.{digits}f}"
        for number in (share.value, share.low, share.high)
    ]
    return numbers[0], f"{numbers[1]} to {numbers[2]}" if numbers[1] else ""


def _figures_table(heading: str, rows: Mapping[str, Cases]) -> Table:
    """Pointing accuracy of all, small and hard pairs; boxes and best regions at each IoU."""
    from ..evaluation.metrics import IOUS

    table = Table(heading, box=None, pad_edge=False, header_style="bold")
    table.add_column("pairs", justify="right")
    for case in ("all", "small", "hard"):
        table.add_column(f"points: {case}", justify="right")
    for kind in ("box", "region"):
        for iou in IOUS:
            table.add_column(f"{kind} {iou:g}", justify="right")
    for name, cases in rows.items():
        boxes = cases.all.boxes
        shares = [cases.all.pointing, cases.small.pointing, cases.hard.pointing]
        shares += [figures.detected for figures in boxes] + [figures.region for figures in boxes]
        cells = ("" if share is None else f"{share:.3f}" for share in shares)
        table.add_row(escape(name), str(cases.all.pairs), *cells)
    return table
