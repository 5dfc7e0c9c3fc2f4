"""`heatmap models`: the list of models, and which of them slide exactly."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from .command import Command
from .console import make_console
from .result_options import json_option

if TYPE_CHECKING:
    from ..networks.catalog import ModelFacts

_NAME_WIDTH = 34


@click.command(cls=Command)
@click.argument("pattern", required=False)
@json_option
def models(pattern: str | None, as_json: bool) -> None:
    """List models: window, stride, and whether sliding is exact.

    PATTERN selects models by name ("resnet*", "timm/resnet*"). The converter inspects each
    network, which takes about a second per model the first time.
    """
    from ..cache_folder import cache_folder
    from ..networks.catalog import inspect_models
    from ..networks.model_names import MODELS

    if note := cache_folder(MODELS).note:
        click.echo(f"note: {note}", err=True)
    facts = inspect_models(pattern)
    if as_json:
        click.echo(json.dumps([asdict(fact) for fact in facts], indent=2))
    else:
        _print(facts)


def _print(facts: Iterable[ModelFacts]) -> None:
    """Print one line per model as soon as it is inspected."""
    console = make_console()
    heading = f"{'model':{_NAME_WIDTH}} {'window':>6} {'stride':>6} {'sliding':8} note"
    console.print(heading, style="bold")
    for fact in facts:
        stride = str(fact.native_stride_px or "")
        numbers = f"{fact.window_px or '':>6} {stride:>6}"
        line = f"{fact.name:{_NAME_WIDTH}} {numbers} {fact.sliding:8} {fact.reason}"
        console.print(escape(line.rstrip()), soft_wrap=True)
