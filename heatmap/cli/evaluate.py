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
from .options import FILE, json_option, model_options, several_scales_options, under
from .request import recipe_of

if TYPE_CHECKING:
    from ..evaluation.metrics import Cases, Evaluation


@click.command(cls=Command)
@click.argument("photos", type=FILE)
@click.argument("boxes", type=FILE)
@model_options
@several_scales_options
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
    """Measure how well heatmaps point at objects.

    PHOTOS is a folder, BOXES a file of ground-truth boxes: COCO instances, or a plain JSON or
    CSV list. docs/evaluation.md explains the measures.
    """
    from ..evaluation.evaluate import evaluate as evaluate_photos

    with progress_line(f"loading {options['model']}") as line:
        scorer = recipe_of(options, "auto").prepare()
        notes = scorer.notes_at(scorer.native_stride_px)
        line.notes(notes)
        line.stage(f"evaluating {photos}")
        evaluation = evaluate_photos(
            photos,
            boxes,
            scorer,
            scales=options["scales"],
            fuse=options["fuse"],
            mapping=options["mapping"],
            cam=options["cam"],
            progress=line.advance,
        )
    if options["as_json"]:
        click.echo(json.dumps({**asdict(evaluation), "notes": notes}, indent=2))
    else:
        _print(evaluation)


def _print(evaluation: Evaluation) -> None:
    """Print a table of all methods, then one of this package's figures for each label."""
    console = make_console()
    left = evaluation.left_out
    console.print(f"{evaluation.pairs} (photo, class) pairs on {evaluation.photos} photos")
    if left.labels:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(left.labels.items()))
        console.print(f"left out, no corresponding class: {escape(listed)}")
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
