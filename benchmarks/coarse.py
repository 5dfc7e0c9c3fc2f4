"""Cropping from coarse to fine: how many crops it takes, and which detections it misses.

    python benchmarks/coarse.py FOLDER GRIDS

FOLDER holds photos, `boxes.json` and `coco_to_imagenet.json` (COCO classes to ImageNet indices).
All windows of each photo are cropped once, at the scales of a run without named classes, and the
grids are kept in the folder GRIDS; a second call reads them there. From their scores follows which
windows `--stride auto` would have asked for, and what it would have detected.

A detection of all windows counts as kept if there is one of the same class with an IoU of at least
0.5, above the same confidence threshold, the default. Named are the classes that have boxes on the
photo. The shares of `heatmap.grid.coarse` were chosen on the photos with an even number in the
list (from 0); the others are those that nothing was chosen on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from machine import print_machine

import heatmap
from heatmap.classes import ClassGroup
from heatmap.geometry import Placement, iou
from heatmap.grid.coarse import CoarseToFine, Sought
from heatmap.grid.collector import Collector
from heatmap.localization.detect import Search, detect, sought_at
from heatmap.localization.detection import Detection
from heatmap.names import scale_name

SAME_IOU = 0.5


@dataclass
class Counts:
    """Sums over photos."""

    kept: int = 0
    detections: int = 0
    more: int = 0
    cropped: int = 0
    windows: int = 0
    missed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kept} of {self.detections} detections kept "
            f"({self.kept / self.detections:.1%}), {self.more} others, {self.cropped:,} "
            f"of {self.windows:,} windows cropped ({self.cropped / self.windows:.1%})"
        )


def main() -> None:
    folder, kept = Path(sys.argv[1]), Path(sys.argv[2])
    kept.mkdir(parents=True, exist_ok=True)
    print_machine()
    indices = json.loads((folder / "coco_to_imagenet.json").read_text())
    scorer = heatmap.prepare(engine="crop")
    counts = {(how, half): Counts() for how in ("named", "unnamed") for half in ("even", "odd")}
    listed = sorted(json.loads((folder / "boxes.json").read_text()), key=lambda each: each["file"])
    for number, photo in enumerate(listed):
        grids = all_windows(scorer, folder / photo["file"], kept)
        half = ("even", "odd")[number % 2]
        compare(counts["unnamed", half], photo["file"], grids, Search())
        labels = sorted({box["label"] for box in photo["boxes"]} & indices.keys())
        if labels:
            named = [ClassGroup(label, tuple(indices[label])) for label in labels]
            compare(counts["named", half], photo["file"], grids, Search(named))
    for (how, half), each in counts.items():
        print(f"{how}, {half} photos: {each}")
    for (how, half), each in counts.items():
        print(f"\nmissed, {how}, {half} photos:", *each.missed, sep="\n  ")


def all_windows(scorer: heatmap.Scorer, path: Path, kept: Path) -> list[heatmap.ScoreGrid]:
    """The grid of each scale, with every window cropped."""
    height, width = heatmap.read_photo(path).hw
    window, grids = scorer.facts.preprocessing.window_px, []
    for scale in scorer.facts.scale_rule.scales((height, width), window):
        file = kept / f"{path.stem}.{scale_name(scale)}.npz"
        if not file.exists():
            scorer.score(path, Placement(scale=scale)).save(file)
        grids.append(heatmap.load(file))
    return grids


def compare(counts: Counts, name: str, grids: Sequence[heatmap.ScoreGrid], search: Search) -> None:
    """Add what is detected on a photo in all windows, and in those asked for."""
    sought = sought_at([grid.geometry for grid in grids], search, grids[0].classes)
    fewer = [coarse_to_fine(*each) for each in zip(grids, sought, strict=True)]
    before = detect(grids, search).detections
    after = detect([grid for grid, _ in fewer], search).detections
    counts.cropped += sum(asked for _, asked in fewer)
    counts.windows += sum(grid.scores[:, :, 0].size for grid in grids)
    counts.detections += len(before)
    counts.more += sum(not is_among(each, before) for each in after)
    for each in before:
        if is_among(each, after):
            counts.kept += 1
        else:
            box = ", ".join(f"{edge:.0f}" for edge in each.xyxy)
            counts.missed.append(f"{name} {each.name} {each.confidence:.2f} at {box} px")


def coarse_to_fine(grid: heatmap.ScoreGrid, sought: Sought) -> tuple[heatmap.ScoreGrid, int]:
    """The grid as it would be without the windows that are not asked for, and how many are."""
    plan = CoarseToFine(grid.geometry, sought, grid.kind)
    collector = Collector(grid.geometry, grid.classes, grid.kind)
    for stage, asked in plan.asked():
        for row, column in np.argwhere(asked).tolist():
            plan.saw(row, column, grid.scores[row, column])
            collector.write(row, column, grid.scores[row : row + 1, column : column + 1])
        collector.fill(stage.cells & ~asked, stage.around)
    return collector.finish(grid.origin), int(plan.scored.sum())


def is_among(one: Detection, others: Sequence[Detection]) -> bool:
    return any(
        one.group == other.group and iou(one.xyxy, other.xyxy) >= SAME_IOU for other in others
    )


if __name__ == "__main__":
    main()
