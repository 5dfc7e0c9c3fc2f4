"""The lines of `heatmap batch` about single photos, and about all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from ..runs.batch_plan import BatchPlan
from ..runs.batched import Batch
from ..runs.manifest import PhotoState, Record, counts, error_of
from ..runs.nowhere import nowhere
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


def skipped_lines(skipped: Iterable[Record], most: int | None) -> Iterator[str]:
    """The files that were skipped, a line for each reason; ``most`` of them are named, or all."""
    reasons: dict[str, list[str]] = {}
    for record in skipped:
        # Without which ending it has.
        reasons.setdefault(record.message.partition(":")[0], []).append(record.name)
    for reason, names in reasons.items():
        yield f"skipped {len(names)} ({reason}): {_listed(names, most)}"


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
    found = Counter(str(each["class"]) for record in done.records for each in record.detections)
    detections = found.total()
    outcome = _outcome(states) if done.work.todo else _nothing_to_do(states)
    print_text(console, f"{outcome}; {detections} detection{'' if detections == 1 else 's'}")
    if found:
        most = ", ".join(f"{count} {name}" for name, count in found.most_common(MOST_NAMED))
        left = len(found) - MOST_NAMED
        print_text(console, f"found: {most}{f' and {left} more' if left > 0 else ''}")
    for missing in nowhere(done.records):
        print_text(console, missing.answer())
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


def _outcome(states: Mapping[PhotoState, int]) -> str:
    return f"{_photos(states['done'])} done, {states['failed']} failed, {states['skipped']} skipped"


def _nothing_to_do(states: Mapping[PhotoState, int]) -> str:
    """As :func:`_outcome`, of a batch that had been done before."""
    if states["failed"] or not states["done"]:
        return f"nothing to do: {_outcome(states)}"
    if states["done"] == 1:
        return "nothing to do: the only photo is done"
    return f"nothing to do: all {states['done']} photos are done"


def _photo_notes(records: Iterable[Record]) -> Iterator[str]:
    """What was noted while photos were read, each note once with the photos that it is of."""
    noted: dict[str, list[str]] = {}
    for record in records:
        for note in record.notes:
            noted.setdefault(note, []).append(record.name)
    for note, names in noted.items():
        yield f"{note}: {_listed(names, MOST_NAMED)}"


def _listed(names: Sequence[str], most: int | None) -> str:
    more = 0 if most is None else len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
