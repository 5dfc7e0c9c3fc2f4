"""Sliding with local statistics against cropping, for networks that look at their whole input.

    python benchmarks/local.py [MODEL ...] [PHOTO ...]

Squares of 1024 x 1024 px from the middle of photos (files that end in .jpg; otherwise one of the
samples' collage), at the native stride, with random weights and BatchNorm statistics as in tests.
Both ways run in torch, in the same process, in turn, best of ROUNDS after one unmeasured. Crops
are timed on 64 windows, in the crop engine's batches, since their time grows with the number of
windows alone. The first photo is timed.
The grids of all, cut into bands, are compared with those of one pass.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from machine import in_turn, print_machine
from sampling import sample_photo
from tables import Target, print_table, print_targets

import heatmap

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.networks import randomise

Pixels = npt.NDArray[np.uint8]


MODELS = ("efficientnet_b0", "mobilenet_v3_large", "regnet_y_400mf", "timm/convnextv2_atto")
SIDE_PX = 1024
# Of the native stride 32, 8 x 8 windows of 224 px.
CROPPED_PX = 224 + 7 * 32
CROPS = 64
ROUNDS = 3
# How many times as long cropping is to take, and the relative difference that cutting may make.
TARGET = 15
CUT_TARGET = 1e-5


def main() -> None:
    print_machine()
    given = [each for each in sys.argv[1:] if each.endswith(".jpg")]
    photos = photos_of(given)
    rows, targets = [], []
    for name in [each for each in sys.argv[1:] if each not in given] or MODELS:
        scorer = heatmap.prepare(classifier := varied(name), statistics="local", backend="torch")
        cropper = heatmap.prepare(classifier, engine="crop", backend="torch")
        slid, cropped, windows = measure(scorer, cropper, photos[0])
        difference = max(cut_difference(scorer, photo) for photo in photos)
        ratio = cropped / slid
        cells = (f"{slid:.3f}", f"{cropped:.1f}", f"{ratio:.1f}", f"{difference:.1e}")
        rows.append((name, str(windows), *cells))
        targets.append(Target(f"{name}: crops / local", ratio, TARGET))
        targets.append(Target(f"{name}: cut, 1e-5", difference / CUT_TARGET, 1, at_least=False))
    head = ("network", "windows", "local, s", "crops, s", "crops / local", "cut from whole")
    print_table(head, rows)
    print_targets(targets)


def photos_of(given: Sequence[str]) -> list[Pixels]:
    """Squares from the middle of photos, or one of the samples' collage: RGB uint8."""
    squares = []
    for path in given:
        photo = heatmap.read_photo(path).pixels
        top, left = ((side - SIDE_PX) // 2 for side in photo.shape[:2])
        if min(top, left) < 0:
            raise SystemExit(f"{path} is smaller than {SIDE_PX} x {SIDE_PX} px")
        squares.append(np.ascontiguousarray(photo[top : top + SIDE_PX, left : left + SIDE_PX]))
    return squares or [sample_photo(SIDE_PX)]


def varied(name: str) -> heatmap.Classifier:
    """A network with random weights under which its outputs depend on its inputs, as in tests."""
    classifier = heatmap.load_classifier(name, weights="random")
    # Stochastic depth drops branches at random while statistics are taken.
    torch.manual_seed(0)
    window = classifier.preprocessing.window_px
    return heatmap.load_classifier(randomise(classifier.module, window), window=window)


def measure(
    scorer: heatmap.Scorer, cropper: heatmap.Scorer, photo: Pixels
) -> tuple[float, float, int]:
    """Seconds of sliding, of cropping (extrapolated), and the number of windows."""
    part = np.ascontiguousarray(photo[:CROPPED_PX, :CROPPED_PX])
    placement = heatmap.Placement(stride=scorer.native_stride_px)
    rows, columns = scorer.plan(photo.shape[:2], placement).grid_hw
    counted = cropper.score(part, placement).scores.shape[:2]
    assert counted == (8, 8), counted
    ways = {
        "local": lambda: scorer.score(photo, placement),
        "crops": lambda: cropper.score(part, placement),
    }
    seconds = in_turn(ways, rounds=ROUNDS)
    return seconds["local"], seconds["crops"] * rows * columns / CROPS, rows * columns


def cut_difference(scorer: heatmap.Scorer, photo: Pixels) -> float:
    """Relative difference between the grid in low bands or parts and in one pass."""
    whole, cut = scorer.score(photo), scorer.score(photo, memory=least_memory(scorer, photo))
    varies = whole.scores.std((0, 1)).max() / np.abs(whole.scores).max()
    assert varies > 1e-4, "scores must differ between windows or the comparison says nothing"
    bands = (whole.origin.computation.band_px, cut.origin.computation.band_px)
    parts = (whole.origin.computation.parts, cut.origin.computation.parts)
    assert bands[0] != bands[1] or parts[0] != parts[1], "nothing was cut"
    print(f"bands {bands[0]} and {bands[1]} px, parts {parts[0]} and {parts[1]}", file=sys.stderr)
    return float(np.abs(cut.scores - whole.scores).max() / np.abs(whole.scores).max())


def least_memory(scorer: heatmap.Scorer, photo: Pixels) -> int:
    """Twice the bytes that one column of windows takes."""
    try:
        scorer.score(photo, memory=1000)
    except heatmap.GeometryError as refusal:
        return 2 * int(refusal.ways[0].value)
    raise AssertionError("1000 bytes are enough")


if __name__ == "__main__":
    main()
