"""Networks of few photos: when their training ends, what they learn from, and what they begin with.

    python benchmarks/few_photos.py FOLDER

FOLDER holds photos and `boxes.json`. As in own_classes.py two networks are trained for each kind of
object, on every other photo and on the rest; here only what they make of crops is judged: of the
objects of the other half, against up to 20 squares of each of its photos that show none of them.
*Stopped* is the epoch with the lowest validation loss, which training keeps where photos are many;
each line below adds one thing to the one above it, and the last is what training does with few
photos. Given are the average precisions of the classes, in %, and the epochs that were run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from machine import print_machine
from own_classes import NETWORKS, with_boxes_of
from sklearn.metrics import average_precision_score

import heatmap
from heatmap.classes import BACKGROUND
from heatmap.networks.adapted import Adapted
from heatmap.networks.classifier import Classifier
from heatmap.training import examples as of_examples
from heatmap.training.examples import Examples, boxed_examples
from heatmap.training.few_photos import PATIENCE, from_zero, initial, refit
from heatmap.training.fit import Fit, Schedule
from heatmap.training.labelled_rows import LabelledRows
from heatmap.training.view_store import ViewStore

# Squares without objects in each photo that is judged.
SQUARES = 20
WAYS = ("stopped", "all epochs", "again on all examples", "from zero")


def main() -> None:
    folder = Path(sys.argv[1])
    print_machine()
    listed = json.loads((folder / "boxes.json").read_text())
    print(f"{'network':10} {'trained on':30} {'way':22} {'epochs':>6}  average precision")
    for labels in NETWORKS.values():
        for half in range(2):
            with tempfile.TemporaryDirectory() as temporary:
                print_ways(folder, listed, labels, half, Path(temporary, "boxes.json"))


def print_ways(folder: Path, listed: list[Any], labels: list[str], half: int, boxes: Path) -> None:
    examples = boxed_examples(folder, with_boxes_of(labels, listed[half::2], boxes))
    with patch.object(of_examples, "MOST_BACKGROUND", SQUARES):
        rest = with_boxes_of(labels, listed[1 - half :: 2], boxes)
        judged = boxed_examples(folder, rest, validation_split=0)
    counts = ", ".join(f"{name} {a}+{b}" for name, (a, b) in examples.counts().items())
    for way, fit, precisions in trained(examples, judged, boxes.parent):
        told = ", ".join(f"{name} {100 * each:.1f} ({n})" for name, n, each in precisions)
        print(
            f"{labels[0]:8} {half} {counts:30} {way:22} {fit.best_epoch:2}/{len(fit.history):2}  "
            f"{told}",
            flush=True,
        )


def trained(
    examples: Examples, judged: Examples, folder: Path
) -> Iterator[tuple[str, Fit, list[tuple[str, int, float]]]]:
    """For each way the fit, and class, number and average precision of what is judged."""
    schedule, nothing = Schedule(), lambda *_: None
    original = heatmap.load_classifier()
    frozen, _ = parts_of(heatmap.adapt(original, class_names=examples.classes))
    stores = (
        ViewStore(examples, schedule, original.preprocessing, frozen, refitted=True),
        ViewStore(judged, Schedule(views=1), original.preprocessing, frozen),
    )
    shown, asked = (
        store.labelled(folder / f"{name}.npy", nothing)
        for name, store in zip(("shown", "asked"), stores, strict=True)
    )
    for way in WAYS:
        adapted = heatmap.adapt(original, class_names=examples.classes)
        _, learner = parts_of(from_zero(adapted) if way == WAYS[3] else adapted)
        patience = PATIENCE if way == WAYS[0] else None
        fit = Fit(learner, shown, replace(schedule, patience=patience))
        start = initial(fit)
        list(fit.epochs())
        if way in WAYS[2:]:
            refit(fit, start)
        else:
            fit.take_best()
        yield way, fit, precisions_of(learner, examples, judged, asked)


def parts_of(classifier: Classifier) -> tuple[torch.nn.Module | None, torch.nn.Module]:
    """The frozen part of an adapted network, and the part that is trained."""
    assert isinstance(classifier.module, Adapted)
    return classifier.module.split()


def precisions_of(
    learner: torch.nn.Module, examples: Examples, judged: Examples, rows: LabelledRows
) -> list[tuple[str, int, float]]:
    with torch.inference_mode():
        logits = learner(rows.read(rows.train_rows[:, 0]))
    shares = torch.softmax(logits, 1).numpy()
    true = np.array([judged.classes[label] for label in rows.train_labels])
    precisions = []
    for label, name in enumerate(examples.classes):
        if name != BACKGROUND and (own := true == name).any():
            against = own | (true == BACKGROUND)
            precision = average_precision_score(own[against], shares[against, label])
            precisions.append((name, int(own.sum()), float(precision)))
    return precisions


if __name__ == "__main__":
    main()
