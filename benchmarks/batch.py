"""Photos a second of `heatmap batch`, beside the bare network on the same photos and scales.

    python benchmarks/batch.py [PHOTOS]

Every way in a process of its own, several times in turn; the model is loaded before the clock
starts. Nothing is confirmed by cropping. The bare network gets its input decoded, resized and
preprocessed before the clock starts, for the first photos, which fit into memory so.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from bare import COUNTED, bare_networks
from machine import print_machine
from run import on_all_scales
from sampling import make_collage, write_jpeg
from tables import Target, print_table, print_targets

import heatmap
from heatmap.runs.batch import BatchSources, run_batch
from heatmap.runs.batch_reporter import BatchReporter
from heatmap.runs.options import request_of
from heatmap.runs.settings import ScorerRecipe

PHOTOS = 200
BARE_PHOTOS = 25
PHOTO_WH = (640, 480)
TURNS = 3
SHARE = 0.85

BATCH = "`heatmap batch`"
WAYS = (*COUNTED, BATCH)


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
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(TURNS):
            for way in WAYS:
                rates[way].append(measure(way, photos))
                print(f"turn {turn}: {way}: {rates[way][-1]:.2f} photos a second", file=sys.stderr)
    report({way: median(several) for way, several in rates.items()})


def report(rates: dict[str, float]) -> None:
    bare = max(rates[way] for way in COUNTED)
    print_table(
        ("way", "photos a second", "of the faster bare network"),
        [(way, f"{rate:.2f}", f"{rate / bare:.2f}") for way, rate in rates.items()],
    )
    print_targets([Target("batch / the faster bare network", rates[BATCH] / bare, SHARE)])


def write_photos(folder: Path, count: int) -> None:
    """Parts of the samples' collage, laid side by side, JPEG."""
    folder.mkdir()
    collage, _ = make_collage()
    field, draws = np.tile(collage, (2, 2, 1)), np.random.default_rng(0)
    width, height = PHOTO_WH
    for number in range(count):
        top, left = (int(draws.integers(0, side)) for side in collage.shape[:2])
        photo = np.ascontiguousarray(field[top : top + height, left : left + width])
        write_jpeg(folder / f"{number:03}.jpg", photo)


def measure(way: str, photos: Path) -> float:
    command = [sys.executable, __file__, "--way", way, str(photos)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def bare_rate(way: str, photos: Path) -> float:
    """Photos a second of a bare network; the first photo warms it up."""
    networks = bare_networks(heatmap.load_classifier(), None, photos.parent, [way])
    scorer, paths = heatmap.prepare(), sorted(photos.iterdir())[:BARE_PHOTOS]
    held = [on_all_scales(networks, scorer, heatmap.read_photo(path).pixels)[way] for path in paths]
    held[0]()
    started = time.perf_counter()
    for run in held:
        run()
    return len(held) / (time.perf_counter() - started)


def batch_rate(photos: Path) -> float:
    clock, recipe = Clock(), ScorerRecipe(heatmap.load_classifier().name)
    request = request_of({"confirm": 0})
    with tempfile.TemporaryDirectory() as folder:
        done = run_batch(BatchSources([photos]), Path(folder), recipe, request, progress=clock)
        return len(done.records) / (time.perf_counter() - clock.started)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        name, given = sys.argv[2], Path(sys.argv[3])
        print(batch_rate(given) if name == BATCH else bare_rate(name, given))
    else:
        main()
