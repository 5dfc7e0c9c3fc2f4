"""Peak memory: over photos of many sizes in one process, and as predicted for single photos.

    python benchmarks/memory.py [PHOTOS]

A runtime may keep memory for each size it has seen. The largest photo comes first, so that what
the others add is what was kept. Each row is a process of its own, and only what it takes beyond
the loaded network counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
from bare import ONNX_RUNTIME, bare_networks, network_input, weights_of
from machine import forget_peak, peak_bytes, print_machine
from sampling import sample_photo
from tables import Target, print_table, print_targets

import heatmap

PHOTOS = 200
NOTED = (1, 10, 50, 200)
LARGEST_WH = (1280, 960)
LEAST_PX = 224
# Peak after all photos over that after the first, which is the largest.
GROWTH = 1.1

SCORE = "`Scorer.score`"
BARE = f"{ONNX_RUNTIME}, bare network, default options"
PREDICTED = ("efficientnet_lite0", "mobilenet_v2", "resnet50", "densenet121", "vgg16")
PREDICTED_PX = 1536


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS
    print_machine()
    peaks = {way: alone("--sizes", way, str(count)) for way in (SCORE, BARE)}
    noted = [number for number in NOTED if number <= count]
    print_table(
        ("peak beyond the network, MB", *(f"{number} photos" for number in noted)),
        [(way, *(f"{peak / 1e6:.0f}" for peak in several)) for way, several in peaks.items()],
    )
    what = f"peak after {noted[-1]} photos of different sizes / after the largest"
    first, *_, last = peaks[SCORE]
    print_targets([Target(what, last / first, GROWTH, at_least=False)])
    report_predicted({name: alone("--predicted", name) for name in PREDICTED})


def report_predicted(by_network: dict[str, list[int]]) -> None:
    print_table(
        (f"network, {PREDICTED_PX} x {PREDICTED_PX} px", "predicted, MB", "measured, MB", "share"),
        [
            (name, f"{predicted / 1e6:.0f}", f"{peak / 1e6:.0f}", f"{peak / predicted:.2f}")
            for name, (predicted, peak) in by_network.items()
        ],
    )


def alone(*arguments: str) -> list[int]:
    """What a process of its own prints: bytes."""
    command = [sys.executable, __file__, *arguments]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{' '.join(arguments)}: {answer.strip()}", file=sys.stderr)
    return json.loads(answer)


def peaks_over_sizes(way: str, count: int) -> list[int]:
    """Bytes beyond what there was before, at most, after so many photos as NOTED says."""
    score, peaks = scoring_of(way), []
    score(sample_photo(LEAST_PX))
    before = resident_bytes()
    forget_peak()
    for number, (width, height) in enumerate(sizes(count), 1):
        score(sample_photo(width, height))
        if number in NOTED:
            peaks.append(peak_bytes() - before)
    return peaks


def sizes(count: int) -> Iterator[tuple[int, int]]:
    """Widths and heights, the largest first."""
    yield LARGEST_WH
    draws = np.random.default_rng(0)
    for _ in range(count - 1):
        width, height = (int(draws.integers(LEAST_PX, most)) for most in LARGEST_WH)
        yield width, height


def scoring_of(way: str) -> Callable[[np.ndarray], object]:
    scorer = heatmap.prepare(backend="onnx")
    if way == SCORE:
        return scorer.score
    with tempfile.TemporaryDirectory() as folder:
        networks = bare_networks(heatmap.load_classifier(), None, Path(folder), [ONNX_RUNTIME])
    return lambda photo: networks[ONNX_RUNTIME](network_input(scorer, photo))()


def predicted_and_measured(name: str) -> list[int]:
    scorer = heatmap.prepare(name, weights=weights_of(name), backend="onnx")
    photo = sample_photo(PREDICTED_PX)
    scorer.score(sample_photo(LEAST_PX))
    before = resident_bytes()
    forget_peak()
    scorer.score(photo)
    return [predicted_bytes(scorer, photo.shape[:2]), peak_bytes() - before]


def predicted_bytes(scorer: heatmap.Scorer, photo_hw: tuple[int, int]) -> int:
    """What one pass over such a photo is expected to take in ONNX Runtime."""
    geometry = scorer.plan(photo_hw)
    prepared = scorer.prepared_at(geometry.stride_px)
    assert prepared is not None
    return prepared.peak.bytes((1, *geometry.extended_hw))


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sizes"]:
        print(json.dumps(peaks_over_sizes(sys.argv[2], int(sys.argv[3]))))
    elif sys.argv[1:2] == ["--predicted"]:
        print(json.dumps(predicted_and_measured(sys.argv[2])))
    else:
        main()
