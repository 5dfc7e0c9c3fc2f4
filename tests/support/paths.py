"""Where the repository keeps what tests read."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"


def too_deep(folder: Path) -> Path:
    """A folder that nobody can read by its path, which is longer than the system's limit.

    One without permissions would not do: the superuser reads it.
    """
    inside, path = os.open(folder, os.O_RDONLY), folder
    try:
        while len(os.fsencode(path)) <= os.pathconf(folder, "PC_PATH_MAX"):
            name = "d" * 200
            os.mkdir(name, dir_fd=inside)
            outside, inside = inside, os.open(name, os.O_RDONLY, dir_fd=inside)
            os.close(outside)
            path /= name
    finally:
        os.close(inside)
    return path
