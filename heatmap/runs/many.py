"""Run many photos in one call: `heatmap.batch`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

from ..errors import GeometryError, ModelError, PhotoError, ResultError, Use
from ..keywords import check_keywords
from ..networks.model_names import DEFAULT_MODEL
from ..progress import Progress
from .batch import BatchRunner, BatchSources, LocalRunner, plan_batch, run_batch
from .batched import Batch
from .one_picture import is_picture
from .options import BatchOptions, recipe_of, request_of
from .ray_runner import RayRunner

if TYPE_CHECKING:
    from ..networks.load import Model
    from ..scoring.scorer import Scorer

Runner = Literal["local", "ray"]
# Seconds between two searches for photos.
LOOK_EVERY = 5.0


def batch(
    photos: str | Path | Iterable[str | Path],
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    output: str | Path = "results",
    overwrite: bool = False,
    runner: Runner = "local",
    workers: int | None = None,
    threads: int | None = None,
    ray_address: str | None = None,
    gpus: float | None = None,
    retry_failed: bool = False,
    dry_run: bool = False,
    watch: bool = False,
    every: float = LOOK_EVERY,
    progress: Progress = False,
    **options: Unpack[BatchOptions],
) -> Batch:
    """Run many photos into a folder: those that are new or changed, or whose settings have changed.

    >>> done = heatmap.batch("photos", classes=["zebra"], output="zebras")  # doctest: +SKIP
    >>> [(failed.name, failed.message) for failed in done.failed]           # doctest: +SKIP

    A photo that fails is recorded, and the others continue. A call that was interrupted at any
    moment and is repeated ends with the same files as one that was not. Options are those of
    ``heatmap batch``, by the same names; None is as not given.

    Args:
        photos: folders, globs, text files with lists of paths, and photos, or one of them.
        model: as of :func:`heatmap.run`; by name or file for "ray".
        output: folder for ``manifest.jsonl``, ``summary.csv``, ``index.html`` and, below
            ``photos``, the results of each photo.
        overwrite: also replace files that this tool did not write, or that were changed since.
        runner: "local" runs photos in this process, "ray" in workers on Ray.
        workers, ray_address, gpus: for "ray": the number of workers (by default one per CPU), the
            address of a cluster to join (by default Ray is started here), and GPUs per worker.
        threads: per photo; None is 1 if several photos run at a time, otherwise torch's default.
        retry_failed: run photos that failed again even if nothing has changed.
        dry_run: only say what would be done, in ``work``; nothing is written.
        watch: keep looking for new photos until Ctrl-C (``KeyboardInterrupt``).
        every: seconds between two looks; files still changing are left for the next one.
        progress: as in :func:`heatmap.score`; counts photos.
        options: any of :class:`heatmap.RunOptions` but ``region``.

    Raises:
        HeatmapError: a source, the model or a requested class does not exist, a value that cannot
            be, or the folder cannot be written or holds another batch's results.
    """
    _check(batch, options, output, every)
    chosen = _runner(runner, {"workers": workers, "ray_address": ray_address, "gpus": gpus})
    sources = BatchSources(_places(photos), retry_failed, every if watch else None)
    recipe, request = recipe_of(model, options), request_of(options, overwrite=overwrite)
    if runner == "ray" and not isinstance(recipe.model, str | Path):
        raise ModelError(f"{recipe.name} is in this process: give workers its name or file")
    asked = (sources, Path(output), recipe, request)
    if dry_run:
        return plan_batch(*asked, threads=threads, runner=chosen)
    return run_batch(*asked, threads=threads, runner=chosen, progress=progress)


def _check(function: Any, options: BatchOptions, output: str | Path, every: float) -> None:
    """Refuse what is for a photo by itself, and numbers that cannot be."""
    if dict(options).get("region") is not None:
        raise GeometryError("a region is of one photo", Use("region", text="leave out {}"))
    check_keywords(function, options, BatchOptions)
    if is_picture(output):
        raise ResultError(
            f"{output}: is one picture, and there may be several photos",
            Use("output", text="give a folder as {}"),
        )
    if not every > 0:
        raise ResultError(f"every is {every} seconds: give more than 0")


def _places(photos: str | Path | Iterable[str | Path]) -> tuple[str | Path, ...]:
    """The sources, of which there may be one alone.

    Raises:
        PhotoError: one is no path.
    """
    places = (photos,) if isinstance(photos, str | Path) else tuple(photos)
    for place in places:
        if not isinstance(place, str | Path):
            raise PhotoError(
                f"a batch is of files, not of a {type(place).__name__}: heatmap.run takes photos "
                "in memory"
            )
    if not places:
        raise PhotoError("no photos: give photos, folders, globs or lists")
    return places


def _runner(runner: Runner, of_ray: dict[str, Any]) -> BatchRunner:
    """What runs the photos.

    Raises:
        ResultError: an unknown runner, or an option of another.
    """
    if runner not in get_args(Runner):
        raise ResultError(f"runner is {runner!r}: choose one of {', '.join(get_args(Runner))}")
    if runner == "ray":
        return RayRunner(of_ray["ray_address"], of_ray["workers"], of_ray["gpus"])
    for name, value in of_ray.items():
        if value is not None:
            raise ResultError(
                "there are no workers without Ray",
                Use("runner", "ray", "add {}"),
                Use(name, text="leave out {}"),
            )
    return LocalRunner()
