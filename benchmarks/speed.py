"""Sliding against tools that crop: this package's crop engine, MONAI, SAHI; and torch-cam.

    python benchmarks/speed.py [MODEL ...]   # in an environment with requirements.txt

One photo of 1024 x 1024 px at strides 32, 16 and 8. Every way runs in the same process,
in turn, best of ROUNDS after one unmeasured. Ways that cut out windows are timed on 64 of
them, since their time grows with the number of windows alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from bare import prepared_scorer, require_same, weights_of
from machine import in_turn, print_machine
from peers import CAM_LAYERS, monai_scores, sahi_scores, torchcam_map
from sampling import sample_photo
from tables import Target, print_table, print_targets

import heatmap

STRIDES = (32, 16, 8)
SIDE_PX = 1024
WINDOW_PX = 224
# 8 x 8 windows of 224 px, 32 px apart.
CROPPED_PX = WINDOW_PX + 7 * 32
CROPS = 64
# Passes of VGG16 take minutes, those of the others too little to be measured well twice.
ROUNDS = {"efficientnet_lite0": 5, "resnet50": 3, "vgg16": 2}

SCORE = "this package: `Scorer.score`"
ENGINE = "crops: this package's crop engine"
MONAI = "crops: MONAI's splitter"
SAHI = "crops: SAHI's slicer"
TORCHCAM = "torchcam: one class, no windows"
PEERS = (MONAI, SAHI)
CROPPING = (ENGINE, *PEERS)
ORDER = (SCORE, *CROPPING, TORCHCAM)

Way = Callable[[], object]
Pixels = npt.NDArray[np.uint8]
# Seconds of every way at every stride; ways without a stride stand at 32 only.
Seconds = dict[tuple[str, int], float]

CROP_TARGETS = {32: 25, 16: 60, 8: 100}
ENGINE_TARGET = 0.95


def main() -> None:
    models = sys.argv[1:] or ROUNDS
    print_machine()
    for name in models:
        seconds = measure(name)
        print(f"\n### {name}, {weights_of(name)} weights")
        print_seconds(seconds)
        print_targets(targets(name, seconds))


def measure(name: str) -> Seconds:
    options = {"weights": weights_of(name)}
    classifier = heatmap.load_classifier(name, **options)
    cropping = cropping_ways(classifier, prepared_scorer(name, engine="crop"))
    check_same(cropping)
    ways: dict[tuple[str, int], Way] = {(way, 0): run for way, run in cropping.items()}
    photo, scorer = sample_photo(SIDE_PX), prepared_scorer(name)
    for stride in STRIDES:
        placement = heatmap.Placement(stride=stride)
        scorer.ready_at(stride, keep=True)
        ways[SCORE, stride] = lambda placement=placement: scorer.score(photo, placement)
    if name in CAM_LAYERS:
        ways[TORCHCAM, 32] = lambda: torchcam_map(classifier, photo, 0)
    with torch.inference_mode():
        seconds = in_turn(ways, rounds=ROUNDS[name])
    for stride in STRIDES:
        for way in CROPPING:
            seconds[way, stride] = seconds[way, 0] * windows(stride) / CROPS
    return seconds


def cropping_ways(
    classifier: heatmap.Classifier, engine: heatmap.Scorer
) -> dict[str, Callable[[], npt.NDArray[np.float32]]]:
    """Ways to score the windows of a small photo."""
    part = sample_photo(CROPPED_PX)
    placement = heatmap.Placement(stride=32)
    return {
        ENGINE: lambda: engine.score(part, placement).scores.reshape(CROPS, -1),
        MONAI: lambda: monai_scores(classifier, part, 32),
        SAHI: lambda: sahi_scores(classifier, part, 32),
    }


def check_same(cropping: dict[str, Callable[[], npt.NDArray[np.float32]]]) -> None:
    expected = cropping[ENGINE]()
    for peer in PEERS:
        require_same(peer, cropping[peer](), expected)


def windows(stride: int) -> int:
    return ((SIDE_PX - WINDOW_PX) // stride + 1) ** 2


def print_seconds(seconds: Seconds) -> None:
    """Seconds, and how many times as long as `Scorer.score` at the same stride."""
    head = ["way"]
    for stride in STRIDES:
        head += [f"stride {stride}: {windows(stride)} windows, s", "× score"]
    print_table(head, [row(way, seconds) for way in ORDER if (way, STRIDES[0]) in seconds])


def row(way: str, seconds: Seconds) -> list[str]:
    cells = [way]
    for stride in STRIDES:
        taken = seconds.get((way, stride))
        if taken is None:
            cells += ["", ""]
        else:
            cells += [f"{taken:.2f}", f"{taken / seconds[SCORE, stride]:.2f}"]
    return cells


def targets(name: str, seconds: Seconds) -> list[Target]:
    """Of VGG16 against cropping; of the others, whose crops are quick, of the crop engine."""
    if name == "vgg16":
        best = {stride: min(seconds[way, stride] for way in CROPPING) for stride in STRIDES}
        ratios = {stride: taken / seconds[SCORE, stride] for stride, taken in best.items()}
        return [
            Target(f"stride {stride}: best cropping / score", ratios[stride], wanted)
            for stride, wanted in CROP_TARGETS.items()
        ]
    ratio = seconds[ENGINE, 0] / min(seconds[peer, 0] for peer in PEERS)
    what = "crop engine / the better of MONAI and SAHI"
    return [Target(what, ratio, ENGINE_TARGET, at_least=False)]


if __name__ == "__main__":
    main()
