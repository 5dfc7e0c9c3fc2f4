"""`heatmap models`: the list of models, and what is kept of them for faster starts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..errors import ResultError
from ..progress import print_text
from .command import Command
from .console import make_console, print_path
from .result_options import json_option

if TYPE_CHECKING:
    from ..networks.catalog import ModelFacts
    from ..prepared.store import Store

_NAME_WIDTH = 34


@click.command(cls=Command)
@click.argument("pattern", required=False)
@click.option("--cached", is_flag=True, help="List the networks that are kept for faster starts.")
@click.option(
    "--clear-cache", is_flag=True, help="Remove all that is kept: networks, names and facts."
)
@json_option
def models(pattern: str | None, cached: bool, clear_cache: bool, as_json: bool) -> None:
    """List models: window, stride, and how each slides.

    "exact" gives the scores of crops, "padded" others, since layers pad; "local" and "whole"
    are approximations, with these statistics; "crop" does not slide.

    PATTERN selects models by name ("resnet*", "timm/resnet*"). The converter inspects each
    network, which takes about a second per model the first time.
    """
    if cached and clear_cache:
        raise click.UsageError("--cached lists what --clear-cache removes: give one of them")
    if pattern is not None and (cached or clear_cache):
        raise click.UsageError("PATTERN is for the list of models, without --cached, --clear-cache")
    from ..cache_folder import cache_folder
    from ..networks.model_names import MODELS

    if note := cache_folder(MODELS).note:
        click.echo(f"note: {note}", err=True)
    if clear_cache:
        _clear(as_json=as_json)
    elif cached:
        _list_kept(as_json=as_json)
    else:
        _list(pattern, as_json=as_json)


def _list(pattern: str | None, *, as_json: bool) -> None:
    from ..networks.catalog import inspect_models

    facts = inspect_models(pattern)
    if as_json:
        click.echo(json.dumps([asdict(fact) for fact in facts], indent=2))
    else:
        _print(facts)


def _print(facts: Iterable[ModelFacts]) -> None:
    """Print one line per model as soon as it is inspected."""
    console = make_console()
    heading = f"{'model':{_NAME_WIDTH}} {'window':>6} {'stride':>6} {'slides':6} note"
    console.print(heading, style="bold")
    for fact in facts:
        stride = str(fact.native_stride_px or "")
        numbers = f"{fact.window_px or '':>6} {stride:>6}"
        line = f"{fact.name:{_NAME_WIDTH}} {numbers} {fact.slides:6} {fact.reason}"
        print_text(console, line.rstrip(), indent=2)


def _list_kept(*, as_json: bool) -> None:
    """Print one line per kept network, the one used last first."""
    from ..prepared.store import Store

    store = Store()
    kept = [*_kept(store)]
    if as_json:
        click.echo(json.dumps(kept, indent=2))
        return
    console = make_console()
    heading = f"{'model':{_NAME_WIDTH}} {'form':5} {'stride':>6} {'MB':>8} {'used':16} faster here"
    console.print(heading, style="bold")
    for each in kept:
        name = each["name"] or "of another version"
        numbers = f"{each['stride_px'] or '':>6} {each['megabytes']:>8.1f} {each['used']:16}"
        line = f"{name:{_NAME_WIDTH}} {each['form'] or '':5} {numbers} {each['winner'] or ''}"
        print_text(console, line.rstrip(), indent=2)
    total = sum(each["megabytes"] for each in kept)
    print_path(console, f"{len(kept)} kept, {total:.1f} MB in {_place(store)}")


def _kept(store: Store) -> Iterable[dict[str, Any]]:
    """What is told of each kept network."""
    for kept in store.networks():
        network = kept.network
        yield {
            "name": network and network.facts.name,
            "form": network and network.form,
            "stride_px": network and network.stride_px,
            "megabytes": round(kept.size / 1e6, 1),
            "used": datetime.fromtimestamp(kept.used).isoformat(" ", "minutes"),
            "winner": store.winner(kept.key),
        }


def _clear(*, as_json: bool) -> None:
    from ..networks.catalog import forget_models
    from ..prepared.store import Store

    store = Store()
    freed = store.clear() + forget_models()
    if left := len([*store.networks()]):
        raise ResultError(f"{store.folder}: {left} of the networks cannot be removed from there")
    if as_json:
        click.echo(json.dumps({"removed_bytes": freed}))
    else:
        click.echo(f"{freed:,} bytes removed from {_place(store)}")


def _place(store: Store) -> str:
    """The user's cache folder, in words."""
    if store.folder is not None:
        return str(store.folder.parent)
    return "the cache, which is not used" if store.note else "the cache, which is off"
