"""What the user should know of the network before trusting what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..classes import BACKGROUND
from ..grid.outputs import are_exclusive

if TYPE_CHECKING:
    from ..prepared.facts import NetworkFacts

# A network with fewer classes, none of them the background, is said to know nothing else.
FEW = 10


def network_notes(facts: NetworkFacts, *, automatic: bool) -> Iterator[str]:
    """Notes on a network whose photos are scored; ``automatic``: at scales by its own rule."""
    if automatic:
        yield from _rule_notes(facts)
    yield from _few_classes(facts)


def _few_classes(facts: NetworkFacts) -> Iterator[str]:
    """That a network without a background calls everything one of its few classes."""
    names = facts.classes.names
    if are_exclusive(facts.outputs) and len(names) < FEW and BACKGROUND not in names:
        yield (
            f"each window must be one of {len(names)} classes ({', '.join(names)}), whatever it "
            "shows: train with a background to teach the network otherwise"
        )


def _rule_notes(facts: NetworkFacts) -> Iterator[str]:
    """What is not known of the photos that a network learned from."""
    if facts.scale_rule.learned == "native":
        yield (
            "scored at scale 1: how large things are in the photos that the network learned from "
            "is not known"
        )
    elif facts.scale_rule.learned == "photo" and facts.weights_kind in ("file", "own"):
        yield "scales are those of a network that learned from whole photos, as published ones do"
