"""Boxes of named classes, with the maps drawn to the edges of the picture or as they are.

    python benchmarks/edges.py FOLDER BOXES LABELS

FOLDER holds photos, BOXES their boxes, LABELS maps labels to classes, as for `heatmap evaluate`.
Sharp maps are smoothed by a guided filter or averaged over superpixels before boxes are drawn
around their regions. For each IoU: the share of (photo, class) pairs whose best box reaches it, and
the 95 % interval of the difference, from 1,000 bootstrap samples of the photos. Nothing is
confirmed by cropping.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt
from machine import print_machine
from skimage.segmentation import felzenszwalb, slic

import heatmap
from heatmap.evaluation.pairs import PairedPhoto, match_labels, pair_up
from heatmap.geometry import iou
from heatmap.localization import sharpen
from heatmap.localization.detect import Scored, Search, detect
from heatmap.photo.annotations import read_boxes, read_mapping

IOUS = (0.3, 0.5, 0.7)
# Superpixels are found on the photo shrunk to this on its longer side.
SEGMENTED_PX = 400
# Regularisation of the guided filter, for grey values 0..1.
EPSILON = 1e-3

Heat = npt.NDArray[np.float32]
# Changes a heatmap (H, W), given the photo at that size.
Way = Callable[[Heat, npt.NDArray[np.uint8]], Heat]


def guided(heat: Heat, photo: npt.NDArray[np.uint8], share: float) -> Heat:
    """The guided filter, the grey photo as guide (K. He et al., ECCV 2010, equations 5, 6, 8)."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    side = 2 * max(2, int(share * min(heat.shape))) + 1
    mean = partial(cv2.blur, ksize=(side, side))
    slope = (mean(grey * heat) - mean(grey) * mean(heat)) / (
        mean(grey * grey) - mean(grey) ** 2 + EPSILON
    )
    offset = mean(heat) - slope * mean(grey)
    return np.maximum(mean(slope) * grey + mean(offset), 0).astype(np.float32)


def averaged(
    heat: Heat, photo: npt.NDArray[np.uint8], segment: Callable[..., npt.NDArray[np.integer]]
) -> Heat:
    """The mean of the map in each superpixel."""
    share = min(1.0, SEGMENTED_PX / max(heat.shape))
    small = cv2.resize(photo, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    labels = segment(small).astype(np.int32)
    labels = cv2.resize(labels, heat.shape[::-1], interpolation=cv2.INTER_NEAREST)
    sums, counts = np.bincount(labels.ravel(), heat.ravel()), np.bincount(labels.ravel())
    return (sums / np.maximum(1, counts))[labels].astype(np.float32)


def half(heat: Heat, photo: npt.NDArray[np.uint8], way: Way) -> Heat:
    return (heat + way(heat, photo)) / 2


SLIC = partial(averaged, segment=partial(slic, n_segments=200, start_label=0))
FELZENSZWALB = partial(averaged, segment=partial(felzenszwalb, scale=300, sigma=0.8, min_size=100))
WAYS: dict[str, Way] = {
    "as it is": lambda heat, _: heat,
    "guided filter": partial(guided, share=0.06),
    "SLIC": SLIC,
    "Felzenszwalb": FELZENSZWALB,
    "half Felzenszwalb": partial(half, way=FELZENSZWALB),
}


def main() -> None:
    folder, boxes, labels = map(Path, sys.argv[1:4])
    print_machine()
    scorer = heatmap.prepare()
    box_file = read_boxes(boxes)
    groups = match_labels(box_file.label_counts(), scorer.facts.classes, read_mapping(labels))
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    photos: list[int] = []
    for number, paired in enumerate(pair_up(box_file, folder, groups).photos):
        photo = heatmap.read_photo(paired.path)
        rule, window = scorer.facts.scale_rule, scorer.facts.preprocessing.window_px
        scored = [
            scorer.score_positions(photo, heatmap.Placement(scale=scale))
            for scale in rule.scales(photo.hw, window, named=True)
        ]
        photos += [number] * len(paired.pairs)
        for name, way in WAYS.items():
            found[name] += best_ious(paired, photo.pixels, scored, way)
    report({name: np.array(ious) for name, ious in found.items()}, np.array(photos))


def best_ious(
    paired: PairedPhoto, pixels: npt.NDArray[np.uint8], scored: list[Scored], way: Way
) -> list[float]:
    """For each pair the IoU of its most confident box with the nearest true one."""
    upsample = sharpen.upsample

    def drawn(cells: Heat, geometry: heatmap.Geometry) -> Heat:
        heat = upsample(cells, geometry)
        size = heat.shape[::-1]
        return way(heat, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))

    ious = []
    with patch.object(sharpen, "upsample", drawn):
        for pair in paired.pairs:
            search = Search([pair.group], conf=0.0, max_det=5, confirm=0)
            detections = detect(scored, search).detections
            best = (iou(detections[0].xyxy, box) for box in pair.boxes_xyxy) if detections else ()
            ious.append(max(best, default=0.0))
    return ious


def report(found: dict[str, npt.NDArray[np.float64]], photos: npt.NDArray[np.int64]) -> None:
    chance = np.random.default_rng(0)
    of_photo = [np.flatnonzero(photos == number) for number in np.unique(photos)]
    samples = [
        np.concatenate([of_photo[n] for n in chance.integers(len(of_photo), size=len(of_photo))])
        for _ in range(1000)
    ]
    reference = found["as it is"]
    print(f"{len(photos)} pairs")
    for name, ious in found.items():
        cells = []
        for least in IOUS:
            difference = (ious >= least).astype(float) - (reference >= least)
            low, high = np.percentile([difference[each].mean() for each in samples], (2.5, 97.5))
            cells.append(f"{(ious >= least).mean():.3f} ({low:+.3f} to {high:+.3f})")
        print(f"{name:18} {'  '.join(cells)}")


if __name__ == "__main__":
    main()
