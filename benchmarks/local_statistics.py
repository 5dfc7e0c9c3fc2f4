"""Networks that look at their whole input: sliding with local and whole statistics, and cropping.

    python benchmarks/local_statistics.py [FOLDER] [SEEDS]

trains small networks with squeeze-and-excitation, GroupNorm and GRN, and those of the same family
without (`small_networks.py`), on digits over photos (`digits.py`), and measures them on photos of
neither of which anything was shown in training. FOLDER keeps the trained networks; one that is
there is used. SEEDS is how many of each kind are trained (1); figures are means over them.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from digits import BACKGROUND, CLASSES, MEAN_AND_STD, WINDOW_PX, write_scenes
from machine import in_turn, print_machine
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from small_networks import KINDS, Kind, accuracy, train
from statistics_forms import FORMS, score_in
from tables import print_table

import heatmap
from heatmap.photo.photo import read_photo

LEAST_ACCURACY = 0.85
SCENES = 15
WAYS = {
    "crops": {"engine": "crop"},
    "local": {"statistics": "local"},
    "whole": {"statistics": "whole"},
}
SLIDES = {"crops": {"engine": "crop"}, "slides": {"engine": "slide"}}

Scores = npt.NDArray[np.float32]


def main() -> None:
    print_machine()
    seeds = range(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        networks = {kind: [trained(kind, seed, kept) for seed in seeds] for kind in KINDS}
        boxes = write_scenes(Path(temporary), SCENES)
        rows = [row for kind in KINDS for row in measured(kind.name, networks[kind], boxes)]
        print_table(HEAD, rows)
        photos = [read_photo(path).pixels[:] for path in sorted(boxes.parent.glob("*.png"))]
        of_kinds = {kind.name: networks[kind] for kind in KINDS if kind.beside}
        print_table(("statistics of", "passes", *of_kinds), forms_rows(of_kinds.values(), photos))


def trained(kind: Kind, seed: int, kept: Path) -> heatmap.Classifier:
    """A network, trained now or before; refused below the accuracy that makes it one."""
    file = kept / f"{kind.name}-{seed}.safetensors"
    if not file.exists():
        save_file(train(kind, seed).state_dict(), file)
    module = kind.made().eval()
    module.load_state_dict(load_file(file))
    if (reached := accuracy(module)) < LEAST_ACCURACY:
        raise SystemExit(f"{kind.name} names {reached:.1%} of the validation split right")
    return as_classifier(module)


def as_classifier(module) -> heatmap.Classifier:
    mean, std = MEAN_AND_STD
    return heatmap.load_classifier(
        module, window=WINDOW_PX, mean=mean, std=std, class_names=list(CLASSES)
    )


HEAD = (
    "network",
    "validation, %",
    "way",
    "agreement, %",
    "inner, %",
    "digits, %",
    "probability",
    "AP 0.5",
    "AP 0.3",
    "points",
    "s",
    "of cropping's time",
)


def measured(
    name: str, networks: Sequence[heatmap.Classifier], boxes: Path
) -> list[tuple[str, ...]]:
    """The rows of a kind, one for each way; figures are means over its networks."""
    right = np.mean([accuracy(network.module) for network in networks])
    figures = defaultdict(list)
    for network in networks:
        for way, of_way in figures_by_way(network, boxes).items():
            figures[way].append(of_way)
    rows = []
    for way, of_way in figures.items():
        agree, inner, digits, apart, *found, seconds, share = np.nanmean(of_way, axis=0)
        shares = [f"{100 * each:.1f}" for each in (agree, inner, digits, *found)]
        shares.insert(3, f"{apart:.3f}")
        rows.append((name, f"{100 * right:.1f}", way, *shares, f"{seconds:.3f}", f"{share:.2f}"))
    return rows


def figures_by_way(network: heatmap.Classifier, boxes: Path) -> dict[str, list[float]]:
    """Agreement, as :func:`agreement`; AP at IoU 0.5 and 0.3, pointing; seconds for the
    first photo, and over those of cropping."""
    exact = heatmap.prepare(network, backend="torch").sliding == "exact"
    ways = SLIDES if exact else WAYS
    scorers = {way: heatmap.prepare(network, backend="torch", **how) for way, how in ways.items()}
    photos = sorted(boxes.parent.glob("*.png"))
    grids = {way: [scorer.score(photo) for photo in photos] for way, scorer in scorers.items()}
    seconds = in_turn({way: partial(scorer.score, photos[0]) for way, scorer in scorers.items()}, 2)
    figures = {}
    for way, scorer in scorers.items():
        report = heatmap.evaluate(boxes.parent, boxes, scorer, cam=False, scales=(1.0,))
        found = report.unnamed.average_precision
        figures[way] = [
            *agreement(
                [grid.scores for grid in grids[way]], [grid.scores for grid in grids["crops"]]
            ),
            *(found[name].value or 0.0 for name in ("0.5", "0.3", "pointing")),
            seconds[way],
            seconds[way] / seconds["crops"],
        ]
    return figures


def agreement(slid: Sequence[Scores], cropped: Sequence[Scores]) -> list[float]:
    """Shares of windows whose top class is that of the crop: of all; of those not at the edge of a
    grid; of those whose crop shows a digit; and the mean difference of the probability of the
    crop's top class."""
    same, inner, digit, apart = [], [], [], []
    for ours, theirs in zip(slid, cropped, strict=True):
        top = theirs.argmax(2)
        agrees = ours.argmax(2) == top
        same.append(agrees.ravel())
        inner.append(agrees[1:-1, 1:-1].ravel())
        digit.append(agrees[top != BACKGROUND])
        differences = np.abs(softmax(ours, axis=2) - softmax(theirs, axis=2))
        apart.append(np.take_along_axis(differences, top[..., None], 2).ravel())
    figures = (np.concatenate(parts) for parts in (same, inner, digit, apart))
    return [float(each.mean()) if each.size else float("nan") for each in figures]


def forms_rows(kinds, photos) -> list[tuple[str, ...]]:
    """Agreement of every form with crops, over all windows / those that show a digit, by kind."""
    cropped = []
    for networks in kinds:
        crops = [heatmap.prepare(each, engine="crop", backend="torch") for each in networks]
        valid = heatmap.Placement(border="valid")
        cropped.append([[crop.score(photo, valid).scores for photo in photos] for crop in crops])
    rows = []
    for form in FORMS:
        cells = []
        for networks, of_kind in zip(kinds, cropped, strict=True):
            figures = [
                agreement([score_in(form, network, photo) for photo in photos], scores)
                for network, scores in zip(networks, of_kind, strict=True)
            ]
            everywhere, _, digits, _ = 100 * np.nanmean(figures, axis=0)
            cells.append(f"{everywhere:.1f} / {digits:.1f}")
        rows.append((form.name, str(form.passes), *cells))
    return rows


if __name__ == "__main__":
    main()
