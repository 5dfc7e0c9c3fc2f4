"""The `heatmap` program: all commands, and what becomes of errors.

Heavy imports stand inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import nullcontext

import click

from ..quiet import quiet
from .adapt import adapt
from .batch import batch
from .completion import PROGRAM, completion
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .models import models
from .render import render
from .run import run
from .summary import summary
from .train import train
from .verify import verify
from .view import view


class CommandsInOrder(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.commands)


def _print_versions(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from ..versions import report_versions

    click.echo("\n".join(f"{name} {version}" for name, version in report_versions().items()))
    context.exit()


@click.group(cls=CommandsInOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Print the versions that matter for a report, and exit.",
)
def cli() -> None:
    """Turn any image classifier into a localizer for photos of any size."""


for command in (
    run,
    batch,
    render,
    view,
    verify,
    evaluate,
    summary,
    models,
    adapt,
    train,
    export,
    doctor,
    completion,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error ends in one line and an exit code.

    Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted, 143 terminated.
    """
    # Ends like a normal exit, so that temporary files are removed.
    signal.signal(signal.SIGTERM, lambda *_: _end("terminated", 143))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Do not fail on a name that the terminal's encoding cannot represent.
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = bool(os.environ.get("HEATMAP_DEBUG"))
    try:
        with nullcontext() if debug else quiet():
            cli.main(prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.Abort:
        _end("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        reason = " ".join(str(error).split())[:300]
        _end(f"unexpected {type(error).__name__}: {reason} (HEATMAP_DEBUG=1 shows where)", 1)


def _end(message: str, code: int) -> None:
    click.echo(f"heatmap: {' '.join(message.split())}", err=True)
    sys.exit(code)
