"""The figures of an evaluation as text, in percent: for the command line, and for a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..photo.listed import cut_note
from ..text_table import TextTable
from .metrics import HEATMAP, IOUS, Cases, Evaluation
from .unnamed import Share, UnnamedFigures


def named_lines(evaluation: Evaluation, notes: Sequence[str] = ()) -> Iterator[str]:
    """What was evaluated where classes were named, what was left out, and notes on reading."""
    left = evaluation.left_out
    yield (
        f"{evaluation.pairs} (photo, class) pairs on {evaluation.photos} photos; all figures in %"
    )
    if left.labels:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(left.labels.items()))
        yield f"left out, no corresponding class: {listed}"
    for count, what in ((left.crowds, "crowds"), (left.empty, "boxes without an area")):
        if count:
            yield f"left out: {count} {what}"
    if left.cut:
        yield f"note: {cut_note(left.cut)}"
    yield from (f"note: {note}" for note in notes)
    for photo in left.broken:
        yield f"left out: {photo}"


def methods_table(evaluation: Evaluation) -> TextTable:
    """The figures of all methods over all pairs."""
    methods = {name: method.total for name, method in evaluation.methods.items()}
    return _figures_table("class named", methods)


def labels_table(evaluation: Evaluation) -> TextTable:
    """The figures of this package's heatmaps for each label."""
    return _figures_table("label", evaluation.methods[HEATMAP].labels)


def unnamed_table(figures: UnnamedFigures, conf: float | None = None) -> TextTable:
    """The figures of detections without a class being named, with their intervals.

    ``conf`` is the confidence threshold, to be named.
    """
    least, rows = "the confidence threshold" if conf is None else f"confidence {conf:g}", []
    for name, share in figures.average_precision.items():
        at = "pointing" if name == "pointing" else f"at IoU {name}"
        rows.append((f"average precision, {at}", *_interval(share)))
    rows.append((f"precision at {least}, IoU 0.3", *_interval(figures.precision)))
    rows.append((f"recall at {least}, IoU 0.3", *_interval(figures.recall)))
    for name, share in figures.recall_by_size.items():
        rows.append((f"  of {name} objects", *_interval(share)))
    return TextTable(("", "%", "95 % interval"), tuple(rows), numbers=(1,))


def counts_line(figures: UnnamedFigures) -> str:
    """The numbers behind precision."""
    counts = figures.counts
    return (
        f"{counts.annotated} detections of annotated classes, {counts.hits} hits; "
        f"{counts.others} of classes that nobody annotated"
    )


def _interval(share: Share) -> tuple[str, str]:
    """A share and its interval, in percent."""
    value, low, high = map(percent, (share.value, share.low, share.high))
    return value, f"{low} to {high}" if low else ""


def percent(share: float | None) -> str:
    """A share in percent, as all tables have it; "" where there is none.

    >>> percent(0.7231), percent(None)
    ('72.3', '')
    """
    return "" if share is None else f"{100 * share:.1f}"


def _figures_table(heading: str, rows: Mapping[str, Cases]) -> TextTable:
    """Pointing accuracy of all, small and hard pairs; boxes and best regions at each IoU."""
    points = [f"points {case}" for case in ("all", "small", "hard")]
    shares = [f"{kind} {iou:g}" for kind in ("box", "region") for iou in IOUS]
    headings = (heading, "pairs", *points, *shares)
    cells = tuple((name, *_cells(cases)) for name, cases in rows.items())
    return TextTable(headings, cells, numbers=range(1, len(headings)))


def _cells(cases: Cases) -> Iterator[str]:
    boxes = cases.all.boxes
    shares = [cases.all.pointing, cases.small.pointing, cases.hard.pointing]
    shares += [figures.detected for figures in boxes] + [figures.region for figures in boxes]
    yield str(cases.all.pairs)
    yield from map(percent, shares)
