"""Time a megapixel and peak memory by size of the photo, under a budget of 1 GB.

    python benchmarks/growth.py [SIDE_PX ...]

Square photos of 2048 to 16384 px, as baseline JPEG and as tiled TIFF, are made in a
temporary folder, scored with the built-in network each in a process of its own, and
deleted. Loading the network is not in the time, but it is in the memory. Small photos are
scored before, between and after the large ones, and their median counts. JPEG files of two sizes
are also scored with EfficientNet-B0 (random weights), sliding with local statistics, under a budget
of 2 GB.
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

from local import varied
from machine import peak_bytes, print_machine
from sampling import sample_photo, write_large_photo
from tables import Target, print_table, print_targets

import heatmap
from heatmap.scoring import collect

SIDES_PX = (2048, 4096, 8192, 16384)
SUFFIXES = (".jpg", ".tif")
MEMORY, MEMORY_LOCAL = 10**9, 2 * 10**9
# Of the largest photo: peak of the process, and time a megapixel over that of 4096 px.
PEAK_GB = 2.0
GROWTH = 1.15
COMPARED_PX = 4096
# Photos up to this size take seconds, which scatter more than minutes do.
SMALL_PX = 4096
TURNS = 3
# Where memory is not kept between bands (see heatmap/memory.py), and another network.
GIVEN_BACK, LOCAL = "--given-back", "--local"
NOTES = {
    "": "",
    GIVEN_BACK: ", memory given back at every band",
    LOCAL: ", EfficientNet-B0, local statistics",
}
WAYS = {"8192.tif": [GIVEN_BACK], "4096.jpg": [LOCAL], "16384.jpg": [LOCAL]}


@dataclass(frozen=True)
class Measured:
    """One photo scored: seconds, and the process's peaks of resident memory, at first and at all.

    ``way`` is one of NOTES.
    """

    side_px: int
    suffix: str
    way: str
    file_mb: float
    seconds: float
    loaded_gb: float
    peak_gb: float

    @property
    def what(self) -> str:
        return f"{self.suffix[1:]}, {self.megapixels:.0f} megapixels{NOTES[self.way]}"

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
    """Every size in every way that it is scored in."""
    runs: dict[tuple[int, str], list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {side: Path(folder) / f"{side}{suffix}" for side in sides}
        for side, path in paths.items():
            write_large_photo(path, side)
        for turn in range(TURNS):
            for side, path in paths.items():
                for way in ["", *WAYS.get(path.name, [])]:
                    if side <= SMALL_PX or turn == TURNS // 2:
                        run = measured_alone(path, side, way)
                        runs.setdefault((side, way), []).append(run)
    return [median(several) for several in runs.values()]


def measured_alone(path: Path, side_px: int, way: str) -> Measured:
    command = [sys.executable, __file__, "--score", str(path), way]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{path.name} {way}: {answer.strip()}", file=sys.stderr)
    return Measured(side_px, path.suffix, way, path.stat().st_size / 1e6, **json.loads(answer))


def median(several: list[Measured]) -> Measured:
    return sorted(several, key=lambda run: run.seconds)[len(several) // 2]


def targets(suffix: str, measured: list[Measured]) -> list[Target]:
    alike = [run for run in measured if run.suffix == suffix and not run.way]
    by_side = {run.side_px: run for run in alike}
    largest, compared = by_side[SIDES_PX[-1]], by_side[COMPARED_PX]
    growth = largest.seconds_per_megapixel / compared.seconds_per_megapixel
    beyond = [
        Target(
            f"{run.what}: peak beyond the loaded network / budget",
            (run.peak_gb - run.loaded_gb) * 1e9 / MEMORY_LOCAL,
            1,
            at_least=False,
        )
        for run in measured
        if run.suffix == suffix and run.way == LOCAL
    ]
    return [
        Target(f"{largest.what}: peak, GB", largest.peak_gb, PEAK_GB, at_least=False),
        Target(f"{largest.what}: time a megapixel / that at 17", growth, GROWTH, at_least=False),
        *beyond,
    ]


def score(path: Path, way: str) -> None:
    """In the process of its own: score one photo and print what it took."""
    # What does not fit is scored in torch, in bands; so are the small ones here, to compare.
    if way == LOCAL:
        scorer = heatmap.prepare(varied("efficientnet_b0"), statistics="local", backend="torch")
    else:
        scorer = heatmap.prepare(backend="torch")
    scorer.score(sample_photo(scorer.facts.preprocessing.window_px))
    loaded, started = peak_bytes(), time.perf_counter()
    memory = MEMORY_LOCAL if way == LOCAL else MEMORY
    scorer.score(path, memory=memory, folder=path.parent)
    seconds = time.perf_counter() - started
    taken = {"seconds": seconds, "loaded_gb": loaded / 1e9, "peak_gb": peak_bytes() / 1e9}
    print(json.dumps(taken))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--score"]:
        with ExitStack() as stack:
            if sys.argv[3] == GIVEN_BACK:
                stack.enter_context(patch.object(collect, "kept_memory", nullcontext))
            score(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
