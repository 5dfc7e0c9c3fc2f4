"""Time a megapixel and peak memory by size of the photo, under a budget of 1 GB.

    python benchmarks/growth.py [SIDE_PX ...]

Square photos of 2048 to 16384 px, as baseline JPEG and as tiled TIFF, are made in a
temporary folder, scored with the built-in network each in a process of its own, and
deleted. Loading the network is not in the time, but it is in the memory. Small photos are
scored before, between and after the large ones, and their median counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from machine import peak_bytes, print_machine
from sampling import sample_photo, write_large_photo
from tables import Target, print_table, print_targets

import heatmap
from heatmap.scoring import collect

SIDES_PX = (2048, 4096, 8192, 16384)
SUFFIXES = (".jpg", ".tif")
MEMORY = 10**9
# Of the largest photo: peak of the process, and time a megapixel over that of 4096 px.
PEAK_GB = 2.0
GROWTH = 1.15
COMPARED_PX = 4096
# Photos up to this size take seconds, which scatter more than minutes do.
SMALL_PX = 4096
TURNS = 3
# Where memory is not kept between bands: see heatmap/memory.py.
GIVEN_BACK = "--given-back"
GIVEN_BACK_FILE = "8192.tif"


@dataclass(frozen=True)
class Measured:
    """One photo scored: ``file_mb``, seconds, and the process's peak of resident memory."""

    side_px: int
    suffix: str
    file_mb: float
    seconds: float
    peak_gb: float
    given_back: bool = False

    @property
    def what(self) -> str:
        note = ", memory given back at every band" if self.given_back else ""
        return f"{self.suffix[1:]}, {self.megapixels:.0f} megapixels{note}"

    @property
    def megapixels(self) -> float:
        return self.side_px**2 / 1e6

    @property
    def seconds_per_megapixel(self) -> float:
        return self.seconds / self.megapixels


def main() -> None:
    sides = [int(side) for side in sys.argv[1:]] or SIDES_PX
    print_machine()
    measured = [photo for suffix in SUFFIXES for photo in measure(suffix, sides)]
    print_table(
        ("photo", "file, MB", "seconds", "s a megapixel", "peak, GB"),
        [
            (
                photo.what,
                f"{photo.file_mb:.0f}",
                f"{photo.seconds:.1f}",
                f"{photo.seconds_per_megapixel:.3f}",
                f"{photo.peak_gb:.2f}",
            )
            for photo in measured
        ],
    )
    if {COMPARED_PX, SIDES_PX[-1]} <= set(sides):
        print_targets(target for suffix in SUFFIXES for target in targets(suffix, measured))


def measure(suffix: str, sides: Sequence[int]) -> list[Measured]:
    """Every size, and one without memory being kept."""
    runs: dict[tuple[int, bool], list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {side: Path(folder) / f"{side}{suffix}" for side in sides}
        for side, path in paths.items():
            write_large_photo(path, side)
        for turn in range(TURNS):
            for side, path in paths.items():
                for options in ([], [GIVEN_BACK])[: 1 + (path.name == GIVEN_BACK_FILE)]:
                    if side <= SMALL_PX or turn == TURNS // 2:
                        run = measured_alone(path, side, options)
                        runs.setdefault((side, run.given_back), []).append(run)
    return [median(several) for several in runs.values()]


def measured_alone(path: Path, side_px: int, options: list[str]) -> Measured:
    command = [sys.executable, __file__, "--score", str(path), *options]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{path.name} {options}: {answer.strip()}", file=sys.stderr)
    file_mb = path.stat().st_size / 1e6
    return Measured(side_px, path.suffix, file_mb, **json.loads(answer), given_back=bool(options))


def median(several: list[Measured]) -> Measured:
    return sorted(several, key=lambda run: run.seconds)[len(several) // 2]


def targets(suffix: str, measured: list[Measured]) -> list[Target]:
    alike = [run for run in measured if run.suffix == suffix and not run.given_back]
    by_side = {run.side_px: run for run in alike}
    largest, compared = by_side[SIDES_PX[-1]], by_side[COMPARED_PX]
    growth = largest.seconds_per_megapixel / compared.seconds_per_megapixel
    return [
        Target(f"{largest.what}: peak, GB", largest.peak_gb, PEAK_GB, at_least=False),
        Target(f"{largest.what}: time a megapixel / that at 17", growth, GROWTH, at_least=False),
    ]


def score(path: Path) -> None:
    """In the process of its own: score one photo and print what it took."""
    # What does not fit is scored in torch, in bands; so are the small ones here, to compare.
    scorer = heatmap.prepare(backend="torch")
    scorer.score(sample_photo(scorer.facts.preprocessing.window_px))
    started = time.perf_counter()
    scorer.score(path, memory=MEMORY, folder=path.parent)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_gb": peak_bytes() / 1e9}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--score"]:
        with ExitStack() as stack:
            if GIVEN_BACK in sys.argv:
                stack.enter_context(patch.object(collect, "kept_memory", nullcontext))
            score(Path(sys.argv[2]))
    else:
        main()
