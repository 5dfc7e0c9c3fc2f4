"""Environments of Python that hold what a package declares, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run without the checkout on Python's path; what it printed."""
    without = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=without | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def empty_environment(folder: Path) -> Path:
    """Make one with nothing in it, not even pip, and say where its Python is."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    return folder / "bin" / "python"


def link_requirements(python: Path, requirements: Iterable[str]) -> None:
    """Give an environment what is required, and what that requires, as links to what is here.

    To install torch anew would take minutes and gigabytes. What nothing requires is not there, so
    that what is used without being declared fails.
    """
    (packages,) = python.parent.parent.glob("lib/python3*/site-packages")
    for found in _closure(requirements):
        for name in {path.parts[0] for path in found.files or () if path.parts[0] != ".."}:
            link = packages / name
            if not os.path.lexists(link):
                link.symlink_to(Path(str(found.locate_file(name))).resolve())


def _closure(requirements: Iterable[str]) -> list[Distribution]:
    """The distributions that are required, directly or not, each once."""
    found: dict[tuple[str, str], Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, within = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": within}):
            continue
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in found:
                here = distribution(requirement.name)
                found[requirement.name, extra] = here
                waiting += [(Requirement(text), extra) for text in here.requires or ()]
    return list(found.values())
