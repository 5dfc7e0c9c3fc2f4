"""Photos of many megapixels: the time of a run, and what decoding a part of their size changes.

    python benchmarks/large.py FOLDER

Times, in turn and in one process that has prepared the network, are of `heatmap run` from the file
to the files: by default, and at scale 1, unconfirmed, with pictures at the photo's size, which was
the default before. For decoding, the scores of windows are compared with those of the whole photo:
resized as always, and resized by averaging areas (OpenCV's INTER_AREA), each at every scale that
is scored by default; and the detections with those of the whole photo.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from machine import in_turn, print_machine

import heatmap
from heatmap.geometry import Placement, iou
from heatmap.grid.score_grid import ScoreGrid
from heatmap.photo import reduced
from heatmap.photo.reduced import ReducedPhoto, decoded_hw, open_photo
from heatmap.runs.request import MultiScale
from heatmap.scoring.scorer import Scorer


def main() -> None:
    photos = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix == ".jpg")
    print_machine()
    scorer = heatmap.prepare()
    print(f"\n{'photo':30} {'MP':>5} {'before, s':>9} {'now, s':>7} {'times':>6}")
    sums = [0.0, 0.0]
    for path in photos:
        seconds = timed(scorer, path)
        sums = [total + more for total, more in zip(sums, seconds, strict=True)]
        megapixels = math.prod(heatmap.read_photo(path).hw) / 1e6
        print(f"{path.stem[:30]:30} {megapixels:5.1f} {row(seconds)}", flush=True)
    print(f"{'together':36} {row(sums)}")
    print(
        f"\n{'photo':30} {'scale':>7} {'against':8} {'largest':>8} {'mean':>8} {'same class':>10}"
    )
    for path in photos:
        differences(scorer, path)


def row(seconds: list[float]) -> str:
    before, now = seconds
    return f"{before:9.2f} {now:7.2f} {before / now:6.1f}"


def timed(scorer: Scorer, path: Path) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        before = {"confirm": 0, "full": True, "conf": 0.3, "scales": "native"}
        best = in_turn(
            {
                "before": lambda: heatmap.run(path, scorer, output=folder, **before),
                "now": lambda: heatmap.run(path, scorer, output=folder),
            },
            rounds=2,
        )
    return list(best.values())


def differences(scorer: Scorer, path: Path) -> None:
    """Print how scores and detections differ from those of the whole photo."""
    whole = heatmap.read_photo(path)
    window = scorer.facts.preprocessing.window_px
    scales = MultiScale().scales_for(whole.hw, scorer.facts.scale_rule, window, named=False)
    sizes = [scorer.plan(whole.hw, Placement(scale=scale)).scaled_hw for scale in scales]
    photo = open_photo(path, decoded_hw(sizes))
    if not isinstance(photo, ReducedPhoto):
        print(f"{path.stem[:30]:30} is decoded whole")
        return
    for scale, hw in zip(scales, sizes, strict=True):
        got = scorer.score(photo, Placement(scale=scale))
        area = cv2.resize(whole.pixels, hw[::-1], interpolation=cv2.INTER_AREA)
        references = {
            "whole": scorer.score(whole, Placement(scale=scale)),
            # The same windows, on a photo that has the scaled size already.
            "area": scorer.score(area),
        }
        for name, grid in references.items():
            print(f"{path.stem[:30]:30} {scale:7.4f} {name:8} {compared(got, grid)}", flush=True)
    print(f"{path.stem[:30]:30} decoded {photo.decoded}; {boxes_compared(scorer, path)}")


def compared(grid: ScoreGrid, reference: ScoreGrid) -> str:
    """Largest and mean difference of a probability, and how often the top class is the same."""
    found, expected = grid.probabilities(), reference.probabilities()
    largest = np.abs(found - expected).max(axis=2)
    same = (found.argmax(axis=2) == expected.argmax(axis=2)).mean()
    return f"{largest.max():8.3f} {largest.mean():8.4f} {same:10.1%}"


def boxes_compared(scorer: Scorer, path: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        now = heatmap.run(path, scorer, output=folder).detections
        with patch.object(reduced, "denominator_for", lambda *_: 1):
            expected = heatmap.run(path, scorer, output=folder).detections
    matched = [
        (one, other)
        for one in now
        for other in expected
        if one.name == other.name and iou(one.xyxy, other.xyxy) > 0.5
    ]
    least = min((iou(one.xyxy, other.xyxy) for one, other in matched), default=1.0)
    most = max((abs(one.confidence - other.confidence) for one, other in matched), default=0.0)
    return (
        f"{len(matched)} of {len(expected)} detections found again, {len(now) - len(matched)} "
        f"others; IoU from {least:.2f}, confidences differ by up to {most:.3f}"
    )


if __name__ == "__main__":
    main()
