"""What is published is whole: an editable install hides what a wheel lacks."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import heatmap
from tests.support.environments import empty_environment, link_requirements, run
from tests.support.examples import command_lines, small_demo
from tests.support.paths import ROOT, SAMPLES

README = ROOT / "README.md"
COMMANDS = command_lines(README)


def source_files() -> set[str]:
    """Every file of the package, as a wheel would call it."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "heatmap").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The folder of an sdist, and of the wheel made from it.

    Built from a copy, since building writes beside the sources.
    """
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("published")
    for name in ("pyproject.toml", "setup.cfg", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(
        ROOT / "heatmap", folder / "heatmap", ignore=shutil.ignore_patterns("__pycache__")
    )
    run(sys.executable, "-m", "build", "--no-isolation", folder, cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(published) -> Path:
    (path,) = published.glob("*.whl")
    return path


def test_every_file_of_the_package_is_one_that_a_wheel_is_told_of():
    """Without building one: each folder is a package, or its files are named as data."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = settings["tool"]["setuptools"]["package-data"]
    told = {
        path.relative_to(ROOT).as_posix()
        for package, patterns in data.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    told |= {
        path.relative_to(ROOT).as_posix()
        for package in (ROOT / "heatmap").rglob("__init__.py")
        for path in package.parent.glob("*.py")
    }
    assert source_files() <= told


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == source_files()


@pytest.mark.slow
def test_wheel_and_sdist_can_be_published(published):
    pytest.importorskip("twine")
    files = sorted(published.iterdir())
    assert [file.name.endswith((".whl", ".tar.gz")) for file in files] == [True, True]
    run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=published)


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """The bin folder of an environment in which pip installed the wheel, and no make ran.

    pip finds what the wheel requires there, and would refuse what is missing or too old.
    """
    python = empty_environment(tmp_path_factory.mktemp("environment") / "venv")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    link_requirements(python, metadata.get_all("Requires-Dist"))
    pip = (sys.executable, "-m", "pip", "--isolated", "--python", python, "install", "--quiet")
    run(*pip, "--no-index", wheel, cwd=wheel.parent)
    return python.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With the photos that README's commands name."""
    folder = tmp_path_factory.mktemp("user")
    small_demo(folder / "demo")
    shutil.copytree(SAMPLES / "photos", folder / "samples" / "photos")
    return folder


@pytest.mark.slow
def test_what_is_installed_is_the_wheel_and_what_it_declares(environment, tmp_path):
    code = "import heatmap; print(heatmap.__file__, heatmap.__version__)"
    where, version = run(environment / "python", "-c", code, cwd=tmp_path).split()
    assert Path(where).is_relative_to(environment.parent)
    assert version == heatmap.__version__
    code = "from importlib.util import find_spec; print(find_spec('pytest'), find_spec('ray'))"
    assert run(environment / "python", "-c", code, cwd=tmp_path).split() == ["None", "None"]


@pytest.mark.slow
def test_readme_runs_without_make(environment, folder):
    """Command after command, as they stand; then Python."""
    assert COMMANDS
    cache = str(folder / "cache")
    for line in COMMANDS:
        _, *arguments = shlex.split(line, comments=True)
        printed = run(environment / "heatmap", *arguments, cwd=folder, HEATMAP_CACHE=cache)
        assert printed, line
    for code in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL):
        assert run(environment / "python", "-c", code, cwd=folder, HEATMAP_CACHE=cache)


@pytest.mark.slow
def test_pages_have_their_parts(environment, folder, tmp_path):
    command, cache = environment / "heatmap", str(folder / "cache")
    one = (folder / "cat.png", "-c", "cat", "--html")
    run(command, "run", *one, cwd=tmp_path, HEATMAP_CACHE=cache)
    assert "<script" in (tmp_path / "results" / "cat.html").read_text(encoding="utf-8")
    many = (folder / "samples" / "photos", "-o", "many")
    run(command, "batch", *many, cwd=tmp_path, HEATMAP_CACHE=cache)
    assert "<script" in (tmp_path / "many" / "index.html").read_text(encoding="utf-8")
