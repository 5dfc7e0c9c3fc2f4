"""Docstrings as Markdown: names in roles become links, examples blocks of code."""

from __future__ import annotations

import re
from typing import Any

import griffe

import heatmap

ROLE = re.compile(r":(func|class|meth|attr|mod|data):`~?([\w.]+)`")
# "alpha, colormap: text", which stands for one entry each.
TOGETHER = re.compile(r"^( +)((?:\w+,\s+)+\w+)(:.*\n?(?:\1 .*\n?)*)", re.MULTILINE)
EXAMPLE = re.compile(r"(?:^ *(?:>>> |\.\.\. ).*\n(?:(?! *>>> )(?! *$).+\n?)*)+", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    return ROLE.sub(_linked, EXAMPLE.sub(_fenced, TOGETHER.sub(_apart, text)))


def _apart(entry: re.Match[str]) -> str:
    indent, names, text = entry.groups()
    text = text.rstrip("\n") + "\n"
    return "".join(f"{indent}{name}{text}" for name in re.split(r",\s+", names))


def _linked(role: re.Match[str]) -> str:
    """A link to a public name or its method; another name is code."""
    kind, name = role[1], role[2].removeprefix("heatmap.")
    public = name.split(".")[0]
    if public not in heatmap.__all__:
        return f"`{name}`"
    return f"[`{name}`][heatmap.{name if kind == 'meth' else public}]"


def _fenced(example: re.Match[str]) -> str:
    code = re.sub(r" *# doctest:.*", "", example[0].rstrip())
    return f"```pycon\n{code}\n```\n"
