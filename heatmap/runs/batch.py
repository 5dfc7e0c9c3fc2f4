"""Batches: find the photos that need work, run them with a runner, and record the results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import ResultError
from ..names import PHOTOS
from ..progress import Reporter
from ..room import named_error
from ..temporary import recover
from .manifest import FileStamp, Manifest, Record, read_manifest, writing_manifest
from .overview import check_overview, write_overview
from .request import Request, display_of_stored
from .settings import ScorerRecipe, Settings, settle
from .sources import BatchFile, BatchFiles, gather
from .worker import PhotoTask, Worker, stamp_of

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer

# A photo size for planning where the size itself does not matter.
_ANY_HW = (2**14, 2**14)


@dataclass(frozen=True)
class BatchSetup:
    """What a runner needs, and the notes on the network that hold for all photos."""

    recipe: ScorerRecipe
    scorer: Scorer
    request: Request
    settings: Settings
    notes: tuple[str, ...] = ()


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
        from ..scoring.device import thread_count, use_threads

        before, count = thread_count(), _processors() // setup.settings.resources.threads
        try:
            worker = Worker(setup.scorer, setup.request, setup.settings)
            yield from worker.at_once(tasks, max(1, count) + 1)
        finally:
            use_threads(before)


@cache
def _processors() -> int:
    """The number of threads that torch uses by default."""
    from ..scoring.device import thread_count

    return thread_count()


@dataclass(frozen=True)
class BatchPlan:
    """What a batch has to do: photos to run, photos left unchanged, and other files skipped."""

    todo: tuple[PhotoTask, ...]
    unchanged: int
    skipped: tuple[Record, ...] = ()


class BatchReporter(Reporter):
    """Receives the progress of a batch; this base class ignores it."""

    def begin(self, work: BatchPlan) -> None:
        """The plan, before the first photo; with ``watch`` once for every new set of photos."""

    def photo(self, record: Record) -> None:
        """A photo was done, failed or was skipped, and has been recorded."""


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


@dataclass(frozen=True)
class Batch:
    """The plan of a batch, and the records of all its photos, including earlier ones."""

    work: BatchPlan
    records: tuple[Record, ...]

    @property
    def failed(self) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.state == "failed")


def plan_batch(
    sources: BatchSources,
    output: Path,
    recipe: ScorerRecipe,
    request: Request,
    *,
    threads: int | None = None,
    runner: BatchRunner = LocalRunner(),
) -> BatchPlan:
    """What :func:`batch` would do now; nothing is written.

    Raises:
        HeatmapError: as :func:`batch`.
    """
    gathered, manifest = gather(sources.places, output), read_manifest(output)
    setup = _setup(recipe, request, threads, _share(runner, gathered), manifest)
    retry_failed = sources.retry_failed or request.overwrite
    return _work(gathered, manifest, setup.settings, output, retry_failed=retry_failed)


def batch(
    sources: BatchSources,
    output: Path,
    recipe: ScorerRecipe,
    request: Request,
    *,
    threads: int | None = None,
    runner: BatchRunner = LocalRunner(),
    reporter: BatchReporter = BatchReporter(),
) -> Batch:
    """Run every photo that is new or changed, or whose settings have changed.

    A photo that fails is recorded, and the others continue. A batch that was killed at any
    moment and is called again ends with the same files as one that was not interrupted.

    Args:
        sources: where the photos are.
        output: folder for ``manifest.jsonl``, ``summary.csv``, ``index.html`` and, below
            ``photos``, the results of each photo.
        recipe: how to prepare the scorer.
        request: how to process each photo; its ``overwrite`` also is for the batch's own files.
        threads: threads per photo; None is 1 if several photos run at a time, otherwise
            torch's default.
        runner: runs the photos.
        reporter: receives the progress.

    Raises:
        HeatmapError: a source, the model or a requested class does not exist, or the output
            folder cannot be written or holds another batch's results.
    """
    gathered = gather(sources.places, output, may_be_empty=sources.watch is not None)
    with writing_manifest(output, overwrite=request.overwrite) as manifest:
        with named_error(output):
            recover(output)
        check_overview(output, manifest, overwrite=request.overwrite)
        setup = _setup(recipe, request, threads, _share(runner, gathered), manifest)
        reporter.notes(setup.notes)
        # What was refused before is done if it is insisted on.
        retry_failed = sources.retry_failed or request.overwrite
        for settled in _looks(sources, gathered, output):
            work = _work(settled, manifest, setup.settings, output, retry_failed=retry_failed)
            _do(work, manifest, setup, runner, reporter)
            write_overview(output, manifest, overwrite=request.overwrite)
            # With watch, a photo that fails again is not retried at every search.
            retry_failed = False
        names = {item.name for item in (*gathered.photos, *gathered.others)}
        return Batch(work, tuple(manifest.records[name] for name in sorted(names)))


def _looks(sources: BatchSources, gathered: BatchFiles, output: Path) -> Iterator[BatchFiles]:
    """The files found once; with ``watch``, again and again those that are completely written."""
    if sources.watch is None:
        yield gathered
        return
    while True:
        seen = _sizes(gathered)
        time.sleep(sources.watch)
        gathered = gather(sources.places, output, may_be_empty=True)
        yield _settled(gathered, seen)


def _share(runner: BatchRunner, gathered: BatchFiles) -> int:
    """How many photos share the memory; a single photo gets all of it."""
    return 1 if len(gathered.photos) == 1 else runner.workers


def _setup(
    recipe: ScorerRecipe, request: Request, threads: int | None, share: int, manifest: Manifest
) -> BatchSetup:
    """The scorer and settings, after all checks that need no photo."""
    request = request.of_batch
    scorer = recipe.prepare()
    display_of_stored(request, scorer.classifier.classes)
    geometry = scorer.plan(_ANY_HW, request.placement.at(1.0))
    if scorer.engine == "slide":
        # Converted here, once, before threads ask for them.
        scorer.network_at(geometry.stride_px)
        scorer.positions_at(geometry.stride_px)
    settings = settle(scorer, request, threads, manifest.settings, share=share)
    return BatchSetup(recipe, scorer, request, settings, scorer.notes_at(geometry.stride_px))


def _do(
    work: BatchPlan,
    manifest: Manifest,
    setup: BatchSetup,
    runner: BatchRunner,
    reporter: BatchReporter,
) -> None:
    for record in work.skipped:
        manifest.append(record)
        reporter.photo(record)
    if not work.todo:
        return
    manifest.use(setup.settings.noted)
    reporter.begin(work)
    for record in runner.run(setup, work.todo):
        manifest.append(record)
        reporter.photo(record)


def _work(
    gathered: BatchFiles,
    manifest: Manifest,
    settings: Settings,
    output: Path,
    *,
    retry_failed: bool,
) -> BatchPlan:
    """Compare the files found with the manifest."""
    todo = []
    for item in gathered.photos:
        record, folder = manifest.records.get(item.name), output / PHOTOS / item.name
        why = _why(item, record, folder, settings.digest, retry_failed=retry_failed)
        if why:
            todo.append(PhotoTask(item, folder, why, record))
    skipped = (_skipped(item, settings) for item in gathered.others)
    return BatchPlan(
        tuple(todo),
        len(gathered.photos) - len(todo),
        tuple(record for record in skipped if not _is_skipped(manifest.records.get(record.name))),
    )


def _why(
    item: BatchFile, record: Record | None, folder: Path, settings: str, *, retry_failed: bool
) -> str:
    """Why a photo needs to be run, or "" if it does not."""
    if record is None or record.state == "skipped":
        return "new"
    if record.path != str(item.path) and Path(record.path).exists():
        raise ResultError(
            f"{folder}: holds the results of {record.path}, another photo than {item.path}: "
            "choose another folder"
        )
    if record.settings != settings:
        return "settings changed"
    if _changed(item.path, record.stamp):
        return "photo changed"
    if record.state == "failed":
        return "failed before" if retry_failed else ""
    if not all((folder / name).exists() for name in record.files):
        return "results missing"
    return ""


def _changed(path: Path, stamp: FileStamp | None) -> bool:
    """Whether the content of a file has changed; a new modification time alone does not count."""
    if not path.is_file():
        return stamp is not None
    status = path.stat()
    if stamp is None or status.st_size != stamp.size:
        return True
    if status.st_mtime_ns == stamp.mtime_ns:
        return False
    now = stamp_of(path)
    return now is None or now.sha256 != stamp.sha256


def _skipped(item: BatchFile, settings: Settings) -> Record:
    ending = f"ends in {item.path.suffix}" if item.path.suffix else "has no suffix"
    return Record(
        item.name,
        str(item.path),
        "skipped",
        settings.digest,
        f"not a photo by its name: it {ending}",
    )


def _is_skipped(record: Record | None) -> bool:
    return record is not None and record.state == "skipped"


def _sizes(gathered: BatchFiles) -> dict[Path, tuple[int, int]]:
    """Size and modification time of every file, to see whether it is still being written."""
    sizes = {}
    for item in (*gathered.photos, *gathered.others):
        try:
            now = item.path.stat()
        except OSError:
            continue
        sizes[item.path] = (now.st_size, now.st_mtime_ns)
    return sizes


def _settled(gathered: BatchFiles, seen: dict[Path, tuple[int, int]]) -> BatchFiles:
    """Only the files that have not changed since they were seen before."""
    now = _sizes(gathered)

    def settled(item: BatchFile) -> bool:
        return now.get(item.path) == seen.get(item.path)

    return BatchFiles(
        tuple(filter(settled, gathered.photos)), tuple(filter(settled, gathered.others))
    )
