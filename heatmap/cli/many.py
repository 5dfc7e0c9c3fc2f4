"""Many photos, as `heatmap batch` runs them, and `heatmap run` where it is given several."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ResultError
from .keep import keep_network

if TYPE_CHECKING:
    from .batch_printer import BatchOutput, BatchPrinter

# Options of what is printed.
_PRINTING = ("quiet", "verbose", "as_json")


def run_many(photos: Sequence[str], output: Path, options: Mapping[str, Any]) -> None:
    """Run photos into a folder; the program ends with 1 if one failed.

    Args:
        photos: as typed: folders, globs, lists of paths, single photos.
        output: the folder.
        options: those of the command; what only `batch` has may be missing.

    Raises:
        HeatmapError: they cannot be run, or not with these options.
    """
    from ..runs.many import batch
    from .batch_lines import print_work
    from .batch_printer import batch_printer, describe_work

    if "-" in photos:
        raise ResultError("- is a photo from standard input: run it by itself")
    asked = {name: value for name, value in options.items() if value is not None}
    given = {name: value for name, value in asked.items() if name not in _PRINTING}
    if options.get("dry_run"):
        work = batch(photos, output=output, **given).work
        if options["as_json"]:
            click.echo(json.dumps(describe_work(work), indent=2))
        else:
            print_work(work)
        return
    form: BatchOutput = "json" if options["as_json"] else "quiet" if options["quiet"] else "lines"
    with batch_printer(form, output, options["model"], verbose=options["verbose"]) as printer:
        failed = _run(printer, photos, output, given)
    sys.exit(1 if failed else 0)


def _run(
    printer: BatchPrinter, photos: Sequence[str], output: Path, given: Mapping[str, Any]
) -> int:
    """Run the batch and count failed photos; Ctrl-C ends --watch normally, anything else early."""
    from ..runs.many import batch

    try:
        done = batch(photos, output=output, progress=printer, **given)
    except KeyboardInterrupt:
        printer.interrupted()
        if not given.get("watch"):
            raise click.Abort from None
        return printer.failed
    printer.end(done)
    if done.scorer is not None:
        keep_network(done.scorer)
    return len(done.failed)
