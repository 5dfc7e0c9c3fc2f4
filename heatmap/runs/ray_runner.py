"""Run the photos of a batch in Ray workers, on this machine or a cluster.

Each worker loads the model once; what ONNX Runtime runs is prepared once, here, and travels through
Ray's object store, so that workers do without torch. Photos are distributed one by one; of a very
large photo, tiles of its grid are. A worker that is lost is restarted with its photo. All workers
must see the photos, the output folder and the model's files under the same absolute paths; which
folder they run in does not matter.
"""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import HeatmapError, ModelError, ResultError, Use, reason_of
from ..names import MANIFEST
from ..photo.extended import ExtendedRows
from ..photo.photo_file import PhotoFile, is_larger
from ..photo.reduced import reduced_photo
from .batch import ANY_HW, BatchSetup
from .manifest import Record
from .ray_connection import connected, imported_ray
from .request import Request
from .settings import ScorerRecipe, Settings
from .worker import PhotoTask, Worker, described_way, lost

if TYPE_CHECKING:
    from ..scoring.carried import CarriedNetwork
    from ..scoring.loaded import Loaded
    from ..scoring.photo_pass import PhotoPass
    from ..scoring.scorer import Scorer
    from ..scoring.stream import Block, ScoreStream

_SHARED = Use("output", text="give a folder on a disk that all machines share as {}")
# Photos with more pixels are distributed by tile, a few to each worker.
TILED_PX = 2**27
TILES_A_WORKER = 2
# How often a photo is retried after its worker was lost, and how often a worker is restarted.
_RETRIES, _RESTARTS = 2, 1000


@dataclass(frozen=True)
class RayRunner:
    """Runs photos in Ray workers.

    Attributes:
        address: address of a cluster; None starts Ray on this machine for the batch, unless
            it is running already.
        count: number of workers; None is as many as there are CPUs for.
        gpus: GPUs per worker; None is 1 on "cuda", otherwise 0.
    """

    address: str | None = None
    count: int | None = None
    gpus: float | None = None

    @property
    def workers(self) -> int:
        return self.count or os.cpu_count() or 1

    def run(self, setup: BatchSetup, tasks: Sequence[PhotoTask]) -> Iterator[Record]:
        """Run the photos; yields a record as each is finished, in any order.

        Raises:
            ModelError: Ray is not installed or cannot be reached, or a worker cannot prepare the
                model.
        """
        ray = imported_ray()
        threads = setup.settings.resources.threads
        large = [task for task in tasks if is_larger(task.item.path, TILED_PX)]
        apart = {task.item.name for task in large}
        with connected(ray, self.address, self.workers * threads):
            pool = _Pool(ray, setup, self._count(ray, threads), self._gpus(setup))
            small = [task for task in tasks if task.item.name not in apart]
            yield from pool.records(small)
            worker = Worker(
                replace(setup.scorer, spread=pool.spread), setup.request, setup.settings
            )
            for task in large:
                yield worker.do(task)

    def _count(self, ray: Any, threads: int) -> int:
        return self.count or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)

    def _gpus(self, setup: BatchSetup) -> float:
        default = 1.0 if setup.scorer.compute.kind == "cuda" else 0.0
        return default if self.gpus is None else self.gpus


class _RayWorker:
    """The actor that runs in each worker's process."""

    def __init__(
        self,
        recipe: ScorerRecipe,
        request: Request,
        settings: Settings,
        output: Path,
        carried: tuple[CarriedNetwork, ...],
    ) -> None:
        self._error: HeatmapError | None = None
        self._worker = None
        # If this raised, Ray would restart the worker again and again.
        try:
            _check_shared(output)
            self._worker = Worker(_scorer(recipe, settings, carried), request, settings)
        except HeatmapError as error:
            self._error = error

    def error(self) -> HeatmapError | None:
        """Why the worker cannot run photos, or None."""
        return self._error

    def do(self, task: PhotoTask) -> tuple[Record, dict[str, int]]:
        """The record of a photo, and the sizes of its files as they are here."""
        if self._worker is None:
            # Of a worker that was restarted, nobody asked before.
            raise self._error or ModelError("it is not prepared")
        record = self._worker.do(task)
        return record, _sizes(record, task.folder)

    def tile(self, path: str, part: _Tile) -> list[Block]:
        """The scores of some rows of a photo's grid."""
        from ..scoring.photo_pass import PhotoPass

        assert self._worker is not None
        scorer, geometry = self._worker.scorer, part.job["geometry"]
        network = None
        if scorer.engine == "slide":
            at = scorer.positions_at if part.positions else scorer.network_at
            network = at(geometry.stride_px)
        # Decoded as by the others, or the tiles would differ.
        whole = part.denominator == 1
        reading = self._worker.request.limits.reading
        photo = (
            PhotoFile(path, reading=reading)
            if whole
            else reduced_photo(path, part.denominator, reading=reading)
        )
        extended = ExtendedRows(photo, geometry)
        job = PhotoPass(scorer.classifier, network, scorer.compute, extended, **part.job)
        return list(job.start().blocks)


def _scorer(
    recipe: ScorerRecipe, settings: Settings, carried: tuple[CarriedNetwork, ...]
) -> Scorer:
    """What scores in a worker: the networks that it was given or, without any, its own.

    Raises:
        HeatmapError: it cannot be prepared here, or has other weights.
    """

    def own() -> Scorer:
        scorer = recipe.prepare()
        if scorer.facts.weights_digest != settings.asked["weights"]:
            raise ModelError("its weights differ")
        return scorer

    def load() -> Loaded:
        return own().in_torch.get()

    if not carried:
        return own()
    from ..scoring.carried import carried_scorer

    return carried_scorer(carried, recipe.name, load)


@dataclass(frozen=True)
class _Tile:
    """Rows of a grid.

    Attributes:
        job: arguments of :class:`PhotoPass`.
        positions: whether cells are single positions.
        denominator: at which part of its size the photo is decoded.
    """

    job: dict[str, Any]
    positions: bool
    denominator: int


class _Pool:
    """The workers, and the tasks they are working on."""

    def __init__(self, ray: Any, setup: BatchSetup, count: int, gpus: float) -> None:
        self._ray = ray
        remote = ray.remote(_RayWorker).options(
            num_cpus=setup.settings.resources.threads,
            num_gpus=gpus,
            max_restarts=_RESTARTS,
            max_task_retries=_RETRIES,
        )
        # Put there once, for all workers and those that are started again.
        self._carried = ray.put(_carried(setup))
        self._actors = [
            remote.remote(setup.recipe, setup.request, setup.settings, setup.output, self._carried)
            for _ in range(count)
        ]
        self._digest = setup.settings.digest
        for error in ray.get([actor.error.remote() for actor in self._actors]):
            if error is not None:
                raise type(error)(f"a worker cannot begin: {error.message}", *error.ways)

    def records(self, tasks: Sequence[PhotoTask]) -> Iterator[Record]:
        """Run photos; yields a record as each is finished."""
        waiting = deque(tasks)
        unseen: list[tuple[PhotoTask, Record, dict[str, int]]] = []
        underway: dict[Any, tuple[Any, PhotoTask]] = {}

        def give(actor: Any) -> None:
            if waiting:
                task = waiting.popleft()
                underway[actor.do.remote(task)] = (actor, task)

        # One photo at a time, so that a photo that crashes its worker takes no other with it.
        for actor in self._actors:
            give(actor)
        while underway:
            (ready,), _ = self._ray.wait(list(underway), num_returns=1)
            actor, task = underway.pop(ready)
            give(actor)
            try:
                record, sizes = self._ray.get(ready)
            except self._ray.exceptions.RayTaskError as error:
                yield lost(task, self._digest, f"its worker failed: {reason_of(error.cause)}")
                continue
            except self._ray.exceptions.RayError as error:
                yield lost(task, self._digest, f"its worker was lost: {reason_of(error)}")
                continue
            if _sizes(record, task.folder) == sizes:
                yield record
            else:
                unseen.append((task, record, sizes))
        # Looked for once more: a shared disk may show files late.
        for task, record, sizes in unseen:
            there = _sizes(record, task.folder) == sizes
            yield record if there else _elsewhere(record, task.folder)

    def spread(self, job: PhotoPass, positions: bool) -> ScoreStream:
        """The scores of one large photo, computed tile by tile from the top."""
        from ..scoring.stream import ScoreStream

        rows = job.geometry.grid_hw[0]
        tiles = min(rows, TILES_A_WORKER * len(self._actors))
        return ScoreStream(job.computed(tiles=tiles), self._blocks(job, tiles, positions))

    def _blocks(self, job: PhotoPass, tiles: int, positions: bool) -> Iterator[Block]:
        rows = job.geometry.grid_hw[0]
        edges = np.linspace(0, rows, tiles + 1).astype(int).tolist()
        parts = deque(
            _Tile(self._job(job, first, end), positions, job.extended.photo.denominator)
            for first, end in pairwise(edges)
        )
        underway: deque[Any] = deque()
        for number in range(tiles):
            underway.append(self._tile(self._actors[number % len(self._actors)], job, parts))
            if len(underway) >= len(self._actors):
                yield from self._taken(underway.popleft())
        while underway:
            yield from self._taken(underway.popleft())

    def _tile(self, actor: Any, job: PhotoPass, parts: deque[_Tile]) -> Any:
        return actor.tile.remote(job.extended.photo.path, parts.popleft())

    def _job(self, job: PhotoPass, first: int, end: int) -> dict[str, Any]:
        wanted = np.zeros(job.geometry.grid_hw, bool)
        wanted[first:end] = True if job.wanted is None else job.wanted[first:end]
        return {"geometry": job.geometry, "memory": job.memory, "wanted": wanted}

    def _taken(self, ready: Any) -> list[Block]:
        try:
            blocks: list[Block] = self._ray.get(ready)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, HeatmapError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            raise ResultError(f"a worker was lost again and again: {reason_of(error)}") from error
        return blocks


def _carried(setup: BatchSetup) -> tuple[CarriedNetwork, ...]:
    """The prepared networks that workers need; none where torch scores."""
    if setup.settings.resources.backend != "onnx":
        return ()
    from ..scoring.carried import carried_networks

    stride = setup.scorer.plan(ANY_HW, setup.request.placement.at(1.0)).stride_px
    return carried_networks(setup.scorer, stride)


def _check_shared(output: Path) -> None:
    """Refuse to work where the output folder is not that of the command.

    Raises:
        ResultError: it holds no manifest.
    """
    if not (output / MANIFEST).exists():
        raise ResultError(
            f"{output}: is another folder on the machine {platform.node()}, without the batch's "
            f"{MANIFEST}",
            _SHARED,
        )


def _sizes(record: Record, folder: Path) -> dict[str, int]:
    """The bytes of those result files of a photo that are there; -1 for folders."""
    try:
        # Listed anew, where a shared disk may remember that there was none of a name.
        with os.scandir(folder) as entries:
            return {
                entry.name: -1 if entry.is_dir() else entry.stat().st_size
                for entry in entries
                if entry.name in record.files
            }
    except OSError:
        return {}


def _elsewhere(record: Record, folder: Path) -> Record:
    """The record of a photo whose results are not where they should be; it is run again."""
    return replace(
        record,
        state="failed",
        message=f"its worker wrote the results to another disk: {folder} does not hold them here",
        ways=(described_way(_SHARED),),
        detections=(),
    )
