"""The command line's `export`: the fully convolutional network as a file for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import model_options, stride_option

if TYPE_CHECKING:
    from ..networks.export import Check, Program


@click.command(cls=Command)
@model_options
@stride_option
@click.option(
    "--to",
    type=click.Choice(["onnx", "torch"]),
    default="onnx",
    show_default=True,
    help="ONNX (needs onnx, onnxruntime and onnxscript), or torch.export's .pt2.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="File to write, .onnx or .pt2.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def export(output: Path, as_json: bool, **options: Any) -> None:
    """Write the fully convolutional network for other programs.

    It takes photos of any size and number, preprocessed as the facts in the file say. The
    file is loaded again and held against the network on two sizes.
    """
    from ..networks.export import export as write
    from .console import working

    with working(f"writing {output}"):
        written = write(options.pop("model"), output, **options)
    if as_json:
        click.echo(json.dumps(_described(written), indent=2))
    else:
        _print(written)


def _described(written: Program) -> dict[str, Any]:
    return {
        "file": str(written.path),
        "data": None if written.data is None else str(written.data),
        "bytes": written.size,
        "to": written.to,
        "opset": written.opset,
        "checks": [vars(check) for check in written.checks],
        **written.facts,
    }


def _print(written: Program) -> None:
    facts = written.facts
    form = "torch.export" if written.opset is None else f"ONNX, opset {written.opset}"
    click.echo(f"{facts['model']} ({facts['weights']}) as {form}")
    window, stride = facts["window_px"], facts["stride_px"]
    click.echo(
        f"photos: float32 (batch, 3, height, width), {window} px or more, "
        f"{facts['channel_order'].upper()}, (pixel/255 - mean) / std"
    )
    click.echo(
        f"scores: {facts['outputs']}, float32 (batch, {len(facts['classes'])}, rows, columns), "
        f"windows of {window} px, {stride} px apart"
    )
    for check in written.checks:
        click.echo(_compared(check))
    beside = "" if written.data is None else f", weights in {written.data}"
    click.echo(f"wrote {written.path}: {written.size / 1e6:.1f} MB{beside}")


def _compared(check: Check) -> str:
    photos, scores = (" x ".join(map(str, shape)) for shape in (check.photos, check.scores))
    return f"{photos} gives {scores}: {check.relative:.1e} from the network in torch"
