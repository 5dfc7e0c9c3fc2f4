"""What mkdocs does beyond mkdocs.yml: pages from outside docs/, and the commands' options.

Links in pages are written as in the repository, so that they work there too; on the site those that
lead out of docs/ lead to the page that a file became.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File

from heatmap.cli.main import cli

ROOT = Path(__file__).parents[1]
# Files outside docs/ that are pages of the site too, by the path that they have there.
PROJECT = {
    "index.md": "README.md",
    "project/samples.md": "samples/README.md",
    "project/architecture.md": "ARCHITECTURE.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changelog.md": "CHANGELOG.md",
}
PAGES = {path: page for page, path in PROJECT.items()}
COMMANDS = "<!-- commands -->"
LINK = re.compile(r"\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside docs/."""
    for page, path in PROJECT.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where their files are on the site; put in the commands."""
    return LINK.sub(lambda link: _led(link, page.file.src_uri), markdown).replace(
        COMMANDS, commands() if COMMANDS in markdown else ""
    )


def _led(link: re.Match[str], page: str) -> str:
    path, anchor = link.groups()
    folder = posixpath.dirname(PROJECT.get(page, f"docs/{page}"))
    target = posixpath.normpath(posixpath.join(folder, path))
    there = PAGES.get(target, target.removeprefix("docs/"))
    if target == there or not (ROOT / target).exists():
        return link[0]
    return f"]({posixpath.relpath(there, posixpath.dirname(page) or '.')}{anchor})"


def commands() -> str:
    """Every command with its options, in Markdown."""
    return "\n\n".join(
        _command(cli.commands[name], name) for name in cli.list_commands(click.Context(cli))
    )


def _command(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=f"heatmap {name}")
    context.meta["heatmap.help_all"] = True
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## heatmap {name}", f"```text\n{usage}\n```", inspect.cleandoc(command.help or "")]
    listed = Sections()
    command.format_options(context, listed)
    return "\n\n".join([*parts, *(_table(title, rows) for title, rows in listed.rows.items())])


class Sections(click.HelpFormatter):
    """Collects the options that a help screen lists under each of its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[tuple[str, str]]] = {}

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.rows[name] = []
        yield

    def write_dl(self, rows: Any, *_: Any, **__: Any) -> None:
        next(reversed(self.rows.values())).extend(rows)


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {title} | |", "| --- | --- |"]
    lines += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
