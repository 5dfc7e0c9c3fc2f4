"""Shell completion: of classes and models, and `heatmap completion`, which prints the scripts.

Nothing that takes long is loaded: names come from the user's cache and from files.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import deque
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from ..errors import HeatmapError, reason_of
from .command import Command
from .console import progress_line

Items = list[CompletionItem[str]]

PROGRAM = "heatmap"
_VARIABLE = "_HEATMAP_COMPLETE"
# What no quoting is needed for in bash, and no word ends at.
_NOT_PLAIN = re.compile(r"([^\w@%+,./-])")


def complete_classes(context: click.Context, _: click.Parameter, typed: str) -> Items:
    """The classes and groups of the model named so far on the line, or of the default one."""
    from ..networks.known_classes import known_classes
    from ..networks.model_names import DEFAULT_MODEL

    given: dict[str, Any] = context.params
    files = {name: given.get(name) for name in ("class_names", "groups")}
    weights = given.get("weights") or "default"
    try:
        model = given.get("model") or DEFAULT_MODEL
        classes = known_classes(model, weights=weights, **files, ask=False)
    # The command will say what it is.
    except (HeatmapError, OSError):
        return []
    if classes is None:
        return []
    groups = {group.name: f"{len(group.indices)} classes" for group in classes.groups}
    # A class goes before a group of its name.
    helps = groups | dict.fromkeys(classes.names)
    return [CompletionItem(name, help=helps[name]) for name in _begin_so(helps, typed)]


def complete_models(_: click.Context, __: click.Parameter, typed: str) -> Items:
    """The names of models, and the files beside them that are some; otherwise any file."""
    from ..networks.model_names import DEFAULT_MODEL, library_names

    known = library_names(ask=False)
    names = [DEFAULT_MODEL, *known.torchvision]
    # There are over a thousand.
    if typed:
        names += known.timm
    found = _begin_so(names, typed) + _model_files(typed)
    return [CompletionItem(name) for name in found] or [CompletionItem(typed, type="file")]


def _begin_so(names: Any, typed: str) -> list[str]:
    """Those names that begin with what was typed, in any case, sorted."""
    start = typed.casefold()
    return sorted((name for name in names if name.casefold().startswith(start)), key=str.casefold)


def _model_files(start: str) -> list[str]:
    """The files of the working folder that are models by their suffix and begin so."""
    from ..networks.model_names import FILE_SUFFIXES

    try:
        names = os.listdir()
    except OSError:
        return []
    hidden = () if start else (".",)
    return sorted(
        name
        for name in names
        if name.startswith(start) and name.endswith(FILE_SUFFIXES) and not name.startswith(hidden)
    )


@add_completion_class
class QuotingBash(BashComplete):
    """For bash: names with spaces and quotes, and options written as ``--class=NAME``.

    click's own splits names at spaces where they are inserted, and words at ``=`` and ``:``.
    """

    source_template = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete \
"$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one at the cursor, and that one, as far as it was typed."""
        line = os.environ.get("COMP_LINE", "")
        # Without a letter behind it, a new word would not be one yet.
        *words, last = split_arg_string(f"{line}x")
        return words[1:], last[:-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Kind and value, as it continues what was typed."""
        value = item.value
        if item.type == "plain":
            value = _continued(value, _open_quote(os.environ.get("COMP_LINE", "")))
        return f"{item.type},{value}"


class _WholeWords(ShellComplete):
    """For shells that put a value in place of the whole word: ``--class=NAME``, not ``NAME``."""

    def get_completions(self, args: list[str], incomplete: str) -> Items:
        """The values, behind the option where it is part of the word."""
        items = super().get_completions(args, incomplete)
        option, sign, _ = incomplete.partition("=")
        if not sign or not option.startswith("--"):
            return items
        return [
            CompletionItem(f"{option}={item.value}", item.type, item.help)
            if item.type == "plain"
            else item
            for item in items
        ]


@add_completion_class
class WholeWordZsh(_WholeWords, ZshComplete):
    """For zsh."""


@add_completion_class
class WholeWordFish(_WholeWords, FishComplete):
    """For fish: names and descriptions with commas too, at which click's own ends them."""

    source_template = """\
function %(complete_func)s
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp | string collect) \
COMP_CWORD=(commandline -t | string collect) %(prog_name)s 2>/dev/null)
        set -l told (string split --max 1 "," -- $line)
        switch $told[1]
            case dir
                __fish_complete_directories $told[2]
            case file
                __fish_complete_path $told[2]
            case plain
                echo $told[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


def _open_quote(line: str) -> str:
    """The quote that is open at the end of a line, or ""."""
    reader = shlex.shlex(line, posix=True)
    reader.whitespace_split, reader.commenters = True, ""
    try:
        deque(reader, maxlen=0)
    except ValueError:
        # Not in the types of the standard library.
        state = getattr(reader, "state", "")
        return state if state in ('"', "'") else ""
    return ""


def _continued(text: str, quote: str) -> str:
    """A text as bash has it behind this quote, or behind none."""
    if quote == "'":
        return text.replace("'", r"'\''")
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", text)
    return _NOT_PLAIN.sub(r"\\\1", text)


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete classes and models.

    In ~/.bashrc: eval "$(heatmap completion bash)". In ~/.zshrc, behind compinit: eval "$(heatmap
    completion zsh)". For fish: heatmap completion fish > ~/.config/fish/completions/heatmap.fish.
    The first call looks up the names of models and classes, which takes some seconds.
    """
    form = get_completion_class(shell)
    assert form is not None
    click.echo(form(context.find_root().command, {}, PROGRAM, _VARIABLE).source(), nl=False)
    _keep_names()


def _keep_names() -> None:
    """Look up what is completed, once, where it can be kept."""
    from ..cache_folder import cache_folder
    from ..networks.imagenet import IMAGENET_1K, kept_classes
    from ..networks.model_names import MODELS, library_names

    folder = cache_folder(MODELS)
    with progress_line("looking up models and classes") as line:
        if folder.note:
            line.note(f"no names of models and classes are completed: {folder.note}")
        if folder.path is None:
            return
        try:
            library_names()
            kept_classes(IMAGENET_1K)
        # A library that is broken raises anything; commands and options are completed still.
        except Exception as error:
            line.note(f"no names of models and classes are completed: {reason_of(error)}")
