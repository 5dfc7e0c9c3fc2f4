"""The photos of a batch, each done whatever goes wrong with another; several at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HeatmapError, Use
from ..files import TEMPORARY, room_to_grow
from ..localization.localize import Detection
from ..memory import kept_memory
from ..progress import Reporter
from .manifest import FileStamp, Record
from .request import Request
from .run import PhotoRun, Run
from .settings import Settings
from .sources import BatchFile

if TYPE_CHECKING:
    from ..scoring.scorer import Scorer


@dataclass(frozen=True)
class PhotoTask:
    """A photo to do: ``folder`` is its results' own; ``stale`` are files of earlier ones there."""

    item: BatchFile
    folder: Path
    why: str
    stale: tuple[str, ...] = ()


@dataclass
class Underway:
    """A photo between reading and recording; ``error`` is why it failed."""

    task: PhotoTask
    stamp: FileStamp | None = None
    run: PhotoRun | None = None
    done: Run | None = None
    error: HeatmapError | None = None
    seconds: float = 0.0
    ending: ExitStack = field(default_factory=ExitStack)

    def take(self, step: Callable[[Underway], None]) -> Underway:
        """Take a step, unless one before it failed; it may fail in any way."""
        if self.error is not None:
            return self
        started = time.perf_counter()
        try:
            step(self)
        except HeatmapError as error:
            self.error = error
        # Another photo may still go well, and this one is named.
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            self.error = HeatmapError(f"unexpected {type(error).__name__}: {said}")
        self.seconds += time.perf_counter() - started
        return self


@dataclass(frozen=True)
class _Stoppable(Reporter):
    """Ends a run between two bands once it is to stop."""

    stop: threading.Event

    def advance(self, done: int, total: int) -> None:
        if self.stop.is_set():
            raise HeatmapError("stopped")


class Worker:
    """Does photos with one scorer, each in three steps."""

    def __init__(self, scorer: Scorer, request: Request, settings: Settings) -> None:
        from ..scoring.device import use_threads

        self.scorer = replace(scorer, steady=True)
        limits = replace(request.limits, memory=settings.resources.memory)
        self.request = replace(request, limits=limits)
        self.digest = settings.digest
        self._stop = threading.Event()
        use_threads(settings.resources.threads)

    def do(self, task: PhotoTask) -> Record:
        """All of it, one step after the other."""
        underway = self.score(self.read(task))
        if self._stop.is_set():
            # Earlier results stay: this photo has not failed.
            underway.ending.close()
            raise CancelledError
        return self.finish(underway)

    def at_once(self, tasks: Sequence[PhotoTask], count: int) -> Iterator[Record]:
        """So many photos at a time, each in a thread; a record as each is done.

        Photos side by side keep more processors busy than the layers of one photo do, and one
        is read or written while another is scored.
        """
        waiting = iter(tasks)
        underway: set[Future[Record]] = set()
        with kept_memory(), ThreadPoolExecutor(count, "heatmap-photo") as pool:
            try:
                while True:
                    # The next one at once, not when a record has been taken care of.
                    more = islice(waiting, count - len(underway))
                    underway |= {pool.submit(self.do, task) for task in more}
                    if not underway:
                        return
                    done, underway = wait(underway, return_when=FIRST_COMPLETED)
                    yield from (record.result() for record in done)
            finally:
                # Where not all are done: what is under way ends at its next band.
                self._stop.set()

    def read(self, task: PhotoTask) -> Underway:
        """Open a photo, and refuse what cannot be had of it."""
        return Underway(task).take(self._read)

    def _read(self, underway: Underway) -> None:
        path = underway.task.item.path
        underway.stamp = stamp_of(path)
        underway.run = PhotoRun(path, self.scorer, self.request)

    def score(self, underway: Underway) -> Underway:
        """Score every window."""
        return underway.take(self._score)

    def _score(self, underway: Underway) -> None:
        run, folder = underway.run, underway.task.folder
        assert run is not None
        # What grows does so in the photo's own folder, where a process that was killed
        # leaves nothing that the next one does not find.
        if run.needed:
            folder.mkdir(parents=True, exist_ok=True)
        home = underway.ending.enter_context(room_to_grow(run.needed, folder))
        run.score(home, _Stoppable(self._stop))

    def finish(self, underway: Underway) -> Record:
        """Write the results, and what there is to record; an earlier photo's are removed."""
        task = underway.task
        underway.take(self._finish)
        underway.ending.close()
        written = {path.name for path in underway.done.saved.written} if underway.done else set()
        _remove(task.folder, set(task.stale) - written)
        return self._record(underway, tuple(sorted(written)))

    def _finish(self, underway: Underway) -> None:
        assert underway.run is not None
        underway.done = underway.run.finish(underway.task.folder)

    def _record(self, underway: Underway, files: tuple[str, ...]) -> Record:
        item, done, error = underway.task.item, underway.done, underway.error
        return Record(
            name=item.name,
            path=str(item.path),
            state="failed" if done is None else "done",
            settings=self.digest,
            message="" if error is None else error.message,
            ways=() if error is None else tuple(map(_way, error.ways)),
            stamp=underway.stamp,
            photo_hw=None if underway.run is None else underway.run.photo.hw,
            detections=() if done is None else tuple(map(_described, done.detections)),
            files=files,
            seconds=round(underway.seconds, 3),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def lost(task: PhotoTask, settings: str, message: str) -> Record:
    """What to record of a photo whose worker did not come back."""
    return Record(
        task.item.name,
        str(task.item.path),
        "failed",
        settings,
        message,
        stamp=stamp_of(task.item.path),
        files=task.stale,
    )


def stamp_of(path: Path) -> FileStamp | None:
    """What tells the file from what it will be when it is changed; None where it is none."""
    # Opening a pipe would wait for ever.
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            status = path.stat()
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return FileStamp(status.st_size, status.st_mtime_ns, digest)


def _remove(folder: Path, stale: set[str]) -> None:
    """Remove files of earlier results, and what a process left that was killed; what can be."""
    if not folder.is_dir():
        return
    left = [*folder.glob(f"{TEMPORARY}*"), *(folder / name for name in stale)]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _described(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.name,
        "confidence": round(detection.confidence, 6),
        "box_xyxy": [round(side, 2) for side in detection.xyxy],
    }


def _way(way: Use) -> dict[str, Any]:
    """A way out as JSON gives it back."""
    described: dict[str, Any] = json.loads(json.dumps(asdict(way), default=str))
    return described
