"""`heatmap doctor`: what is installed, what this machine has, and what is wrong with it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from .console import make_console, progress_line
from .result_options import json_option

if TYPE_CHECKING:
    from .checkup import Checkup


# Not a `Command`, which refuses to work with broken libraries.
@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at installation and machine, and say what is wrong.

    Lists versions, processor, threads, GPUs, memory, and the folders for temporary files and for
    what is kept. Exits with 1 if something is broken. Paste the list into a report of an error.
    """
    from .checkup import checkup

    with progress_line("looking at the libraries"):
        done = checkup()
    if as_json:
        told = {**done.facts, "problems": done.problems, "notes": done.notes}
        click.echo(json.dumps(told, indent=2))
    else:
        _print(done)
    sys.exit(1 if done.problems else 0)


def _print(done: Checkup) -> None:
    console = make_console()
    table = Table.grid(padding=(0, 2))
    for heading, line in done.lines.items():
        table.add_row(heading, escape(line))
    console.print(table)
    for kind, texts in (("problem", done.problems), ("note", done.notes)):
        for text in texts:
            console.print(f"{kind}: {escape(text)}")
    if not done.problems:
        console.print("nothing is broken")
