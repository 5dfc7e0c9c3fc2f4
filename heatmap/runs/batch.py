"""Batches: find the photos that need work, run them with a runner, and record the results."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..names import SHEET, SUMMARY
from ..ownership import Ownership
from ..progress import Progress, Reporter
from ..room import named_error
from ..temporary import recover
from ..threads import thread_count, threads_restored
from .annotation_folders import Annotations, annotations_of
from .batch_plan import BatchPlan, file_sizes, plan_work, settled_files
from .batch_reporter import BatchReporter, batch_reporting
from .batched import Batch
from .coco_joined import Pieces, joined_pieces, write_joined
from .manifest import Manifest, Record, read_manifest, writing_manifest
from .overview import write_overview
from .request import Request, display_of_stored
from .settings import ScorerRecipe, Settings, settle
from .sources import BatchFiles, gather
from .worker import PhotoTask, Worker

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer

# From this many photos on, what preparing a network for ONNX Runtime takes is won back.
MANY = 20
# A photo size for planning where the size itself does not matter.
ANY_HW = (2**14, 2**14)


@dataclass(frozen=True)
class BatchSetup:
    """What a runner needs, and the notes on the network that hold for all photos.

    All paths are absolute, so that workers may run in any folder.
    """

    recipe: ScorerRecipe
    scorer: Scorer
    request: Request
    settings: Settings
    output: Path
    notes: tuple[str, ...] = ()
    # The scorer before it was pinned to one backend.
    asked: Scorer | None = None


class BatchRunner(Protocol):
    """Runs the photos of a batch, in this process or elsewhere, with equal results."""

    @property
    def workers(self) -> int:
        """How many photos it runs at a time; they share the memory."""
        ...

    def run(self, setup: BatchSetup, tasks: Sequence[PhotoTask]) -> Iterator[Record]:
        """Run the photos; yields a record as each is finished, in any order."""
        ...


@dataclass(frozen=True)
class LocalRunner:
    """Runs photos in threads of this process: as many at a time as there are processors for.

    One more is read or written meanwhile, so that no processor waits.
    """

    @property
    def workers(self) -> int:
        return _processors() + 1

    def run(self, setup: BatchSetup, tasks: Sequence[PhotoTask]) -> Iterator[Record]:
        count = _processors() // setup.settings.resources.threads
        with threads_restored():
            worker = Worker(setup.scorer, setup.request, setup.settings)
            yield from worker.at_once(tasks, max(1, count) + 1)


@cache
def _processors() -> int:
    """The number of threads that compute one photo by default."""
    return thread_count()


@dataclass(frozen=True)
class BatchSources:
    """Where the photos come from.

    Attributes:
        places: folders, globs, lists of paths, or photos; see :func:`sources.gather`.
        retry_failed: run failed photos again even if nothing has changed.
        watch: seconds between searches for new photos, without end; None searches once.
    """

    places: Sequence[str | Path]
    retry_failed: bool = False
    watch: float | None = None


def plan_batch(
    sources: BatchSources,
    output: Path,
    recipe: ScorerRecipe,
    request: Request,
    *,
    threads: int | None = None,
    runner: BatchRunner = LocalRunner(),
) -> Batch:
    """What :func:`run_batch` would do now; nothing is written.

    Raises:
        HeatmapError: as :func:`run_batch`.
    """
    gathered, manifest = gather(sources.places, output), read_manifest(output)
    share = _share(runner, gathered)
    setup = _setup(recipe, request, threads, manifest, share)
    _check_own(manifest, _owner(manifest, setup), *_joined(manifest, setup))
    retry_failed = sources.retry_failed or request.overwrite
    work = _plan(gathered, manifest, setup, retry_failed=retry_failed)
    return Batch(work, _records(gathered, manifest.records), output)


def run_batch(
    sources: BatchSources,
    output: Path,
    recipe: ScorerRecipe,
    request: Request,
    *,
    threads: int | None = None,
    runner: BatchRunner = LocalRunner(),
    progress: Progress = False,
) -> Batch:
    """Run every photo that is new or changed, or whose settings have changed.

    A photo that fails is recorded, and the others continue. A batch that was killed at any
    moment and is called again ends with the same files as one that was not interrupted.

    Args:
        sources: where the photos are.
        output: folder for ``manifest.jsonl``, ``summary.csv``, ``index.html`` and, below
            ``photos``, the results of each photo; with the format "coco" also for ``coco.json``
            and ``coco.dataset.json``, which hold those of all photos.
        recipe: how to prepare the scorer.
        request: how to process each photo; its ``overwrite`` also is for the batch's own files.
        threads: threads per photo; None is 1 if several photos run at a time, otherwise
            torch's default.
        runner: runs the photos.
        progress: as in :func:`heatmap.score`; counts photos. A :class:`BatchReporter` gets each.

    Raises:
        HeatmapError: a source, the model or a requested class does not exist, or the output
            folder cannot be written or holds another batch's results.
    """
    gathered = gather(sources.places, output, may_be_empty=sources.watch is not None)
    writing = writing_manifest(output, overwrite=request.overwrite)
    with writing as manifest, batch_reporting(progress) as reporter:
        with named_error(output):
            recover(output)
        _check_own(manifest, manifest.owner(request.files, overwrite=request.overwrite))
        many = reporter if _are_many(sources, gathered) else None
        setup = _setup(recipe, request, threads, manifest, _share(runner, gathered), many)
        joined = _joined(manifest, setup)
        _check_own(manifest, _owner(manifest, setup), *joined)
        reporter.notes(setup.notes)
        # What was refused before is done if it is insisted on.
        retry_failed, first = sources.retry_failed or request.overwrite, True
        refused: dict[str, Record] = {}
        for settled in _looks(sources, gathered, output):
            work = _plan(settled, manifest, setup, retry_failed=retry_failed)
            refused = _told(work.refused, refused, reporter)
            _do(work, manifest, setup, runner, reporter)
            write_overview(output, manifest, _owner(manifest, setup), reporter.worded)
            # What was joined before is read again only where something is new.
            if first or work.todo:
                _join(manifest, setup, reporter)
            # With watch, a photo that fails again is not retried at every search.
            retry_failed = first = False
        records = _records(gathered, {**manifest.records, **refused})
        return Batch(work, records, output, setup.asked)


def _records(gathered: BatchFiles, known: Mapping[str, Record]) -> tuple[Record, ...]:
    """What is known of the files of a batch, sorted by name."""
    folders = (item for item, _ in gathered.unread)
    names = {item.name for item in (*gathered.photos, *gathered.others, *folders)}
    return tuple(known[name] for name in sorted(names & known.keys()))


def _told(
    records: Sequence[Record], before: Mapping[str, Record], reporter: BatchReporter
) -> dict[str, Record]:
    """Tell of photos that are refused, but not again those told of before; gives all, by name."""
    for record in records:
        if before.get(record.name) != record:
            reporter.photo(record)
    return {record.name: record for record in records}


def _owner(manifest: Manifest, setup: BatchSetup) -> Ownership:
    read = (*setup.request.files, *setup.scorer.files)
    return manifest.owner(read, overwrite=setup.request.overwrite)


def _check_own(manifest: Manifest, owner: Ownership, *joined: str) -> None:
    """Refuse an output folder that holds a stranger's file of the name of one of the batch's own.

    Raises:
        ResultError: it does, and that is not to be overwritten.
    """
    owner.check(manifest.path.with_name(name) for name in (SUMMARY, SHEET, *joined))


def _looks(sources: BatchSources, gathered: BatchFiles, output: Path) -> Iterator[BatchFiles]:
    """The files found once; with ``watch``, again and again those that are completely written."""
    if sources.watch is None:
        yield gathered
        return
    while True:
        seen = file_sizes(gathered)
        time.sleep(sources.watch)
        gathered = gather(sources.places, output, may_be_empty=True)
        yield settled_files(gathered, seen)


def _are_many(sources: BatchSources, gathered: BatchFiles) -> bool:
    """Whether preparing the network first pays off; of those still to come nobody knows."""
    return sources.watch is not None or len(gathered.photos) >= MANY


def _share(runner: BatchRunner, gathered: BatchFiles) -> int:
    """How many photos share the memory; a single photo gets all of it."""
    return 1 if len(gathered.photos) == 1 else runner.workers


def _setup(
    recipe: ScorerRecipe,
    request: Request,
    threads: int | None,
    manifest: Manifest,
    share: int,
    many: Reporter | None = None,
) -> BatchSetup:
    """The scorer and settings, after all checks that need no photo.

    Of ``many`` photos the network is prepared for ONNX Runtime before the first, which is told.
    """
    recipe, request = recipe.absolute, request.of_batch
    scorer = recipe.prepare()
    display_of_stored(request, scorer.facts.classes)
    geometry = scorer.plan(ANY_HW, request.placement.at(1.0))
    stride = geometry.stride_px
    earlier = manifest.settings
    if many is not None and scorer.prepared_at(stride) is None and scorer.unprepared:
        many.note(
            f"preparing {scorer.facts.name} once, before the first photo, so that later runs start "
            "faster"
        )
    keep = many is not None
    settings = settle(scorer, request, threads, earlier, stride_px=stride, share=share, keep=keep)
    asked, scorer = scorer, scorer.on(settings.resources.backend)
    # Converted here, once, before threads ask for it.
    scorer.ready_at(stride)
    output = Path(os.path.abspath(manifest.path.parent))
    notes = (*scorer.notes_at(stride), *scorer.cache_notes)
    if recipe.is_prepared:
        # The others were told when it was prepared.
        notes = scorer.notes_at(stride)[len(scorer.facts.notes) :]
    return BatchSetup(recipe, scorer, request, settings, output, notes, asked)


def _plan(
    gathered: BatchFiles, manifest: Manifest, setup: BatchSetup, *, retry_failed: bool
) -> BatchPlan:
    return plan_work(
        gathered,
        manifest,
        setup.settings,
        setup.output,
        retry_failed=retry_failed,
        overwrite=setup.request.overwrite,
        coco=setup.request.extras.coco,
    )


def _join(manifest: Manifest, setup: BatchSetup, reporter: Reporter) -> None:
    """Write what is made of the files of all photos: COCO files and annotations."""
    write_joined(manifest, _joined(manifest, setup), _owner(manifest, setup))
    annotations = _annotations(manifest, setup)
    reporter.notes(annotations.write(manifest, _owner(manifest, setup)))


def _joined(manifest: Manifest, setup: BatchSetup) -> dict[str, Pieces]:
    """The content of the joined COCO files, by name: of photos that were done with these settings.

    Results of other settings may have other ids.
    """
    extras = setup.request.extras
    if "coco" not in extras.formats:
        return {}
    records = manifest.done(setup.settings.digest)
    return joined_pieces(setup.output, records, dataset=extras.coco is None)


def _annotations(manifest: Manifest, setup: BatchSetup) -> Annotations:
    """The annotations of photos that were done with these settings."""
    request, classes = setup.request, setup.scorer.facts.classes
    store = request.limits.store_classes
    stored = classes.only(classes.indices(store)) if store else classes
    names = display_of_stored(request, classes).numbered_names(stored)
    records = manifest.done(setup.settings.digest)
    return annotations_of(setup.output, records, request.extras.formats, names)


def _do(
    work: BatchPlan,
    manifest: Manifest,
    setup: BatchSetup,
    runner: BatchRunner,
    reporter: BatchReporter,
) -> None:
    for record in (*work.skipped, *work.unread):
        manifest.append(record)
        reporter.photo(record)
    if not work.todo:
        return
    manifest.use(setup.settings.noted)
    reporter.begin(work)
    for record in runner.run(setup, work.todo):
        manifest.append(record)
        reporter.photo(record)
