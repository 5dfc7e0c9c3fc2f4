"""What is installed is whole: an editable install hides what a wheel lacks."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import skimage.data

import heatmap
from tests.support.paths import ROOT

setuptools = pytest.importorskip("setuptools")

TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
NOT_INSTALLED = ("__pycache__", ".pyc")


def source_files() -> set[str]:
    """Every file of the package, as a wheel would call it."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "heatmap").rglob("*")
        if path.is_file() and not any(part in str(path) for part in NOT_INSTALLED)
    }


def selected_files() -> set[str]:
    """What pyproject.toml selects: modules of the packages found, and their data."""
    packages = setuptools.find_packages(str(ROOT), **TOOLS["packages"]["find"])
    patterns = {package: ["*.py", *TOOLS["package-data"].get(package, [])] for package in packages}
    return {
        path.relative_to(ROOT).as_posix()
        for package, globs in patterns.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
        if path.is_file()
    }


def test_every_file_of_the_package_is_selected_for_the_wheel():
    assert selected_files() == source_files()


def run(*command: object, cwd: Path) -> str:
    """Run without the checkout on Python's path; what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since building writes beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "heatmap", folder / "heatmap", ignore=lambda *_: {"__pycache__"})
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder / "dist", folder, cwd=folder)
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """The bin folder of an environment with the wheel in it.

    Dependencies are those of the environment that runs the tests: a .pth file gives their
    folder, of which Python follows no further .pth file, an editable install's for one.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
    run(*pip, "--force-reinstall", wheel, cwd=folder)
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("heatmap/")}
    assert names == source_files()


@pytest.mark.slow
def test_installed_from_the_wheel_photos_are_run_and_pages_written(environment, tmp_path):
    (tmp_path / "photos").mkdir()
    heatmap.write_image(tmp_path / "photos" / "cat.png", skimage.data.chelsea())
    code = "import heatmap; print(heatmap.__file__, heatmap.__version__)"
    where, version = run(environment / "python", "-c", code, cwd=tmp_path).split()
    assert Path(where).is_relative_to(environment.parent)
    assert version == heatmap.__version__
    run(environment / "heatmap", "run", "photos/cat.png", "-c", "cat", "--html", cwd=tmp_path)
    assert "<script" in (tmp_path / "results" / "cat.html").read_text(encoding="utf-8")
    run(environment / "heatmap", "batch", "photos", "-o", "many", cwd=tmp_path)
    assert "<script" in (tmp_path / "many" / "index.html").read_text(encoding="utf-8")
