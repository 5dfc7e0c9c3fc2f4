"""Libraries that are missing or too old: one line at the start that says what to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import heatmap
from heatmap import installed
from heatmap.errors import HeatmapError
from heatmap.installed import check_installed
from tests.support.paths import ROOT

COMMAND = "from heatmap.cli.main import main; main()"
CALL = "import heatmap; heatmap.run"


@pytest.fixture(autouse=True)
def _asked_anew():
    check_installed.cache_clear()
    yield
    check_installed.cache_clear()


def start(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the modules of a folder before those that are installed."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


# The module that is found instead, and what is said of it.
STANDINS = [
    (
        "cv2.py",
        '__version__ = "4.12.0"',
        "OpenCV 4.12.0 is installed, heatmap needs 5.0 or newer: "
        "pip install 'opencv-python-headless>=5.0'",
    ),
    (
        "cv2.py",
        'raise ImportError("libGL.so.1: cannot open shared object file")',
        "OpenCV cannot be loaded (libGL.so.1: cannot open shared object file): "
        "pip install 'opencv-python-headless>=5.0'",
    ),
    (
        "pyvips.py",
        "raise OSError(\"cannot load library 'libvips.so.42'\\n\\nAdditionally, ...\")",
        "libvips cannot be loaded (cannot load library 'libvips.so.42'): "
        "pip install 'pyvips-binary>=8.16'",
    ),
    (
        "pyvips.py",
        "def version(part): return (8, 14, 1)[part]",
        "libvips 8.14.1 is installed, heatmap needs 8.16 or newer: "
        "pip install 'pyvips-binary>=8.16'",
    ),
]


@pytest.mark.few(3)
@pytest.mark.parametrize(("name", "content", "line"), STANDINS)
def test_the_command_ends_in_one_line(tmp_path, name, content, line):
    (tmp_path / name).write_text(content)
    ended = start(tmp_path, COMMAND, "run", str(ROOT / "docs/img/chelsea.jpg"), "-o", str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"heatmap: {line}\n")
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == [name]


def test_help_needs_no_library(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError")
    assert start(tmp_path, COMMAND, "run", "--help").returncode == 0


def test_python_is_told_the_same(tmp_path):
    (tmp_path / "cv2.py").write_text(STANDINS[0][1])
    caught = "import heatmap\ntry: heatmap.run\nexcept heatmap.HeatmapError as e: print(e)"
    ended = start(tmp_path, caught)
    assert (ended.stdout, ended.stderr) == (f"{STANDINS[0][2]}\n", "")


@pytest.mark.parametrize("name", ["torch", "timm", "numpy", "tifffile"])
def test_a_package_that_is_too_old_is_named(monkeypatch, name):
    real = installed.version
    monkeypatch.setattr(installed, "version", lambda one: "0.1" if one == name else real(one))
    message = f"{name} 0.1 is installed, heatmap needs .* or newer: pip install '{name}>=.*'"
    with pytest.raises(HeatmapError, match=message):
        heatmap.__getattr__("run")


def test_an_opencv_over_the_one_that_is_needed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="4.9.0"))
    monkeypatch.setattr(installed, "_is_installed", lambda name: name == "opencv-python")
    message = "pip uninstall opencv-python opencv-python-headless, then pip install 'opencv"
    with pytest.raises(HeatmapError, match=message):
        check_installed()


def test_what_is_needed_is_what_pyproject_says():
    """Each of the dependencies with a bound, and no extra."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    block = re.search(r"^dependencies = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)[1]
    assert installed.least_versions() == dict(re.findall(r'"([\w-]+)>=([\d.]+)"', block))
    check_installed()
