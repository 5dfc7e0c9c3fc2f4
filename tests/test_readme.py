"""The README's examples, run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import skimage

import heatmap
from heatmap.cli import main as cli
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for line in README.splitlines() if line.startswith("heatmap ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("readme")
    heatmap.write_image(made / "cat.png", skimage.data.chelsea())
    script = ROOT / "samples" / "make_collage.py"
    subprocess.run([sys.executable, script, made / "demo"], check=True)
    script = ROOT / "samples" / "textures.py"
    subprocess.run([sys.executable, script, made / "demo", "--data-only"], check=True)
    return made


@pytest.fixture(autouse=True)
def _beside_the_cat(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def test_readme_has_examples():
    assert len(PYTHON) == 2
    assert [shlex.split(line)[1] for line in COMMANDS] == [
        "run",
        "run",
        "run",
        "view",
        "batch",
        "evaluate",
        "render",
        "verify",
        "summary",
        "models",
        "export",
        "adapt",
        "train",
        "run",
    ]


@pytest.mark.parametrize("code", PYTHON, ids=["score", "convert"])
def test_python_example_runs_and_gives_what_its_comments_say(code, capsys):
    names: dict[str, object] = {}
    exec(code, names)
    for line in code.splitlines():
        shape = re.match(r"(\S.*\.shape) +# \(([\d, ]+)\)", line)
        if shape:
            assert tuple(eval(shape[1], names)) == tuple(map(int, shape[2].split(",")))
    assert capsys.readouterr().out


def test_convert_example_concludes_what_its_comment_says(capsys):
    exec(PYTHON[1], {})
    promised = re.search(r"print\(report\.conclusion\) +# (.*)\.\.\.", PYTHON[1])[1]
    assert capsys.readouterr().out.startswith(promised)


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.split(" -")[0])
def test_command_runs(line, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", shlex.split(line))
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert printed.out
