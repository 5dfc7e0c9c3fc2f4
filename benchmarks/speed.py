"""Sliding against everything else that gives the same windows, and against its own floor.

    make benchmarks                          # all of docs/benchmarks.md
    python benchmarks/speed.py [MODEL ...]   # in an environment with requirements.txt

One photo of 1024 x 1024 px at strides 32, 16 and 8. Every way runs in the same process,
in turn, best of ROUNDS after one unmeasured. Ways that cut out windows are timed on 64 of
them, since their time grows with the number of windows alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from machine import PEERS, in_turn, print_machine
from peers import CAM_LAYERS, monai_scores, sahi_scores, torchcam_map
from sampling import sample_photo, write_jpeg
from tables import Target, print_table, print_targets
from tutorial import STRIDES as TUTORIAL_STRIDES
from tutorial import tutorial_form

import heatmap
from heatmap.conversion.check import relative_difference
from heatmap.scoring.cells import all_cells
from heatmap.scoring.crop import crop_scores

STRIDES = (32, 16, 8)
SIDE_PX = 1024
WINDOW_PX = 224
# 8 x 8 windows of 224 px, 32 px apart.
CROPPED_PX = WINDOW_PX + 7 * 32
CROPS = 64
# Passes of VGG16 take minutes, those of the others too little to be measured well twice.
ROUNDS = {"vgg16": 2, "resnet50": 3, "efficientnet_lite0": 5}
# Two ways to the same scores may differ so much, relative to the largest score.
SAME = 1e-4

RUN = "this package: `heatmap run`, from JPEG to files"
SCORE = "this package: `Scorer.score`, from pixels to grid"
NETWORK = "floor: its trunk and head alone"
TRUNK = "floor: its trunk alone"
TUTORIAL = "tutorial form"
ENGINE = "crops: this package's crop engine"
MONAI = "crops: MONAI's splitter"
SAHI = "crops: SAHI's slicer"
TORCHCAM = "torchcam: one class, no windows"
CROPPING = (ENGINE, MONAI, SAHI)
ORDER = (RUN, SCORE, NETWORK, TRUNK, TUTORIAL, *CROPPING, TORCHCAM)

Way = Callable[[], object]
Pixels = npt.NDArray[np.uint8]
# Seconds of every way at every stride; ways without a stride stand at 32 only.
Seconds = dict[tuple[str, int], float]

CROP_TARGETS = {32: 25, 16: 60, 8: 100}
TUTORIAL_TARGETS = {32: 1.4, 8: 1.6}
END_TO_END = 1.15


def main() -> None:
    models = sys.argv[1:] or ROUNDS
    print_machine(PEERS)
    for name in models:
        scorer = heatmap.prepare(name, weights=weights_of(name))
        check_same(name, scorer)
        with tempfile.TemporaryDirectory() as folder:
            seconds = measure(name, scorer, Path(folder))
        print(f"\n### {name}, {scorer.classifier.weights} weights")
        print_seconds(seconds)
        if compared := targets(name, seconds):
            print_targets(compared)


def weights_of(name: str) -> str:
    return "default" if name == heatmap.load_classifier().name else "random"


def check_same(name: str, scorer: heatmap.Scorer) -> None:
    """Refuse to compare times of what does not give the same scores."""
    photo = sample_photo(CROPPED_PX)
    tensor = scorer.classifier.preprocessing.tensor(photo)
    plain = tensor.contiguous()
    for stride in TUTORIAL_STRIDES[name]:
        with torch.inference_mode():
            scores = tutorial_form(name, scorer.classifier.module, stride)(plain)
            require_same(f"tutorial form at {stride}", scores, scorer.network_at(stride)(tensor))
    crops = torch.from_numpy(engine_scores(scorer, photo))
    for what, peer in ((MONAI, monai_scores), (SAHI, sahi_scores)):
        require_same(what, torch.from_numpy(peer(scorer.classifier, photo, 32)), crops)


def require_same(what: str, scores: torch.Tensor, expected: torch.Tensor) -> None:
    if scores.shape != expected.shape:
        raise SystemExit(f"{what}: {tuple(scores.shape)} instead of {tuple(expected.shape)}")
    difference = relative_difference(scores, expected)
    print(f"{what}: differs by {difference:.1e}", file=sys.stderr)
    if not difference < SAME:
        raise SystemExit(f"{what}: scores differ by {difference:.1e}")


def engine_scores(scorer: heatmap.Scorer, photo: Pixels) -> npt.NDArray[np.float32]:
    geometry = scorer.plan(photo.shape[:2], heatmap.Placement(stride=32))
    cells = all_cells(geometry)
    return np.concatenate(list(crop_scores(scorer.classifier, photo, geometry, cells)))


def measure(name: str, scorer: heatmap.Scorer, folder: Path) -> Seconds:
    photo = sample_photo(SIDE_PX)
    path = write_jpeg(folder / "photo.jpg", photo)
    plain = scorer.classifier.preprocessing.tensor(photo).contiguous()
    ways = cropping_ways(scorer) | cam_way(scorer, photo)
    for stride in STRIDES:
        ways |= sliding_ways(scorer, photo, path, stride)
        if stride in TUTORIAL_STRIDES[name]:
            form = tutorial_form(name, scorer.classifier.module, stride)
            ways[TUTORIAL, stride] = lambda form=form: form(plain)
    with torch.inference_mode():
        seconds = in_turn(ways, rounds=ROUNDS[name])
    for stride in STRIDES:
        for way in CROPPING:
            seconds[way, stride] = seconds[way, 0] * windows(stride) / CROPS
    return seconds


def sliding_ways(
    scorer: heatmap.Scorer, photo: Pixels, path: Path, stride: int
) -> dict[tuple[str, int], Way]:
    network = scorer.network_at(stride)
    tensor = scorer.classifier.preprocessing.tensor(photo)
    placement = heatmap.MultiScale(stride=stride)
    return {
        (TRUNK, stride): lambda: network.trunk(tensor),
        (NETWORK, stride): lambda: network(tensor),
        (SCORE, stride): lambda: scorer.score(photo, heatmap.Placement(stride=stride)),
        (RUN, stride): lambda: heatmap.run(
            path, scorer, path.parent / "results", placement=placement
        ),
    }


def cropping_ways(scorer: heatmap.Scorer) -> dict[tuple[str, int], Way]:
    """Ways to score 64 windows; their stride is none of the table's."""
    part = sample_photo(CROPPED_PX)
    return {
        (ENGINE, 0): lambda: engine_scores(scorer, part),
        (MONAI, 0): lambda: monai_scores(scorer.classifier, part, 32),
        (SAHI, 0): lambda: sahi_scores(scorer.classifier, part, 32),
    }


def cam_way(scorer: heatmap.Scorer, photo: Pixels) -> dict[tuple[str, int], Way]:
    if scorer.classifier.name not in CAM_LAYERS:
        return {}
    return {(TORCHCAM, 32): lambda: torchcam_map(scorer.classifier, photo, 0)}


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
    """Of VGG16; smaller networks take less time than the files and pictures of a run."""
    compared = []
    if name == "vgg16":
        for stride, wanted in CROP_TARGETS.items():
            best = min(seconds[way, stride] for way in CROPPING)
            ratio = best / seconds[SCORE, stride]
            compared.append(Target(f"stride {stride}: best cropping / score", ratio, wanted))
        for stride, wanted in TUTORIAL_TARGETS.items():
            ratio = seconds[TUTORIAL, stride] / seconds[SCORE, stride]
            compared.append(Target(f"stride {stride}: tutorial form / score", ratio, wanted))
        for stride in STRIDES:
            ratio = seconds[RUN, stride] / seconds[NETWORK, stride]
            what = f"stride {stride}: run / trunk and head"
            compared.append(Target(what, ratio, END_TO_END, at_least=False))
    return compared


if __name__ == "__main__":
    main()
