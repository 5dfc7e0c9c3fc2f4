"""Detections without a class being named: scales, confirmation, and where regions end.

    python benchmarks/detections.py FOLDER

FOLDER holds photos, `boxes.json` and `coco_to_imagenet.json` (labels to ImageNet indices). Prints
the figures of docs/evaluation.md over all photos, over every other one and over the rest, so that
a choice that suits one half only is seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from machine import print_machine

import heatmap
from heatmap.evaluation.pairs import match_labels
from heatmap.evaluation.unnamed import LOWEST_CONFIDENCE, JudgedPhoto, figures_of, judge
from heatmap.geometry import Box, Placement
from heatmap.localization import sharpen
from heatmap.localization.detect import Search, detect
from heatmap.photo.annotations import read_boxes, read_mapping
from heatmap.photo.photo import read_photo

ALL_SCALES = (0.5, 1.0, 2.0, 3.0)
THREE = ALL_SCALES[:3]
# Scales, how many detections are confirmed, and the share of the heat above which regions end; a
# negative share is one of the peak.
CHOICES = {
    "scale 1": ((1.0,), 0, 0.75),
    "0.5, 1, 2": (THREE, 0, 0.75),
    "0.5, 1, 2, 3": (ALL_SCALES, 0, 0.75),
    "0.5, 1, 2, confirmed": (THREE, 100, 0.75),
    "regions of 0.7": (THREE, 0, 0.7),
    "regions of 0.8": (THREE, 0, 0.8),
    "regions to 1/8 of the peak": (THREE, 0, -1 / 8),
    "regions to 1/2 of the peak": (THREE, 0, -1 / 2),
}
THRESHOLDS = (0.3, 0.35, 0.4)


def main() -> None:
    folder = Path(sys.argv[1])
    print_machine()
    scorer = heatmap.prepare()
    boxes = read_boxes(folder / "boxes.json")
    mapping = read_mapping(folder / "coco_to_imagenet.json")
    labels = match_labels(boxes.label_counts(), scorer.facts.classes, mapping)
    judged: dict[tuple[str, float], list[JudgedPhoto]] = {}
    for listed in boxes.photos:
        photo = read_photo(folder / listed.file)
        objects = [(box.label, box.xyxy) for box in listed.boxes if box.label in labels]
        every = {
            scale: scorer.score_positions(photo, Placement(scale=scale)) for scale in ALL_SCALES
        }
        for name, (scales, confirmed, region) in CHOICES.items():
            search = Search(conf=LOWEST_CONFIDENCE, confirm=confirmed)
            crops = scorer.crops(photo) if confirmed else None
            with ending(region):
                found = detect([every[scale] for scale in scales], search, crops).detections
            for conf in THRESHOLDS:
                judged.setdefault((name, conf), []).append(judge(found, objects, labels, conf))
    parts = {"all": slice(None), "every other": slice(0, None, 2), "the rest": slice(1, None, 2)}
    for title, part in parts.items():
        print(f"\n{title:28} at  AP 0.3  AP 0.5  points  precision  hits  others")
        for (name, conf), photos in judged.items():
            print_row(name, conf, photos[part])


@contextmanager
def ending(share: float) -> Iterator[None]:
    """Regions that end by another rule."""

    def level(heat: np.ndarray, window_xyxy: Box, across: float, down: float, _: object) -> float:
        left, top, right, bottom = sharpen._pixels(window_xyxy, across, down)
        return -share * float(heat[top:bottom, left:right].max())

    with patch.object(sharpen, *(("_level", level) if share < 0 else ("REGION_HEAT", share))):
        yield


def print_row(name: str, conf: float, photos: list[JudgedPhoto]) -> None:
    figures = figures_of(photos, conf)
    shares = [figures.average_precision[key].value or 0 for key in ("0.3", "0.5", "pointing")]
    cells = " ".join(f"{100 * share:7.1f}" for share in shares)
    counts = figures.counts
    precision = figures.precision.value or 0
    print(f"{name:25} {conf:5g} {cells} {precision:10.2f} {counts.hits:5} {counts.others:7}")


if __name__ == "__main__":
    main()
