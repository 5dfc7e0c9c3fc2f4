"""Run the photos of a batch, several at a time and independently of each other's failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contents import digest_of
from ..errors import HeatmapError, ResultError, Use
from ..localization.detection import Detection
from ..localization.formats.coco import CocoImage
from ..memory import kept_memory
from ..progress import Reporter
from ..room import room_to_grow
from ..threads import use_threads
from .manifest import FileStamp, Record
from .photo_run import PhotoRun
from .request import Request
from .result import Result
from .save import SavedRun
from .settings import Settings
from .sources import BatchFile

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


@dataclass(frozen=True)
class PhotoTask:
    """A photo to run.

    Attributes:
        item: the photo.
        folder: that of its results.
        why: why it is run.
        earlier: its record of an earlier time.
        image_id: its id in COCO files where no dataset gives one.
        image: what it is in COCO files, or why that cannot be told; None where there are none.
    """

    item: BatchFile
    folder: Path
    why: str
    earlier: Record | None = None
    image_id: int | None = None
    image: CocoImage | ResultError | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What is known of earlier results, as attributes of :class:`earlier.Claim`."""
        if self.earlier is None:
            return {}
        # Where the photo was moved, it has been checked that this is another place of it.
        return {"paths": (self.earlier.path,), "noted": self.earlier.files}

    @property
    def files(self) -> Mapping[str, str]:
        """The earlier results."""
        return {} if self.earlier is None else self.earlier.files


@dataclass
class Underway:
    """A photo in progress; ``error`` says why it failed."""

    task: PhotoTask
    stamp: FileStamp | None = None
    run: PhotoRun | None = None
    done: Result | None = None
    error: HeatmapError | None = None
    seconds: float = 0.0
    ending: ExitStack = field(default_factory=ExitStack)

    def take(self, step: Callable[[Underway], None]) -> Underway:
        """Run a step unless an earlier one failed; any exception of it is kept as ``error``."""
        if self.error is not None:
            return self
        started = time.perf_counter()
        try:
            step(self)
        except HeatmapError as error:
            self.error = error
        # The other photos go on, and the error names this one.
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            self.error = HeatmapError(f"unexpected {type(error).__name__}: {said}")
        self.seconds += time.perf_counter() - started
        return self


@dataclass(frozen=True)
class _Stoppable(Reporter):
    """Ends a run at the next band once ``stop`` is set."""

    stop: threading.Event

    def advance(self, done: int, total: int) -> None:
        if self.stop.is_set():
            raise HeatmapError("stopped")


class Worker:
    """Runs photos with one scorer, each in three steps: read, score, finish."""

    def __init__(self, scorer: Scorer, request: Request, settings: Settings) -> None:
        self.scorer = replace(scorer.on(settings.resources.backend), steady=True)
        limits = replace(request.limits, memory=settings.resources.memory)
        self.request = replace(request, limits=limits)
        self.digest = settings.digest
        self._stop = threading.Event()
        use_threads(settings.resources.threads)

    def do(self, task: PhotoTask) -> Record:
        """Run a photo through all steps."""
        underway = self.score(self.read(task))
        if self._stop.is_set():
            # Stopped, not failed: earlier results stay.
            underway.ending.close()
            raise CancelledError
        return self.finish(underway)

    def at_once(self, tasks: Sequence[PhotoTask], count: int) -> Iterator[Record]:
        """Run ``count`` photos at a time, each in a thread; yields a record as each is finished.

        Several photos keep the processors busier than the layers of a single one do, and one
        is read or written while another is scored.
        """
        waiting = iter(tasks)
        underway: set[Future[Record]] = set()
        with kept_memory(), ThreadPoolExecutor(count, "heatmap-photo") as pool:
            try:
                while True:
                    # Start the next photo at once, before the finished records are handled.
                    more = islice(waiting, count - len(underway))
                    underway |= {pool.submit(self.do, task) for task in more}
                    if not underway:
                        return
                    done, underway = wait(underway, return_when=FIRST_COMPLETED)
                    yield from (record.result() for record in done)
            finally:
                # If not all are done, photos in progress end at their next band.
                self._stop.set()

    def read(self, task: PhotoTask) -> Underway:
        """Open a photo, and check that the request can be met for it."""
        return Underway(task).take(self._read)

    def _read(self, underway: Underway) -> None:
        path = underway.task.item.path
        underway.stamp = stamp_of(path)
        image = underway.task.image
        if isinstance(image, ResultError):
            raise image
        underway.run = PhotoRun(path, self.scorer, self.request, image)
        underway.run.claim(underway.task.folder, **underway.task.known)

    def score(self, underway: Underway) -> Underway:
        """Score every window."""
        return underway.take(self._score)

    def _score(self, underway: Underway) -> None:
        run, folder = underway.run, underway.task.folder
        assert run is not None
        # Temporary files go to the photo's own folder, where the next batch finds and removes
        # what a killed process leaves.
        if run.needed:
            folder.mkdir(parents=True, exist_ok=True)
        home = underway.ending.enter_context(room_to_grow(run.needed, folder))
        run.score(home, _Stoppable(self._stop))

    def finish(self, underway: Underway) -> Record:
        """Write the results, and give the record; those of a photo that failed stay."""
        underway.take(self._finish)
        underway.ending.close()
        if underway.done is not None and underway.done.saved is not None:
            return self._record(underway, _digests(underway.done.saved))
        with suppress(OSError):
            # Only if it is empty.
            underway.task.folder.rmdir()
        return self._record(underway, underway.task.files)

    def _finish(self, underway: Underway) -> None:
        assert underway.run is not None
        underway.done = underway.run.finish()

    def _record(self, underway: Underway, files: Mapping[str, str]) -> Record:
        item, done, error = underway.task.item, underway.done, underway.error
        return Record(
            name=item.name,
            path=str(item.path),
            state="failed" if done is None else "done",
            settings=self.digest,
            message="" if error is None else error.message,
            ways=() if error is None else tuple(map(described_way, error.ways)),
            stamp=underway.stamp,
            photo_hw=None if underway.run is None else underway.run.photo.hw,
            notes=() if done is None else (*done.photo.notes, *done.own_notes),
            detections=() if done is None else tuple(map(_described, done.detections)),
            guesses=() if done is None else tuple(map(_described, done.findings.guesses)),
            not_found=() if done is None else _not_found(done),
            files=files,
            seconds=round(underway.seconds, 3),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            image_id=underway.task.image_id,
        )


def lost(task: PhotoTask, settings: str, message: str) -> Record:
    """The record of a photo whose worker was lost."""
    return Record(
        task.item.name,
        str(task.item.path),
        "failed",
        settings,
        message,
        stamp=stamp_of(task.item.path),
        files=task.files,
        image_id=task.image_id,
    )


def stamp_of(path: Path) -> FileStamp | None:
    """Identify the content of a file; None if it is not a readable regular file."""
    try:
        status = path.stat()
    # ValueError: a name with a null character.
    except (OSError, ValueError):
        return None
    digest = digest_of(path)
    return FileStamp(status.st_size, status.st_mtime_ns, digest) if digest else None


def _digests(saved: SavedRun) -> dict[str, str]:
    """SHA-256 of the files of a run by name; "" of folders, whose files the description lists."""
    return {path.name: digest_of(path) for path in sorted(saved.written)}


def _described(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.name,
        "confidence": round(detection.confidence, 6),
        "box_xyxy": [round(side, 2) for side in detection.xyxy],
    }


def _not_found(done: Result) -> tuple[dict[str, Any], ...]:
    threshold = done.request.display.conf
    return tuple(
        {"class": each.group.name, "confidence": each.confidence, "threshold": threshold}
        for each in done.findings.not_found
    )


def described_way(way: Use) -> dict[str, Any]:
    """A remedy after a round trip through JSON."""
    described: dict[str, Any] = json.loads(json.dumps(asdict(way), default=str))
    return described
