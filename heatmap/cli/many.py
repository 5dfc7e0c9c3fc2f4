"""Many photos, as `heatmap batch` runs them, and `heatmap run` where it is given several."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import GeometryError, ResultError, Use
from .keep import keep_network

if TYPE_CHECKING:
    from ..runs.batch import BatchRunner
    from .batch_printer import BatchOutput


def run_many(
    sources: Sequence[str],
    output: Path,
    options: Mapping[str, Any],
    runner: BatchRunner | None = None,
) -> None:
    """Run photos into a folder; the program ends with 1 if one failed.

    Args:
        sources: as typed: folders, globs, lists of paths, single photos.
        output: the folder.
        options: those of the command; what only `batch` has may be missing.
        runner: where they are run; None is here.

    Raises:
        HeatmapError: they cannot be run, or not with these options.
    """
    from ..runs.batch import BatchSources, LocalRunner, plan_batch
    from ..runs.options import recipe_of, request_of
    from .batch_lines import print_work
    from .batch_printer import batch_printer, describe_work

    _check(sources, output, options)
    every = options["every"] if options.get("watch") else None
    where = BatchSources(tuple(sources), options.get("retry_failed", False), every)
    request = request_of(options, overwrite=options["overwrite"])
    asked = (where, output, recipe_of(options["model"], options), request)
    common: dict[str, Any] = {
        "threads": options.get("threads"),
        "runner": runner or LocalRunner(),
    }
    if options.get("dry_run"):
        work = plan_batch(*asked, **common)
        if options["as_json"]:
            click.echo(json.dumps(describe_work(work), indent=2))
        else:
            print_work(work)
        return
    form: BatchOutput = "json" if options["as_json"] else "quiet" if options["quiet"] else "lines"
    with batch_printer(form, output, options["model"], verbose=options["verbose"]) as printer:
        failed = _run(printer, *asked, **common)
    sys.exit(1 if failed else 0)


def _check(sources: Sequence[str], output: Path, options: Mapping[str, Any]) -> None:
    """Refuse what is for a photo by itself.

    Raises:
        ResultError, GeometryError: it is asked for.
    """
    from ..runs.one_picture import is_picture

    if "-" in sources:
        raise ResultError("- is a photo from standard input: run it by itself")
    if is_picture(output):
        raise ResultError(
            f"{output}: is one picture, and there may be several photos",
            Use("output", text="give a folder as {}"),
        )
    if options.get("region"):
        raise GeometryError("a region is of one photo", Use("region", text="leave out {}"))


def _run(printer: Any, where: Any, *asked: Any, **common: Any) -> int:
    """Run the batch and count failed photos; Ctrl-C ends --watch normally, anything else early."""
    from ..runs.batch import batch

    try:
        done = batch(where, *asked, progress=printer, **common)
    except KeyboardInterrupt:
        printer.interrupted()
        if where.watch is None:
            raise click.Abort from None
        return int(printer.failed)
    printer.end(done)
    if done.scorer is not None:
        keep_network(done.scorer)
    return len(done.failed)
