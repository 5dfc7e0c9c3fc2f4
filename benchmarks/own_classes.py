"""Networks of one's own classes: how good their detections are, by which rules.

    python benchmarks/own_classes.py FOLDER [OUTPUT]

FOLDER holds photos and `boxes.json`. For persons, for cars, and for cats and dogs a network is
trained on every other photo (`heatmap train --boxes`; photos that show none give the background)
and searched for on the rest, and another the other way round, so that each photo is searched once,
by a network that has not seen it. *mean* is the mean over the three kinds. Compared are the rules
of this version, and those of before, which did not correct for chance, ended a region at an eighth
of its peak and confirmed nothing: at scale 1, its default, and at those that fit the photo. Each is
given over all photos, and over those that the first and the second network searched. So are
variants of how boxes are refined: with other numbers of rounds, without averaging the boxes of an
object (voting), and without multiplying confidence by the overlap of the last two boxes
(agreement). Where the built-in network itself has such classes, it is searched with too, by the
rules of this version and by those of before at scale 1. OUTPUT keeps the checkpoints; one that is
there is used.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import print_machine

import heatmap
from heatmap import ClassError
from heatmap.classes import ClassGroup
from heatmap.evaluation import evaluate_photos
from heatmap.evaluation.unnamed import (
    LOWEST_CONFIDENCE,
    JudgedPhoto,
    UnnamedFigures,
    figures_of,
    judge,
)
from heatmap.geometry import Box
from heatmap.grid import outputs, score_grid
from heatmap.localization import confirm, localize, sharpen
from heatmap.localization.auto_scales import NATIVE, PHOTO
from heatmap.localization.confirm import CropAnswers, Crops
from heatmap.localization.detect import Search, detect
from heatmap.photo.photo import Photo, read_photo
from heatmap.runs.request import MultiScale
from heatmap.scoring.scorer import Scorer

NETWORKS = {"person": ["person"], "car": ["car"], "cat, dog": ["cat", "dog"]}
BEFORE_SHARE = 0.125

# What is replaced in `heatmap.localization.confirm`.
ALONE = {"_voted": lambda one, _: one}
UNWEIGHTED = {"_agreement": lambda *_: 1.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "this": {"_ROUNDS": confirm._ROUNDS},
    "no voting": ALONE,
    "no agreement": UNWEIGHTED,
    "neither": {**ALONE, **UNWEIGHTED},
    "1 round": {"_ROUNDS": 1},
    "2 rounds": {"_ROUNDS": 2},
    "2 rounds, neither": {"_ROUNDS": 2, **ALONE, **UNWEIGHTED},
    "4 rounds": {"_ROUNDS": 4},
}


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
        of_kinds: dict[tuple[str, str], list[UnnamedFigures]] = {}
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
                    of_kinds.setdefault((rules, part), []).append(figures)
                    print_row(name, rules, part, [figures])
        for (rules, part), of_all in of_kinds.items():
            print_row("mean", rules, part, of_all)
    print_built_in(folder, listed)


def print_built_in(folder: Path, listed: list[Any]) -> None:
    """What the network finds that nothing was taught, of the same objects."""
    scorer = heatmap.prepare()
    before = replace(scorer, facts=replace(scorer.facts, scale_rule=NATIVE))
    for name, labels in NETWORKS.items():
        if not groups_of(scorer, labels):
            continue
        this = measured(scorer, folder, listed, labels, Search())
        with rules_of_before():
            earlier = measured(before, folder, listed, labels, Search(confirm=0))
        for rules, judged in (("built-in, this", this), ("built-in, before", earlier)):
            parts = {"all": judged, "first": judged[1::2], "second": judged[0::2]}
            for part, of_photos in parts.items():
                print_row(name, rules, part, [figures_of(of_photos, Search().conf)])


def print_row(name: str, rules: str, part: str, of_kinds: Sequence[UnnamedFigures]) -> None:
    """Objects, and the mean over kinds of networks of each average precision, in %."""
    objects = sum(figures.objects for figures in of_kinds)
    means = " ".join(
        f"{100 * fmean(figures.average_precision[key].value or 0 for figures in of_kinds):7.1f}"
        for key in ("0.3", "0.5", "pointing")
    )
    print(f"{name:9} {rules:22} {part:6} {objects:7} {means}", flush=True)


def trained(folder: Path, photos: list[Any], labels: list[str], kept: Path, half: int) -> Path:
    """A network trained on some labels of some photos; those without them give the background."""
    target = kept / f"{'-'.join(labels)}-{half}.safetensors"
    if target.exists():
        return target
    boxes = with_boxes_of(labels, photos, target.with_suffix(".boxes.json"))
    heatmap.train(folder, target, boxes=boxes)
    return target


def with_boxes_of(labels: list[str], photos: list[Any], target: Path) -> Path:
    """A file of the photos, with the boxes of some labels alone."""
    chosen = [
        {**photo, "boxes": [box for box in photo["boxes"] if box["label"] in labels]}
        for photo in photos
    ]
    target.write_text(json.dumps(chosen))
    return target


def by_rules(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str]
) -> Iterator[tuple[str, list[JudgedPhoto]]]:
    search = Search()
    variants: dict[str, list[JudgedPhoto]] = {name: [] for name in VARIANTS}
    for photo, groups, objects in searched(scorer, folder, photos, labels):
        scored = evaluate_photos._scored(photo, scorer, MultiScale(), search)
        crops = remembered(scorer.crops(photo))
        lower = replace(search, conf=LOWEST_CONFIDENCE)
        for name, replaced in VARIANTS.items():
            with patch.multiple(confirm, **replaced):
                found = detect(scored, lower, crops).detections
            variants[name].append(judge(found, objects, groups, search.conf))
    yield from variants.items()
    unconfirmed = replace(search, confirm=0)
    for name, rule in (("before", NATIVE), ("before, at such scales", PHOTO)):
        ruled = replace(scorer, facts=replace(scorer.facts, scale_rule=rule))
        with rules_of_before():
            yield name, measured(ruled, folder, photos, labels, unconfirmed)


def measured(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str], search: Search
) -> list[JudgedPhoto]:
    judged = []
    for photo, groups, objects in searched(scorer, folder, photos, labels):
        found = evaluate_photos.unnamed_detections(photo, scorer, MultiScale(), search)
        judged.append(judge(found, objects, groups, search.conf))
    return judged


def searched(
    scorer: Scorer, folder: Path, photos: list[Any], labels: list[str]
) -> Iterator[tuple[Photo, dict[str, ClassGroup], list[tuple[str, Box]]]]:
    """Each photo, the classes of some labels, and the objects of these on it."""
    groups = groups_of(scorer, labels)
    for listed in photos:
        objects = [
            (box["label"], (box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
            for box in listed["boxes"]
            if box["label"] in groups
        ]
        yield read_photo(folder / listed["file"]), groups, objects


def groups_of(scorer: Scorer, labels: list[str]) -> dict[str, ClassGroup]:
    """The classes of labels; one that no photo of a half shows is no class of its network."""
    groups = {}
    for label in labels:
        with suppress(ClassError):
            groups[label] = scorer.facts.classes.find(label)
    return groups


def remembered(crops: Crops | None) -> Crops:
    """What asks the network of each box once: variants ask of the same ones."""
    assert crops is not None
    answers: dict[tuple[Box, ClassGroup], tuple[float, Box]] = {}

    def asked(boxes: Sequence[Box], groups: Sequence[ClassGroup]) -> CropAnswers:
        keys = list(zip(boxes, groups, strict=True))
        if new := [key for key in dict.fromkeys(keys) if key not in answers]:
            given = crops.ask(*zip(*new, strict=True))
            assert given.boxes is not None
            answers.update(
                zip(new, zip(given.probabilities, given.boxes, strict=True), strict=True)
            )
        probabilities, refined = zip(*(answers[key] for key in keys), strict=True)
        return CropAnswers(probabilities, refined)

    return Crops(asked, crops.refines)


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
