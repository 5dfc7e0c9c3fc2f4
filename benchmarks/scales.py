"""Pointing game of single scales and of scales fused: which default `fuse_scales` has.

    python benchmarks/scales.py FOLDER

FOLDER holds photos, `boxes.json` and `coco_to_imagenet.json` (COCO classes to ImageNet
indices). For each photo and class in it, the score of a pixel is the sum of the
probabilities of the class's ImageNet indices; a hit is a heatmap whose maximum lies within
15 px of a box of the class. Small: all boxes of the class take less than a quarter of the photo.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from machine import print_machine

import heatmap
from heatmap.grid.upsample import upsample
from heatmap.localization.scales import fuse_scales

SCALES = (0.5, 1, 2, 3)
FUSED = ((0.5, 1, 2), (1, 2, 3))
TOLERANCE_PX = 15
SMALL_SHARE = 0.25

Boxes = list[tuple[float, float, float, float]]


def main() -> None:
    folder = Path(sys.argv[1])
    print_machine()
    indices = json.loads((folder / "coco_to_imagenet.json").read_text())
    scorer = heatmap.prepare()
    hits: dict[str, list[bool]] = defaultdict(list)
    small: list[bool] = []
    for photo in json.loads((folder / "boxes.json").read_text()):
        wanted = boxes_by_class(photo["boxes"], indices)
        if not wanted:
            continue
        grids = every_grid(scorer, folder / photo["file"])
        for label, boxes in wanted.items():
            small.append(is_small(boxes, photo["width"] * photo["height"]))
            for name, grid in grids.items():
                hits[name].append(points(grid, indices[label], boxes))
    print_table(hits, np.array(small))


def boxes_by_class(boxes: list[dict[str, Any]], labels: Iterable[str]) -> dict[str, Boxes]:
    wanted: dict[str, Boxes] = defaultdict(list)
    for box in boxes:
        if box["label"] in labels:
            wanted[box["label"]].append((box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
    return wanted


def every_grid(scorer: heatmap.Scorer, path: Path) -> dict[str, heatmap.ScoreGrid]:
    """Each scale by itself, and every fusion, by name."""
    alone = {scale: scorer.score(path, heatmap.Placement(scale=scale)) for scale in SCALES}
    grids = {f"{scale:g}": grid for scale, grid in alone.items()}
    for scales in FUSED:
        for how in ("mean", "max"):
            name = f"{how} of {', '.join(f'{scale:g}' for scale in scales)}"
            grids[name] = fuse_scales([alone[scale] for scale in scales], how)
    return grids


def is_small(boxes: Boxes, photo_px: int) -> bool:
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    return area < SMALL_SHARE * photo_px


def points(grid: heatmap.ScoreGrid, indices: list[int], boxes: Boxes) -> bool:
    """Whether the maximum of the summed probabilities lies at a box."""
    heat = upsample(grid.probabilities()[:, :, indices].sum(axis=2), grid.geometry)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x, y = column + 0.5, row + 0.5
    near = TOLERANCE_PX
    return any(
        left - near <= x <= right + near and top - near <= y <= bottom + near
        for left, top, right, bottom in boxes
    )


def print_table(hits: dict[str, list[bool]], small: np.ndarray) -> None:
    print(f"{len(small)} (photo, class) pairs, {small.sum()} of them small")
    print(f"{'scales':18} {'all':>6} {'small':>6}")
    for name, outcomes in hits.items():
        hit = np.array(outcomes)
        print(f"{name:18} {hit.mean():6.3f} {hit[small].mean():6.3f}")


if __name__ == "__main__":
    main()
