"""Each command and the Python function of its name: the same options, defaults and files."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import heatmap
from heatmap.cli import main as cli
from heatmap.networks.adapt import _HeadOptions
from heatmap.networks.load_options import LoadOptions
from heatmap.networks.resolve import Source
from heatmap.photo.reading import Reading
from heatmap.runs.options import BatchOptions, EvaluateOptions, VerifyOptions
from heatmap.runs.request import Display, Extras, Limits, MultiScale
from heatmap.scoring.device import Compute
from heatmap.training.fit import Schedule

# Each command with its function and the group of options that this takes by name.
FUNCTIONS: dict[str, tuple[Callable[..., Any], type | None]] = {
    "run": (heatmap.run, heatmap.RunOptions),
    "batch": (heatmap.batch, BatchOptions),
    "verify": (heatmap.verify, VerifyOptions),
    "evaluate": (heatmap.evaluate, EvaluateOptions),
    "render": (heatmap.render, None),
    "view": (heatmap.view, None),
    "train": (heatmap.train, heatmap.TrainOptions),
    "adapt": (heatmap.adapt, heatmap.AdaptOptions),
    "export": (heatmap.export, LoadOptions),
    "summary": (heatmap.summary, LoadOptions),
    "models": (heatmap.list_models, None),
}
# They are about the program itself.
WITHOUT = {"doctor", "completion"}
# What only a command has, and why.
ONLY_TYPED = {
    "as_json": "what is printed; in Python there is the result itself",
    "quiet": "what is printed",
    "verbose": "what is printed",
    "verify max_difference": "is an exit code; in Python `exceeds` of what is returned",
    "models cached": "the user's cache, no list of names",
    "models clear_cache": "the user's cache, no list of names",
    "run photos": "is `photo` in Python, which may be one or several",
}
# What only a function has, and why.
ONLY_PYTHON = {
    "progress": "the terminal shows it",
    "render on_error": "the command prints each error",
    "view on_error": "the command prints each error",
    "run photo": "is `photos` on the command line, of which there may be several",
}
# Options that are typed by another name than their parameter's, since they are repeated.
TYPED = {"classes": "class", "scales": "scale", "formats": "format", "as_json": "json"}

_GROUPS = (Display, MultiScale, Limits, Extras, Reading, Source, Compute, Schedule, _HeadOptions)
# The defaults of options that functions take as groups.
DEFAULTS = {each.name: each.default for group in _GROUPS for each in dataclasses.fields(group)} | {
    "engine": "auto",
    "backend": "auto",
}


def options_of(command: str) -> dict[str, click.Parameter]:
    hidden = {"help_all"}
    params = cli.cli.commands[command].params
    return {each.name: each for each in params if each.expose_value and each.name not in hidden}


def keywords_of(command: str) -> dict[str, Any]:
    """The keywords of a function with their defaults, and those of its group of options."""
    function, group = FUNCTIONS[command]
    parameters = inspect.signature(function).parameters.values()
    own = {each.name: each.default for each in parameters if each.kind is not each.VAR_KEYWORD}
    grouped = {} if group is None else group.__annotations__
    return {**{name: DEFAULTS.get(name) for name in grouped}, **own}


def is_listed(names: dict[str, str], command: str, name: str) -> bool:
    return name in names or f"{command} {name}" in names


def test_every_command_has_its_function():
    assert FUNCTIONS.keys() | WITHOUT == cli.cli.commands.keys()


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_function_takes_what_its_command_does_by_the_same_name(command):
    typed, keywords = options_of(command), keywords_of(command)
    assert {
        name for name in typed if name not in keywords and not is_listed(ONLY_TYPED, command, name)
    } == set()
    assert {
        name for name in keywords if name not in typed and not is_listed(ONLY_PYTHON, command, name)
    } == set()


@pytest.mark.parametrize("command", FUNCTIONS)
def test_options_are_typed_as_their_parameters_are_named(command):
    for name, option in options_of(command).items():
        if isinstance(option, click.Option):
            assert f"--{TYPED.get(name, name.replace('_', '-'))}" in option.opts


@pytest.mark.parametrize("command", FUNCTIONS)
def test_defaults_are_the_same_where_both_have_one(command):
    needed = {"evaluate": ["a", "b"], "export": ["-o", "heatmap.onnx"]}
    given = [] if command in ("adapt", "summary", "models") else needed.get(command, ["a"])
    made = cli.cli.commands[command].make_context(command, given)
    keywords, differing = keywords_of(command), {}
    for name, value in made.params.items():
        typed, default = plain(value), plain(keywords.get(name))
        if typed != default and None not in (typed, default):
            differing[name] = (typed, default)
    assert differing == {}


def plain(value: Any) -> Any:
    """A default; None where there is none: switched off and no entries are as not given."""
    if value is inspect.Parameter.empty or value in (False, (), None):
        return None
    return str(value) if isinstance(value, Path) else value


def test_what_is_listed_as_differing_does():
    for listed, having, lacking in (
        (ONLY_TYPED, options_of, keywords_of),
        (ONLY_PYTHON, keywords_of, options_of),
    ):
        for entry in listed:
            command, _, name = entry.rpartition(" ")
            commands = [command] if command else list(FUNCTIONS)
            assert any(name in having(each) for each in commands), entry
            assert not any(name in lacking(each) for each in commands), entry


@pytest.mark.parametrize("command", [name for name, (_, group) in FUNCTIONS.items() if group])
def test_a_keyword_that_there_is_not_is_refused_with_what_may_be_meant(command):
    function, group = FUNCTIONS[command]
    needed = ("photos", "boxes.json") if command == "evaluate" else ("photo.jpg",)
    own = [name for name in keywords_of(command) if name not in group.__annotations__][-1]
    for name in ("weights", own):
        message = rf"{command}\(\) got an unexpected keyword argument '{name}x': "
        with pytest.raises(TypeError, match=rf"{message}did you mean '{name}'\?$"):
            function(*needed, **{f"{name}x": 1})


def test_prepare_too_says_what_may_be_meant():
    with pytest.raises(
        TypeError, match=r"^prepare\(\) got .* 'wieghts': did you mean 'weights'\?$"
    ):
        heatmap.prepare(wieghts="random")
