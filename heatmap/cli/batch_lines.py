"""The lines of `heatmap batch` about single photos, and about all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ..names import (
    ANNOTATION_FOLDERS,
    JOINED_COCO,
    JOINED_DATASET,
    MANIFEST,
    PHOTOS,
    SHEET,
    SUMMARY,
)
from ..progress import print_note, print_text
from ..runs.batch import Batch
from ..runs.batch_plan import BatchPlan
from ..runs.manifest import Record, counts, error_of
from .command import in_options
from .console import make_console, print_opening, print_path

# Photos that a note names, classes that are counted, failures on a screen; the manifest has all.
MOST_NAMED = 5


def print_work(work: BatchPlan) -> None:
    """Print what a batch would do, photo by photo."""
    for task in work.todo:
        click.echo(f"{task.item.name}: {task.why}")
    for record in work.skipped:
        click.echo(f"{record.name}: skip, {record.message}")
    for record in (*work.unread, *work.refused):
        click.echo(f"failed: {in_options(error_of(record))}")
    click.echo(to_do_line(work))


def done_line(record: Record) -> str:
    """What was found on a photo, and how long that took, as one line."""
    names = Counter(str(each["class"]) for each in record.detections)
    found = ", ".join(f"{count} {name}" for name, count in names.items()) or "nothing"
    notes = "".join(f"; {note}" for note in record.notes)
    return f"{record.name}: {found}, {record.seconds:.1f} s{notes}"


def to_do_line(work: BatchPlan) -> str:
    """What there is to do, as one line."""
    reasons = Counter(task.why for task in work.todo)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    todo = f"{_photos(len(work.todo))} to do ({why})" if work.todo else "nothing to do"
    return f"{todo}, {work.unchanged} as they were"


def print_batch(done: Batch, output: Path) -> None:
    """Print the state of a whole batch, where its files are, and what to look at next."""
    console, states = make_console(), counts(done.records)
    if not done.work.todo:
        print_text(console, to_do_line(done.work))
    found = Counter(str(each["class"]) for record in done.records for each in record.detections)
    detections = found.total()
    print_text(
        console,
        f"{_photos(states['done'])} done, {states['failed']} failed, "
        f"{states['skipped']} skipped; {detections} detection{'' if detections == 1 else 's'}",
    )
    if found:
        most = ", ".join(f"{count} {name}" for name, count in found.most_common(MOST_NAMED))
        left = len(found) - MOST_NAMED
        print_text(console, f"found: {most}{f' and {left} more' if left > 0 else ''}")
    for note in _photo_notes(done.records):
        print_note(console, note)
    if states["failed"] > len(done.work.refused) and not done.work.todo:
        print_text(
            console, "the failed photos have not changed since: --retry-failed tries them again"
        )
    possible = (JOINED_COCO, JOINED_DATASET, *ANNOTATION_FOLDERS)
    joined = [name for name in possible if (output / name).exists()]
    listed = ", ".join((SHEET, SUMMARY, *joined, MANIFEST, PHOTOS))
    print_path(console, f"in {output}: {listed}")
    print_opening(console, output / SHEET)


def _photo_notes(records: Iterable[Record]) -> Iterator[str]:
    """What was noted while photos were read, each note once with the photos that it is of."""
    noted: dict[str, list[str]] = {}
    for record in records:
        for note in record.notes:
            noted.setdefault(note, []).append(record.name)
    for note, names in noted.items():
        more = len(names) - MOST_NAMED
        listed = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield f"{note}: {listed}"


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
