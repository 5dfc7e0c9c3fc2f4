"""The command line: thin layers on Python calls.

Heavy imports stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..errors import HeatmapError, ResultError
from .adaptcommand import adapt, train
from .batch import batch
from .build import recipe_of, request_of, sliding_only, view_of
from .export import export
from .options import (
    border_option,
    engine_option,
    extra_options,
    limit_options,
    model_options,
    output_options,
    photo_size_option,
    scale_option,
    scales_options,
    several_scales_options,
    stride_option,
    view_options,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="heatmap")
def cli() -> None:
    """Turn any image classifier into a localizer for photos of any size."""


@cli.command()
@click.argument("photo", type=click.Path(path_type=Path))
@model_options
@stride_option
@scales_options
@border_option
@limit_options
@engine_option
@view_options
@extra_options
@output_options
def run(photo: Path, **options: Any) -> None:
    """Score PHOTO, find objects, and write grid, overlays and boxes."""
    from ..runs.run import run as run_photo
    from .console import print_run, working

    request = request_of(options)
    with working(f"loading {options['model']}") as at_work:
        scorer = recipe_of(options, options["engine"]).prepare()
        done = run_photo(
            photo,
            scorer,
            options["output"],
            view=request.view,
            placement=request.placement,
            limits=request.limits,
            extras=request.extras,
            watcher=at_work,
        )
    if options["as_json"]:
        click.echo(done.saved.description.read_text(encoding="utf-8"), nl=False)
    else:
        print_run(done, scorer)


cli.add_command(batch)
cli.add_command(adapt)
cli.add_command(train)
cli.add_command(export)


@cli.command()
@click.argument("photo", type=click.Path(path_type=Path))
@model_options
@stride_option
@scale_option
@border_option
@click.option("-c", "--class", "wanted", help="Class to draw; default: the one that wins most.")
@click.option(
    "--windows",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Crop at most so many.",
)
@output_options
def verify(photo: Path, **options: Any) -> None:
    """Compare sliding with cropping on PHOTO.

    Prints how far apart they are and how much faster sliding is. Exits with 1 where
    the converted head is not exact.
    """
    from ..evaluation.reporting import describe_report, draw_report
    from ..evaluation.verify import verify as verify_photo
    from ..rendering.overlay import write_image
    from .console import print_verify, working

    with working(f"loading {options['model']}") as at_work:
        with sliding_only():
            scorer = recipe_of(options, "slide").prepare()
        at_work.say(f"sliding and cropping over {photo.name}")
        report = verify_photo(
            photo,
            scorer,
            windows=options["windows"],
            stride=options["stride"],
            scale=options["scale"],
            border=options["border"],
        )
        picture = draw_report(photo, report, options["wanted"])
        path = write_image(options["output"] / f"{photo.stem}.verify.png", picture)
    if options["as_json"]:
        click.echo(json.dumps({**describe_report(report), "picture": str(path)}, indent=2))
    else:
        print_verify(report, path)
    sys.exit(0 if report.passed else 1)


@cli.command()
@click.argument("grid_file", metavar="GRID.npz", type=click.Path(path_type=Path))
@click.argument("photo", required=False, type=click.Path(path_type=Path))
@view_options
@output_options
def render(grid_file: Path, photo: Path | None, **options: Any) -> None:
    """Draw overlays from a saved grid, without running the network.

    PHOTO is the one that was scored; by default the path that the grid holds.
    """
    from ..grid.read import load
    from ..grid.score_grid import SHARP
    from ..photo.photo_file import open_photo
    from ..runs.save import save_overlays

    grid = load(grid_file)
    if photo is None and not grid.origin.photo:
        raise ResultError(
            f"{grid_file}: was made from an array, not a file: name the photo as well"
        )
    read = open_photo(photo or grid.origin.photo)
    view = view_of(options)
    found = view.find(grid)
    # What is found in a sharp map is a single position, not the box of an object.
    shown = () if SHARP in grid.origin.settings else found
    pictures = {
        group: view.draw(read, grid, group, [one.xyxy for one in shown if one.group == group])
        for group in view.groups(grid, found)
    }
    paths = save_overlays(options["output"], grid_file.stem, pictures)
    written = [(group.name, path) for group, path in paths.items()]
    if options["as_json"]:
        click.echo(
            json.dumps([{"class": name, "file": str(path)} for name, path in written], indent=2)
        )
    else:
        for name, path in written:
            click.echo(f"{name}: {path}")


@cli.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--photo", type=click.Path(path_type=Path), help="The photo, where it was moved.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def view(results: Path, photo: Path | None, as_json: bool) -> None:
    """Write a page to look at in a browser for RESULTS.

    RESULTS is a folder that `heatmap run` wrote to, or one photo's JSON file in it. The
    page needs no network; that of a large photo needs the folder of tiles beside it.
    """
    from ..runs.saved import saved_results, write_page

    found = saved_results(results)
    if photo is not None and len(found) > 1:
        raise ResultError(
            f"{results}: holds the results of {len(found)} photos: name the JSON file of the one "
            "that --photo is of"
        )
    written = [write_page(result, photo) for result in found]
    if as_json:
        click.echo(json.dumps([str(path) for path in written], indent=2))
    else:
        for path in written:
            click.echo(f"wrote {path}")


@cli.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.argument("boxes", type=click.Path(path_type=Path))
@model_options
@several_scales_options
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="JSON file that says which classes each label means.",
)
@click.option(
    "--cam/--no-cam",
    default=True,
    show_default=True,
    help="Measure CAM and Grad-CAM of the same network too (pip install 'heatmap[cam]').",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def evaluate(photos: Path, boxes: Path, **options: Any) -> None:
    """Measure how well heatmaps point at objects.

    PHOTOS is a folder, BOXES the true boxes: COCO instances, or a plain JSON or CSV list.
    docs/evaluation.md says what is measured.
    """
    from ..evaluation.evaluate import compare
    from .console import print_evaluation, working

    with working(f"loading {options['model']}") as at_work:
        scorer = recipe_of(options, "auto").prepare()
        at_work.say(f"evaluating {photos}")
        evaluation = compare(
            photos,
            boxes,
            scorer,
            scales=options["scales"],
            fuse=options["fuse"],
            mapping=options["labels"],
            cam=options["cam"],
            progress=at_work.progress,
        )
    if options["as_json"]:
        click.echo(json.dumps(asdict(evaluation), indent=2))
    else:
        print_evaluation(evaluation)


@cli.command()
@model_options
@photo_size_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def summary(photo_size: tuple[int, int] | None, as_json: bool, **options: Any) -> None:
    """Print the layers of the converted network.

    Each with its output at the photo's size, parameters, stride and receptive field
    in photo px, then totals and memory.
    """
    from ..networks.load import load_classifier
    from ..networks.summary import summarize
    from .console import print_summary, working

    with working(f"loading {options['model']}"), sliding_only():
        found = summarize(load_classifier(options.pop("model"), **options), photo_hw=photo_size)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        print_summary(found)


@cli.command()
@click.argument("pattern", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def models(pattern: str | None, as_json: bool) -> None:
    """List models: window, stride, and whether sliding is exact.

    PATTERN selects by name ("resnet*"); "timm/..." names timm's. Every network
    is inspected by the converter, about a second each the first time.
    """
    from ..networks.catalog import inspect_models
    from .console import print_models

    facts = inspect_models(pattern)
    if as_json:
        click.echo(json.dumps([asdict(fact) for fact in facts], indent=2))
    else:
        print_models(facts)


def main() -> None:
    """Run the command line; whatever goes wrong ends in one line and an exit code.

    0 done, 1 failed, 2 called wrongly, 130 interrupted, 143 terminated.
    """
    # Ends like any exit: temporary files go.
    signal.signal(signal.SIGTERM, lambda *_: _end("terminated", 143))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding does not have is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli.main(prog_name="heatmap", standalone_mode=False)
    except click.exceptions.Abort:
        _end("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except HeatmapError as error:
        _end(str(error), 1)
    except Exception as error:
        if os.environ.get("HEATMAP_DEBUG"):
            raise
        reason = " ".join(str(error).split())[:300]
        _end(f"unexpected {type(error).__name__}: {reason} (HEATMAP_DEBUG=1 shows where)", 1)


def _end(message: str, code: int) -> None:
    click.echo(f"heatmap: {' '.join(message.split())}", err=True)
    sys.exit(code)
