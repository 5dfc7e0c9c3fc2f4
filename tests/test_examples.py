"""Every example of docs/reference/your-network.md, in the order of the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import skimage

import heatmap
from tests.support.examples import run_line
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "reference" / "your-network.md").read_text(encoding="utf-8")
# A heading, or a block of code with its language.
PARTS = re.findall(
    r"^## ([^\n]*)$|^```(python|console)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
)


def sections() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each heading with its blocks, those before the first heading first in each."""
    before: list[tuple[str, str]] = []
    parts: list[tuple[str, list[tuple[str, str]]]] = [("Your own network", before)]
    for heading, language, code in PARTS:
        if heading:
            parts.append((heading, [*before]))
        else:
            parts[-1][1].append((language, code))
    return parts


def fits(line: str, promised: str) -> bool:
    """Whether a printed line is what the page says; "..." stands for anything."""
    return bool(re.fullmatch(re.escape(promised).replace(r"\.\.\.", ".*"), line))


def run_python(code: str, names: dict[str, object], capsys) -> None:
    """Run a block; each ``print(...)  # text`` must print that text."""
    if file := re.match(r"# (\w+\.py)\n", code):
        Path(file[1]).write_text(code)
        return
    capsys.readouterr()
    exec(code, names)
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert promised or not printed
    assert len(printed) == len(promised), printed
    for line, text in zip(printed, promised, strict=True):
        assert fits(line, text), line


def run_console(code: str, monkeypatch, capsys) -> None:
    """Run each command of a block; what follows it are lines of its output, in their order."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, *promised = part.replace("\\\n", " ").splitlines()
        exit_code, captured = run_line(command, monkeypatch, capsys)
        printed = iter((captured.out + captured.err).splitlines())
        refused = any(line.startswith("heatmap: ") for line in promised)
        assert exit_code == (1 if refused else 0), captured.err
        for text in promised:
            assert any(fits(line, text) for line in printed), text


@pytest.mark.parametrize(("heading", "blocks"), sections(), ids=[name for name, _ in sections()])
def test_every_example_gives_what_the_page_says(heading, blocks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Two sections write the same file anew.
    modules = set(sys.modules)
    heatmap.write_image(Path("cat.png"), skimage.data.chelsea()[::2, ::2])
    names: dict[str, object] = {}
    try:
        for language, code in blocks:
            if language == "python":
                run_python(code, names, capsys)
            else:
                run_console(code, monkeypatch, capsys)
    finally:
        for name in set(sys.modules) - modules:
            if (tmp_path / f"{name}.py").exists():
                del sys.modules[name]
