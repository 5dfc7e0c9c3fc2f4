"""The package as a whole: what it shows, which way its imports run, how large its files are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import heatmap
from heatmap.cli import main as cli
from heatmap.cli import result_options
from heatmap.evaluation.verify import WINDOWS
from heatmap.localization.confirm import CONFIRM
from heatmap.localization.localize import CONFIDENCE_THRESHOLD, IOU_THRESHOLD
from heatmap.networks.model_names import DEFAULT_MODEL
from heatmap.rendering.overlay import ALPHA
from tests.support.paths import ROOT

PACKAGE = ROOT / "heatmap"
# Rooms that a network prepared beforehand can be run from without torch.
TORCH_FREE = ("prepared", "photo", "grid", "localization", "rendering", "runs", "cli")
TORCH = ("torch", "torchvision", "timm")
TORCH_ROOMS = ("conversion", "networks", "scoring", "training", "evaluation")
MOST_LINES = 350
MOST_LINES_A_FUNCTION = 60
DEFINITION = re.compile(r"( *)(?:@|class |(?:async )?def )")


def listed() -> dict[str, list[str]]:
    """The modules of each package as ARCHITECTURE.md lists them, highest package first."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"```imports\n(.*?)```", text, re.DOTALL).group(1)
    lines = [line.split(":", 1) for line in block.strip().splitlines()]
    return {package: modules.split() for package, modules in lines}


def sources(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> tuple[str, str]:
    """Package and module, as ARCHITECTURE.md names them: ("scoring", "bands.plan")."""
    first, *rest = path.relative_to(PACKAGE).with_suffix("").parts
    return (first, ".".join(rest)) if rest else ("heatmap", first)


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """The imports and constants of a file, wherever they stand."""
    wanted = ast.Import | ast.ImportFrom | ast.Constant
    return tuple(node for node in ast.walk(parsed(path)) if isinstance(node, wanted))


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """Modules of this package that a module imports, wherever the import stands."""
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield module_of(path.parents[node.level - 1] / f"{node.module.replace('.', '/')}.py")


@cache
def modules() -> dict[tuple[str, str], set[tuple[str, str]]]:
    # What is started, not imported.
    started = ("__init__.py", "__main__.py")
    paths = [path for path in sources() if path.name not in started]
    return {module_of(path): set(imports_of(path)) for path in paths}


def test_architecture_lists_every_module():
    names = [(package, name) for package, names in listed().items() for name in names]
    assert sorted(names) == sorted(modules())


def test_imports_run_one_way():
    """To packages below, or to modules further right on the same line."""
    packages = listed()
    height = {
        (package, name): (-row, -column)
        for row, (package, names) in enumerate(packages.items())
        for column, name in enumerate(names)
    }
    upward = [
        f"{'.'.join(module)} imports {'.'.join(other)}"
        for module, others in modules().items()
        for other in others
        if height[other] >= height[module]
    ]
    assert upward == []


@pytest.mark.parametrize("package", TORCH_FREE)
def test_rooms_without_torch_import_it_nowhere(package):
    """Nor, but inside functions and for types, the rooms that do."""
    found = []
    for path in sources(PACKAGE / package):
        tree = parsed(path)
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module.split(".")[0]]
            else:
                continue
            found += [f"{path.name}: {name}" for name in names if name in TORCH]
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                target = module_of(path.parents[node.level - 1] / f"{node.module}.py")[0]
                if target.split(".")[0] in TORCH_ROOMS:
                    found.append(f"{path.name}: {target}")
    assert found == []


def test_rooms_without_torch_load_without_it():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in TORCH_FREE
        for path in sources(PACKAGE / package)
        if path.name != "__init__.py"
    ]
    # Nor what else takes long to import, and is needed for some photos only.
    heavy = {*TORCH, "ray", "skimage", "scipy", "tifffile", "psutil"}
    code = f"import sys, {', '.join(names)}; print({heavy} & sys.modules.keys())"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "set()\n"


PUBLIC = set(
    """
    AdaptOptions Batch ClassError ClassGroup Classifier ConversionError Detection EvaluationReport
    Findings FullyConvolutional Geometry GeometryError HeatmapError InexactError ModelError Photo
    PhotoError Placement Program Reading Reporter Result ResultError RunOptions ScoreGrid Scorer
    Summary TrainOptions Trained VerifyReport VerifySummary adapt batch convert draw_report
    evaluate export list_models load load_classifier localize overlay prepare read_photo render
    run save_checkpoint saved_results score sharp_maps summary tighten train verify view
    write_image
    """.split()
)


def test_public_names_are_there_sorted_and_described():
    assert set(heatmap.__all__) == PUBLIC
    assert heatmap.__all__ == sorted(heatmap.__all__)
    for name in heatmap.__all__:
        assert getattr(heatmap, name).__doc__, f"{name} has no docstring"


def test_packages_carry_other_names_than_public_functions():
    """Importing a package would put itself in the function's place."""
    assert not PUBLIC & {package for package, _ in modules()}
    assert not PUBLIC & {name for package, name in modules() if package == "heatmap"}


def python_files() -> list[Path]:
    folders = ("heatmap", "tests", "benchmarks", "samples", "docs")
    return [path for folder in folders for path in sources(ROOT / folder)]


def test_files_stay_small():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def may_hold_a_long_function(path: Path) -> bool:
    """Whether a definition has no other one as far left within so many lines.

    To parse every file instead takes seconds.
    """
    text = path.read_text(encoding="utf-8").splitlines()
    found = [(at, match) for at, line in enumerate(text) if (match := DEFINITION.match(line))]
    open_ones: list[tuple[int, int]] = []
    for at, indent in [*((at, len(match[1])) for at, match in found), (len(text), 0)]:
        while open_ones and open_ones[-1][1] >= indent:
            if at - open_ones.pop()[0] > MOST_LINES_A_FUNCTION:
                return True
        open_ones.append((at, indent))
    return False


def test_functions_stay_small():
    long = {
        f"{path.relative_to(ROOT)}: {node.name}": lines
        for path in python_files()
        if may_hold_a_long_function(path)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := node.end_lineno - node.lineno + 1) > MOST_LINES_A_FUNCTION
    }
    assert long == {}


def test_library_code_names_no_option_of_the_command_line():
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {match[0]}"
        for path in sources()
        if "cli" not in path.relative_to(PACKAGE).parts
        for node in nodes_of(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in re.finditer(r"--[a-zA-Z]\S*", node.value)
    ]
    assert named == []


def test_command_line_has_the_defaults_of_the_python_calls():
    """They stand twice, since the command line does not load what holds the others."""
    defaults = {
        option.name: option.default
        for command in cli.cli.commands.values()
        for option in command.params
    }
    assert defaults["model"] == DEFAULT_MODEL
    assert result_options.ALPHA == ALPHA
    assert defaults["conf"] == CONFIDENCE_THRESHOLD
    assert defaults["iou"] == IOU_THRESHOLD
    assert defaults["confirm"] == CONFIRM
    assert defaults["windows"] == WINDOWS
