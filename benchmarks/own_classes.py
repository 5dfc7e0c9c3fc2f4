"""Networks of one's own classes: how good their detections are, by which rules.

    python benchmarks/own_classes.py FOLDER [OUTPUT]

FOLDER holds photos and `boxes.json`. For persons, for cats and dogs, and for cars a network is
trained on every other photo (`heatmap train --boxes`) and searched for on the rest, by the rules
of this version and by those of before, which did not correct for chance, ended a region at an
eighth of its peak and confirmed nothing. OUTPUT keeps the checkpoints; one that is there is used.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import print_machine

import heatmap
from heatmap.classes import ClassGroup
from heatmap.evaluation.evaluate import unnamed_detections
from heatmap.evaluation.unnamed import UnnamedFigures, figures_of, judge
from heatmap.grid import outputs, score_grid
from heatmap.localization import localize, sharpen
from heatmap.localization.auto_scales import PHOTO
from heatmap.localization.detect import Search
from heatmap.scoring.scorer import Scorer

NETWORKS = {"person": ["person"], "cat, dog": ["cat", "dog"], "car": ["car"]}
BEFORE_SHARE = 0.125


def main() -> None:
    folder = Path(sys.argv[1])
    print_machine()
    listed = json.loads((folder / "boxes.json").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        print(
            f"{'network':10} {'rules':8} {'objects':>7} {'AP 0.3':>7} {'AP 0.5':>7} {'points':>7}"
        )
        for name, labels in NETWORKS.items():
            scorer = heatmap.prepare(trained(folder, listed[::2], labels, kept))
            for rules, figures in by_rules(scorer, folder, listed[1::2], labels).items():
                shares = [
                    100 * (figures.average_precision[key].value or 0)
                    for key in ("0.3", "0.5", "pointing")
                ]
                cells = " ".join(f"{share:7.1f}" for share in shares)
                print(f"{name:10} {rules:8} {figures.objects:7} {cells}", flush=True)


def trained(folder: Path, photos: list[Any], labels: list[str], kept: Path) -> Path:
    """A network trained on some labels of some photos; other photos give the background."""
    target = kept / f"{'-'.join(labels)}.safetensors"
    if target.exists():
        return target
    chosen = [
        {**photo, "boxes": [box for box in photo["boxes"] if box["label"] in labels]}
        for photo in photos
    ]
    shown = [photo for photo in chosen if photo["boxes"]]
    # As many photos without the objects as with them, for the background.
    rest = [photo for photo in chosen if not photo["boxes"]][: len(shown)]
    boxes = target.with_suffix(".boxes.json")
    boxes.write_text(json.dumps([*shown, *rest]))
    heatmap.train(folder, target, boxes=boxes)
    return target


def by_rules(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str]
) -> dict[str, UnnamedFigures]:
    fitted = replace(scorer, classifier=replace(scorer.classifier, scale_rule=PHOTO))
    found = {"this": measured(scorer, folder, photos, labels, Search())}
    with rules_of_before():
        found["before"] = measured(fitted, folder, photos, labels, Search(confirm=0))
    return found


def measured(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str], search: Search
) -> UnnamedFigures:
    names = scorer.classifier.classes
    groups: dict[str, ClassGroup] = {label: names.find(label) for label in labels}
    judged = []
    for listed in photos:
        objects = [
            (box["label"], (box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
            for box in listed["boxes"]
            if box["label"] in labels
        ]
        found = unnamed_detections(folder / listed["file"], scorer, heatmap.MultiScale(), search)
        judged.append(judge(found, objects, groups, search.conf))
    return figures_of(judged, search.conf)


@contextmanager
def rules_of_before() -> Iterator[None]:
    """Probabilities as they are, all scales alike, and regions down to an eighth of their peak."""

    def level(heat: np.ndarray, window_xyxy: Any, across: float, down: float) -> float:
        left, top, right, bottom = sharpen._pixels(window_xyxy, across, down)
        return BEFORE_SHARE * float(heat[top:bottom, left:right].max())

    with ExitStack() as all_of:
        for module in (outputs, score_grid):
            all_of.enter_context(patch.object(module, "above_chance", lambda p, _: p))
        all_of.enter_context(patch.object(sharpen, "_level", level))
        all_of.enter_context(
            patch.object(localize, "scale_weights", lambda grids: [1.0 for _ in grids])
        )
        yield


if __name__ == "__main__":
    main()
