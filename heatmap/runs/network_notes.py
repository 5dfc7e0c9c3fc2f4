"""What the user should know of the network before trusting what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..classes import BACKGROUND
from ..grid.outputs import are_exclusive

if TYPE_CHECKING:
    from ..networks.classifier import Classifier

# A network with fewer classes, none of them the background, is said to know nothing else.
FEW = 10


def network_notes(classifier: Classifier, *, automatic: bool) -> Iterator[str]:
    """Notes on a network whose photos are scored; ``automatic``: at scales by its own rule."""
    if automatic:
        yield from _rule_notes(classifier)
    yield from _few_classes(classifier)


def _few_classes(classifier: Classifier) -> Iterator[str]:
    """That a network without a background calls everything one of its few classes."""
    names = classifier.classes.names
    if are_exclusive(classifier.outputs) and len(names) < FEW and BACKGROUND not in names:
        yield (
            f"each window must be one of {len(names)} classes ({', '.join(names)}), whatever it "
            "shows: train with a background to teach the network otherwise"
        )


def _rule_notes(classifier: Classifier) -> Iterator[str]:
    """What is not known of the photos that a network learned from."""
    if classifier.scale_rule.learned == "native":
        yield (
            "scored at scale 1: how large things are in the photos that the network learned from "
            "is not known"
        )
    elif classifier.scale_rule.learned == "photo" and classifier.weights_kind in ("file", "own"):
        yield "scales are those of a network that learned from whole photos, as published ones do"
