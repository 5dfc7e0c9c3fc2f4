"""Photos a second of `heatmap batch`, beside the network alone on the same photos.

    python benchmarks/batch.py [PHOTOS]

Every way in a process of its own, several times in turn; the model is loaded before the
clock starts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import print_machine
from sampling import make_collage, write_jpeg
from tables import Target, print_table, print_targets

import heatmap
from heatmap.memory import kept_memory
from heatmap.runs.batch import BatchReporter, BatchSources, batch
from heatmap.runs.request import Request
from heatmap.runs.settings import ScorerRecipe

PHOTOS = 50
SIDE_PX = 1000
TURNS = 3
SHARE = 0.85

BARE = "the network alone"
KEPT = "the network alone, with memory kept as batch does"
BATCH = "`heatmap batch`"
PAGES = "`heatmap batch --html`"
WAYS = (BARE, KEPT, BATCH, PAGES)


class Clock(BatchReporter):
    """Starts when the model is loaded."""

    def begin(self, work):
        self.started = time.perf_counter()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        write_photos(photos, count)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(TURNS):
            for way in WAYS:
                seconds[way].append(measure(way, photos))
                print(f"turn {turn}: {way}: {seconds[way][-1]:.2f} s", file=sys.stderr)
    rates = {way: count / median(taken) for way, taken in seconds.items()}
    print_table(
        ("way", "photos a second", "of the network alone"),
        [(way, f"{rate:.2f}", f"{rate / rates[BARE]:.2f}") for way, rate in rates.items()],
    )
    print_targets([Target("batch / the network alone", rates[BATCH] / rates[BARE], SHARE)])


def write_photos(folder: Path, count: int) -> None:
    """Squares out of the samples' collage, laid side by side, JPEG."""
    folder.mkdir()
    collage, _ = make_collage()
    field, draws = np.tile(collage, (2, 2, 1)), np.random.default_rng(0)
    for number in range(count):
        top, left = (int(draws.integers(0, side)) for side in collage.shape[:2])
        photo = np.ascontiguousarray(field[top : top + SIDE_PX, left : left + SIDE_PX])
        write_jpeg(folder / f"{number:03}.jpg", photo)


def measure(way: str, photos: Path) -> float:
    command = [sys.executable, __file__, "--way", way, str(photos)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def alone(photos: Path) -> float:
    scorer = heatmap.prepare()
    network = scorer.network_at(scorer.native_stride_px)
    prepare = scorer.classifier.preprocessing.tensor
    tensors = [prepare(heatmap.read_photo(path).pixels) for path in sorted(photos.iterdir())]
    with torch.inference_mode():
        started = time.perf_counter()
        for tensor in tensors:
            network(tensor)
        return time.perf_counter() - started


def batched(photos: Path, *, html: bool) -> float:
    clock, recipe = Clock(), ScorerRecipe(heatmap.load_classifier().name)
    request = Request(extras=heatmap.Extras(html=html))
    with tempfile.TemporaryDirectory() as folder:
        batch(BatchSources([photos]), Path(folder), recipe, request, reporter=clock)
        return time.perf_counter() - clock.started


def run_way(way: str, photos: Path) -> float:
    if way == KEPT:
        with kept_memory():
            return alone(photos)
    return alone(photos) if way == BARE else batched(photos, html=way == PAGES)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        print(run_way(sys.argv[2], Path(sys.argv[3])))
    else:
        main()
