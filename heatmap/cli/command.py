"""The base class of all commands: one-line errors that name options, and help with headings."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from ..errors import HeatmapError, Use
from ..installed import check_installed

# The last heading of a help screen, and what says that it lists everything.
_OWN, _ALL = "Options", "heatmap.help_all"
# Advice for commands without --engine, which can only slide.
_CROPS = "`heatmap run` scores it crop by crop"


class Failure(click.ClickException):
    """An error, printed on one line of standard error; the program ends with ``exit_code``."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"heatmap: {' '.join(self.format_message().split())}", file, err=True)


class Command(click.Command):
    """A command whose errors name its own options.

    Errors carry their remedies by the names of Python parameters (``errors.Use``). Each is
    worded with the option or argument of that name; one that this command lacks is left out.

    Args:
        common: names of the parameters that ``--help`` lists, parted by spaces; the others stand
            under "Advanced" in ``--help-all``. "" lists all.
    """

    def __init__(self, *given: Any, common: str = "", **more: Any) -> None:
        super().__init__(*given, **more)
        self.common = frozenset(common.split())
        if self.common:
            self.params.append(_help_all())

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, if what it needs is installed.

        Raises:
            Failure: in place of any ``HeatmapError``.
        """
        try:
            check_installed()
            return super().invoke(ctx)
        except HeatmapError as error:
            raise Failure(self.worded(error)) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options under their headings (``options.under``), the rest last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        rare: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or not isinstance(parameter, click.Option):
                continue
            heading = getattr(parameter, "heading", _OWN)
            if not self.common or parameter.name in self.common or heading == _OWN:
                sections.setdefault(heading, []).append(record)
            elif ctx.meta.get(_ALL):
                rare.setdefault(f"Advanced ({heading.lower()})", []).append(record)
        own = sections.pop(_OWN, [])
        for heading, records in {**sections, **rare, _OWN: own}.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def worded(self, error: HeatmapError) -> str:
        """An error with its remedies worded as options of this command."""
        advice = [way for way in error.ways if self._worded_way(way)]
        if not advice and any(way.parameter == "engine" for way in error.ways):
            return f"{error.message}: {_CROPS}"
        return error.worded(self._worded_way)

    def _worded_way(self, way: Use) -> str:
        """A remedy, or "" if this command does not have the parameter."""
        for parameter in self.params:
            spelling = _spelling(parameter, way.parameter)
            if spelling:
                return way.text.format(_given(parameter, spelling, way.value))
        return ""


def _help_all() -> click.Option:
    """The option that shows what ``--help`` leaves out."""

    def show(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.meta[_ALL] = True
            click.echo(context.get_help(), color=context.color)
            context.exit()

    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show this message with the advanced options too, and exit.",
    )


def in_options(error: HeatmapError) -> str:
    """An error worded for the command that is running, or for Python if there is none."""
    context = click.get_current_context(silent=True)
    command = None if context is None else context.command
    return command.worded(error) if isinstance(command, Command) else str(error)


def end_with(errors: Sequence[HeatmapError]) -> None:
    """Print errors that did not end the work, a line each; with any, the exit code is 1."""
    for error in errors:
        Failure(in_options(error)).show()
    if errors:
        sys.exit(Failure.exit_code)


def _spelling(parameter: click.Parameter, name: str) -> str:
    """How the Python parameter ``name`` is spelled on this command, "" if ``parameter`` is another.

    An option is spelled with exactly that name if it can be, otherwise with its longest form.
    """
    if isinstance(parameter, click.Argument):
        return (parameter.metavar or name.upper()) if parameter.name == name else ""
    exact = f"--{name.replace('_', '-')}"
    if exact in parameter.opts:
        return exact
    return max(parameter.opts, key=len) if parameter.name == name else ""


def _given(parameter: click.Parameter, spelling: str, value: Any) -> str:
    """An option with its value, as typed on the command line."""
    if value is None or isinstance(parameter, click.Argument):
        return spelling
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return spelling if value or not parameter.secondary_opts else parameter.secondary_opts[0]
    if parameter.multiple and isinstance(value, list | tuple):
        return " ".join(_given(parameter, spelling, part) for part in value)
    return f"{spelling} {_typed(parameter, value)}"


def _typed(parameter: click.Parameter, value: Any) -> str:
    """A value as typed on the command line, quoted where needed."""
    spell = getattr(parameter.type, "spell", None)
    if spell is not None:
        text = spell(value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return shlex.quote(text)
