"""`heatmap export`: the fully convolutional network as a file for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..grid.outputs import described
from ..progress import print_text
from .check import check_model
from .command import Command
from .console import make_console, print_next, print_path, progress_line
from .options import FILE, export_stride_option, model_options, statistics_of, under
from .result_options import json_option, overwrite_option

if TYPE_CHECKING:
    from ..networks.export import Program, ProgramCheck


@click.command(cls=Command)
@model_options
@export_stride_option
@statistics_of("such networks are refused")
@under(
    "Output",
    click.option(
        "--to",
        type=click.Choice(["onnx", "torch"]),
        default="onnx",
        show_default=True,
        help="ONNX, or torch.export's .pt2.",
    ),
    click.option(
        "-o",
        "--output",
        type=FILE,
        required=True,
        metavar="FILE",
        help="File to write, .onnx or .pt2.",
    ),
)
@overwrite_option
@json_option
def export(*, as_json: bool, **options: Any) -> None:
    """Write the fully convolutional network for other programs.

    The exported network takes batches of photos of any size, preprocessed as the metadata in the
    file says. The file is loaded again and compared with the network on photos of two sizes.
    """
    check_model(options["model"])
    from ..networks.export import export as write

    with progress_line(f"loading {options['model']}") as line:
        program = write(progress=line, **options)
    if as_json:
        click.echo(json.dumps(_described(program), indent=2))
    else:
        _print(program)


def _described(program: Program) -> dict[str, Any]:
    return {
        "file": str(program.path),
        "data": None if program.data is None else str(program.data),
        "bytes": program.size,
        "to": program.to,
        "opset": program.opset,
        "checks": [vars(check) for check in program.checks],
        **program.facts,
    }


def _print(program: Program) -> None:
    facts = program.facts
    form = "torch.export" if program.opset is None else f"ONNX, opset {program.opset}"
    console = make_console()
    print_text(console, f"{facts['model']} ({facts['weights']}) as {form}")
    window, stride = facts["window_px"], facts["stride_px"]
    print_text(
        console,
        f"photos: float32 (batch, 3, height, width), at least {window} px high and wide, "
        f"{facts['channel_order'].upper()}, (pixel/255 - mean) / std",
        indent=2,
    )
    print_text(
        console,
        f"scores: float32 (batch, {len(facts['classes'])}, rows, columns), windows of {window} px, "
        f"{stride} px apart; {described(facts['outputs'])}",
        indent=2,
    )
    for check in program.checks:
        print_text(console, _compared(check))
    beside = "" if program.data is None else f", weights in {program.data}"
    print_path(console, f"wrote {program.path}: {program.size / 1e6:.1f} MB{beside}")
    if program.to == "onnx":
        print_next(console, "heatmap", "run", "PHOTO", "-m", program.path)


def _compared(check: ProgramCheck) -> str:
    photos, scores = (" x ".join(map(str, shape)) for shape in (check.photos, check.scores))
    return f"{photos} gives {scores}: {check.relative:.1e} from the network in torch"
