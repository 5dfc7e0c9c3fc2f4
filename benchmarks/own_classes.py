"""Networks of one's own classes: how good their detections are, by which rules.

    python benchmarks/own_classes.py FOLDER [OUTPUT]

FOLDER holds photos and `boxes.json`. For persons, for cars, and for cats and dogs a network is
trained on every other photo (`heatmap train --boxes`; photos that show none give the background)
and searched for on the rest, and another the other way round, so that each photo is searched once,
by a network that has not seen it. Compared are the rules of this version, and those of before,
which did not correct for chance, ended a region at an eighth of its peak and confirmed nothing: at
scale 1, its default, and at those that fit the photo. Each is given over all photos, and over those
that the first and the second network searched. OUTPUT keeps the checkpoints; one that is there is
used.
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
from heatmap.evaluation.evaluate_photos import unnamed_detections
from heatmap.evaluation.unnamed import JudgedPhoto, UnnamedFigures, figures_of, judge
from heatmap.grid import outputs, score_grid
from heatmap.localization import localize, sharpen
from heatmap.localization.auto_scales import NATIVE, PHOTO
from heatmap.localization.detect import Search
from heatmap.photo.photo import read_photo
from heatmap.runs.request import MultiScale
from heatmap.scoring.scorer import Scorer

NETWORKS = {"person": ["person"], "car": ["car"], "cat, dog": ["cat", "dog"]}
BEFORE_SHARE = 0.125


def main() -> None:
    folder = Path(sys.argv[1])
    print_machine()
    listed = json.loads((folder / "boxes.json").read_text())
    print(
        f"{'network':9} {'rules':22} {'photos':6} {'objects':>7} {'AP 0.3':>7} {'AP 0.5':>7} "
        f"{'points':>7}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        for name, labels in NETWORKS.items():
            judged: dict[str, list[list[JudgedPhoto]]] = {}
            for half in range(2):
                scorer = heatmap.prepare(trained(folder, listed[half::2], labels, kept, half))
                for rules, of_photos in by_rules(scorer, folder, listed[1 - half :: 2], labels):
                    judged.setdefault(rules, []).append(of_photos)
            for rules, halves in judged.items():
                parts = {"all": [*halves[0], *halves[1]], "first": halves[0], "second": halves[1]}
                for part, of_photos in parts.items():
                    figures = figures_of(of_photos, Search().conf)
                    print(
                        f"{name:9} {rules:22} {part:6} {figures.objects:7} {row(figures)}",
                        flush=True,
                    )


def row(figures: UnnamedFigures) -> str:
    shares = (figures.average_precision[key].value for key in ("0.3", "0.5", "pointing"))
    return " ".join(f"{100 * (share or 0):7.1f}" for share in shares)


def trained(folder: Path, photos: list[Any], labels: list[str], kept: Path, half: int) -> Path:
    """A network trained on some labels of some photos; those without them give the background."""
    target = kept / f"{'-'.join(labels)}-{half}.safetensors"
    if target.exists():
        return target
    chosen = [
        {**photo, "boxes": [box for box in photo["boxes"] if box["label"] in labels]}
        for photo in photos
    ]
    boxes = target.with_suffix(".boxes.json")
    boxes.write_text(json.dumps(chosen))
    heatmap.train(folder, target, boxes=boxes)
    return target


def by_rules(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str]
) -> Iterator[tuple[str, list[JudgedPhoto]]]:
    search = Search()
    yield "this", measured(scorer, folder, photos, labels, search)
    unconfirmed = replace(search, confirm=0)
    for name, rule in (("before", NATIVE), ("before, at such scales", PHOTO)):
        ruled = replace(scorer, facts=replace(scorer.facts, scale_rule=rule))
        with rules_of_before():
            yield name, measured(ruled, folder, photos, labels, unconfirmed)


def measured(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str], search: Search
) -> list[JudgedPhoto]:
    names = scorer.facts.classes
    # A label that no photo of this half shows is no class of the network.
    groups: dict[str, ClassGroup] = {
        label: names.find(label) for label in labels if label in names.names
    }
    judged = []
    for listed in photos:
        objects = [
            (box["label"], (box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
            for box in listed["boxes"]
            if box["label"] in groups
        ]
        found = unnamed_detections(
            read_photo(folder / listed["file"]), scorer, MultiScale(), search
        )
        judged.append(judge(found, objects, groups, search.conf))
    return judged


@contextmanager
def rules_of_before() -> Iterator[None]:
    """Probabilities as they are, all scales alike, and regions down to an eighth of their peak."""

    def level(heat: np.ndarray, window_xyxy: Any, across: float, down: float, _: Any) -> float:
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
