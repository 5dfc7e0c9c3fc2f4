"""The package as a whole: what it shows, and which way its imports run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import heatmap
from heatmap.cli import main as cli
from heatmap.evaluation.verify import WINDOWS
from heatmap.localization.localize import CONFIDENCE_THRESHOLD
from heatmap.networks.registry import DEFAULT_MODEL
from heatmap.rendering.overlay import OPACITY
from tests.support.paths import ROOT

PACKAGE = ROOT / "heatmap"


def levels() -> dict[str, int]:
    """Module to level, as ARCHITECTURE.md lists them, lowest first."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"```imports\n(.*?)```", text, re.DOTALL).group(1)
    found = {}
    for level, line in enumerate(reversed(block.strip().splitlines())):
        for name in line.split(":", 1)[1].split():
            assert name not in found, f"{name} stands twice"
            found[name] = level
    return found


def imports_of(path: Path) -> set[str]:
    """Sibling modules that a module imports, wherever the import stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
    }


def modules() -> dict[str, set[str]]:
    return {p.stem: imports_of(p) for p in PACKAGE.glob("*.py") if p.stem != "__init__"}


def test_architecture_lists_every_module():
    assert set(levels()) == set(modules())


def test_imports_run_one_way():
    level = levels()
    upward = [
        f"{name} imports {other}"
        for name, others in modules().items()
        for other in others
        if level[other] > level[name]
    ]
    assert upward == []


def test_imports_make_no_circle():
    waiting = modules()
    while waiting:
        free = {name for name, others in waiting.items() if not others & set(waiting)}
        assert free, f"circle among {sorted(waiting)}"
        waiting = {name: others for name, others in waiting.items() if name not in free}


def test_all_names_are_there_and_sorted():
    assert heatmap.__all__ == sorted(heatmap.__all__)
    for name in heatmap.__all__:
        assert getattr(heatmap, name).__doc__, f"{name} has no docstring"


def test_modules_carry_other_names_than_public_functions():
    functions = {name for name in heatmap.__all__ if callable(getattr(heatmap, name))}
    assert not functions & (set(modules()))


def test_files_stay_small():
    for path in PACKAGE.glob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 400, f"{path.name} has {lines} lines: split it by responsibility"


def test_command_line_starts_without_torch():
    code = "import sys, heatmap.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_command_line_has_the_defaults_of_the_python_calls():
    """They stand twice, since the command line does not load what holds the others."""
    defaults = {
        option.name: option.default
        for command in cli.cli.commands.values()
        for option in command.params
    }
    assert defaults["model"] == DEFAULT_MODEL
    assert defaults["opacity"] == OPACITY
    assert defaults["conf"] == CONFIDENCE_THRESHOLD
    assert defaults["windows"] == WINDOWS
