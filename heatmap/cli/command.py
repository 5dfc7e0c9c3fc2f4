"""What all commands are: errors are one line in the words of their options; help has headings."""

from __future__ import annotations

import shlex
from typing import IO, Any

import click

from ..errors import HeatmapError, Use

# A command without --engine has no other way to score than to slide.
_CROPS = "`heatmap run` scores it crop by crop"


class Failure(click.ClickException):
    """What went wrong, on one line of standard error; the program ends with ``exit_code``."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"heatmap: {' '.join(self.format_message().split())}", file, err=True)


class Command(click.Command):
    """A command that says errors in the words of its own options.

    Errors carry ways out by the names of Python's parameters (``errors.Use``). Each is worded
    with the option or argument of that name; one that this command does not have is left out.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            Failure: for every ``HeatmapError``.
        """
        try:
            return super().invoke(ctx)
        except HeatmapError as error:
            raise Failure(self.worded(error)) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options under the headings they have (``options.under``), the rest last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        own = sections.pop("Options", [])
        for heading, records in {**sections, "Options": own}.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def worded(self, error: HeatmapError) -> str:
        """An error with its ways out as options of this command."""
        advice = [way for way in error.ways if self._worded_way(way)]
        if not advice and any(way.parameter == "engine" for way in error.ways):
            return f"{error.message}: {_CROPS}"
        return error.worded(self._worded_way)

    def _worded_way(self, way: Use) -> str:
        """A way out, or "" where this command does not have the parameter."""
        for parameter in self.params:
            spelling = _spelling(parameter, way.parameter)
            if spelling:
                return way.text.format(_given(parameter, spelling, way.value))
        return ""


def in_options(error: HeatmapError) -> str:
    """An error in the options of the command that is running, in Python's words if none is."""
    context = click.get_current_context(silent=True)
    command = None if context is None else context.command
    return command.worded(error) if isinstance(command, Command) else str(error)


def _spelling(parameter: click.Parameter, name: str) -> str:
    """How a parameter called ``name`` in Python is written here, "" if it is another one.

    An option by the spelling that is just the name, or else by its longest.
    """
    if isinstance(parameter, click.Argument):
        return (parameter.metavar or name.upper()) if parameter.name == name else ""
    exact = f"--{name.replace('_', '-')}"
    if exact in parameter.opts:
        return exact
    return max(parameter.opts, key=len) if parameter.name == name else ""


def _given(parameter: click.Parameter, spelling: str, value: Any) -> str:
    """An option with its value, as one types it."""
    if value is None or isinstance(parameter, click.Argument):
        return spelling
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return spelling if value or not parameter.secondary_opts else parameter.secondary_opts[0]
    if parameter.multiple and isinstance(value, list | tuple):
        return " ".join(_given(parameter, spelling, part) for part in value)
    return f"{spelling} {_typed(parameter, value)}"


def _typed(parameter: click.Parameter, value: Any) -> str:
    """A value as one types it: as the parameter's type spells it, in quotes where needed."""
    spell = getattr(parameter.type, "spell", None)
    if spell is not None:
        text = spell(value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return shlex.quote(text)
