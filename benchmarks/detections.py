"""Detections without a class being named: which scales, and whether boxes are confirmed.

    python benchmarks/detections.py FOLDER

FOLDER holds photos, `boxes.json` and `coco_to_imagenet.json` (labels to ImageNet indices). Prints
the figures of docs/evaluation.md over all photos, over every other one and over the rest, so that
a choice that suits one half only is seen.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from machine import print_machine

import heatmap
from heatmap.evaluation.pairs import match_labels
from heatmap.evaluation.unnamed import LOWEST_CONFIDENCE, JudgedPhoto, figures_of, judge
from heatmap.geometry import Placement
from heatmap.localization.detect import Search, detect
from heatmap.photo.annotations import read_boxes, read_mapping
from heatmap.photo.photo import read_photo

SCALES = ((1.0,), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0, 3.0))
CONFIRMED = (0, 100)
THRESHOLDS = (0.3, 0.35, 0.4)


def main() -> None:
    folder = Path(sys.argv[1])
    print_machine()
    scorer = heatmap.prepare()
    boxes = read_boxes(folder / "boxes.json")
    mapping = read_mapping(folder / "coco_to_imagenet.json")
    labels = match_labels(boxes.label_counts(), scorer.classifier.classes, mapping)
    judged: dict[tuple[str, float], list[JudgedPhoto]] = {}
    for listed in boxes.photos:
        photo = read_photo(folder / listed.file)
        objects = [(box.label, box.xyxy) for box in listed.boxes if box.label in labels]
        every = {
            scale: scorer.score_positions(photo, Placement(scale=scale)) for scale in SCALES[-1]
        }
        for scales in SCALES:
            scored = [every[scale] for scale in scales]
            for confirmed in CONFIRMED:
                search = Search(conf=LOWEST_CONFIDENCE, confirm=confirmed)
                ask = partial(scorer.crop_probabilities, photo) if confirmed else None
                found = detect(scored, search, ask).detections
                name = f"{', '.join(f'{scale:g}' for scale in scales)}{', confirmed' * bool(ask)}"
                for conf in THRESHOLDS:
                    one = judge(found, objects, labels, conf)
                    judged.setdefault((name, conf), []).append(one)
    for title, part in (
        ("all", slice(None)),
        ("even", slice(0, None, 2)),
        ("odd", slice(1, None, 2)),
    ):
        print(f"\n{title:28} at  AP 0.3  AP 0.5  points  precision  hits  others")
        for (name, conf), photos in judged.items():
            print_row(name, conf, photos[part])


def print_row(name: str, conf: float, photos: list[JudgedPhoto]) -> None:
    figures = figures_of(photos, conf)
    shares = [figures.average_precision[key].value or 0 for key in ("0.3", "0.5", "pointing")]
    cells = " ".join(f"{100 * share:7.1f}" for share in shares)
    counts = figures.counts
    precision = figures.precision.value or 0
    print(f"{name:25} {conf:5g} {cells} {precision:10.2f} {counts.hits:5} {counts.others:7}")


if __name__ == "__main__":
    main()
