"""Whole processes of `heatmap`, from start to end, over what they could not do without.

    python benchmarks/start.py [TURNS]

`heatmap run` on a photo of 640 x 480 px with default settings and the network prepared, over
`import torch`; names that do not exist, over `import numpy, cv2`. All in turn, medians of TURNS
processes each, after two unmeasured ones: so all files are in the page cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from machine import print_machine
from sampling import sample_photo, write_jpeg
from tables import Target, print_table, print_targets

TURNS = 10
UNMEASURED = 2
PHOTO_WH = (640, 480)

RUN = "`heatmap run photo.jpg`"
CLASS = "`heatmap run photo.jpg -c zebrra`, no such class"
MODEL = "`heatmap run photo.jpg -m resnet5O`, no such model"
TORCH = '`python -c "import torch"`'
LIBRARIES = '`python -c "import numpy, cv2"`'
# What is measured, what it is over, and at most how many times as long it should take.
WANTED = ((RUN, TORCH, 0.8), (CLASS, LIBRARIES, 4), (MODEL, LIBRARIES, 4))

# A command, and the exit status that it must end with.
Command = tuple[Sequence[str | Path], int]


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        write_jpeg(Path(folder) / "photo.jpg", sample_photo(*PHOTO_WH))
        report(measure(commands(), Path(folder), turns))


def commands() -> dict[str, Command]:
    heatmap, python = Path(sys.executable).with_name("heatmap"), sys.executable
    return {
        RUN: ((heatmap, "run", "photo.jpg"), 0),
        CLASS: ((heatmap, "run", "photo.jpg", "-c", "zebrra"), 1),
        MODEL: ((heatmap, "run", "photo.jpg", "-m", "resnet5O"), 1),
        TORCH: ((python, "-c", "import torch"), 0),
        LIBRARIES: ((python, "-c", "import numpy, cv2"), 0),
    }


def measure(commands: Mapping[str, Command], folder: Path, turns: int) -> dict[str, list[float]]:
    """Seconds of every process in ``folder``; the first is without prepared networks."""
    environment = {**os.environ, "HEATMAP_CACHE": str(folder / "cache")}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(UNMEASURED + turns):
        for name, (command, status) in commands.items():
            started = time.perf_counter()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
            taken = time.perf_counter() - started
            if done.returncode != status:
                raise SystemExit(f"{name} ends with {done.returncode}: {done.stderr.decode()}")
            print(f"process {turn}: {name}: {taken:.2f} s", file=sys.stderr)
            seconds[name].append(taken)
    return seconds


def report(seconds: Mapping[str, list[float]]) -> None:
    medians = {name: median(taken[UNMEASURED:]) for name, taken in seconds.items()}
    print_table(
        ("process", "first, s", "fastest, s", "median, s", "slowest, s"),
        [
            (
                name,
                *(f"{value:.2f}" for value in (taken[0], min(taken[UNMEASURED:]))),
                *(f"{value:.2f}" for value in (medians[name], max(taken[UNMEASURED:]))),
            )
            for name, taken in seconds.items()
        ],
    )
    print_targets(
        Target(f"{what} / {over}", medians[what] / medians[over], wanted, at_least=False)
        for what, over, wanted in WANTED
    )


if __name__ == "__main__":
    main()
