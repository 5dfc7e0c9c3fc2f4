"""The command line's `batch`: many photos, on one machine or a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import (
    border_option,
    engine_option,
    extra_options,
    limit_options,
    model_options,
    runner_options,
    scales_options,
    stride_option,
    view_options,
)
from .request import recipe_of, request_of

if TYPE_CHECKING:
    from ..runs.batch import Runner
    from .batch_printer import How

# Seconds between two looks of --watch.
EVERY = 5.0


@click.command(cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for the results of all photos; made if missing.",
)
@model_options
@stride_option
@scales_options
@border_option
@limit_options
@engine_option
@view_options
@extra_options
@runner_options
@click.option("--retry-failed", is_flag=True, help="Do again what failed, though nothing changed.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--watch", is_flag=True, help="Go on as photos arrive, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=EVERY,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks; a file that changed meanwhile waits.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but what failed.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each photo.")
def batch(sources: tuple[str, ...], output: Path, **options: Any) -> None:
    """Run many photos: folders, globs, lists of paths, single photos.

    Results lie below OUTPUT as the photos lie below what SOURCEs share; index.html shows all,
    summary.csv lists what was found, manifest.jsonl says what became of each. Called again, it
    does what is missing, failed or changed. Exits with 1 where a photo failed.
    """
    from ..runs.batch import Sources, plan_batch
    from ..runs.batch import batch as run_batch
    from .batch_printer import describe_work, print_work, telling

    where = Sources(
        sources, options["retry_failed"], options["every"] if options["watch"] else None
    )
    recipe = recipe_of(options, options["engine"])
    common: dict[str, Any] = {"threads": options["threads"], "runner": _runner(options)}
    request = request_of(options)
    if options["dry_run"]:
        work = plan_batch(where, output, recipe, request, **common)
        if options["as_json"]:
            click.echo(json.dumps(describe_work(work), indent=2))
        else:
            print_work(work)
        return
    how: How = "json" if options["as_json"] else "quiet" if options["quiet"] else "lines"
    with telling(how, output, options["model"]) as teller:
        failed = _run(run_batch, teller, where, output, recipe, request, **common)
    sys.exit(1 if failed else 0)


def _run(run_batch: Any, teller: Any, where: Any, output: Path, *given: Any, **common: Any) -> int:
    """How many photos failed; --watch ends by Ctrl-C, anything else is cut short by it."""
    try:
        done = run_batch(where, output, *given, reporter=teller, **common)
    except KeyboardInterrupt:
        teller.interrupted()
        if where.watch is None:
            raise click.Abort from None
        return int(teller.failed)
    teller.end(done)
    return len(done.failed)


def _runner(options: dict[str, Any]) -> Runner:
    if options["runner"] == "local":
        for name in ("workers", "ray_address", "gpus"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} is for --runner ray: add that")
        from ..runs.batch import Local

        return Local()
    from ..runs.ray_runner import OnRay

    return OnRay(options["ray_address"], options["workers"], options["gpus"])
