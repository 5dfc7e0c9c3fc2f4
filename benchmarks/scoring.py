"""`Scorer.score`, from pixels to grid, over the bare network in the forms a user would pick.

    python benchmarks/scoring.py [MODEL ...]

At scale 1, in a warm process, all in turn, best of several rounds. Before the clock starts the
scores of all ways are compared.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bare import (
    COUNTED,
    SHOWN,
    bare_networks,
    network_input,
    prepared_scorer,
    require_same,
    weights_of,
)
from machine import in_turn, print_machine
from sampling import sample_photo
from tables import Target, print_table, print_targets

import heatmap

SCORE = "`Scorer.score`"
ORDER = (SCORE, *SHOWN)
# What is slow is measured as often at least, what is fast as often as fits into so many seconds.
ROUNDS = 3
BUDGET_S = 8

MEGAPIXEL_WH = (1024, 1024)
VGA_WH = (640, 480)


@dataclass(frozen=True)
class Case:
    """A network on a photo of a size, at a stride; ``wanted`` over the faster bare network."""

    model: str
    photo_wh: tuple[int, int] = MEGAPIXEL_WH
    stride: int = 32
    wanted: float = 1.10

    @property
    def what(self) -> str:
        width, height = self.photo_wh
        return f"{self.model}, {width} x {height} px, stride {self.stride}"


# Those of one network stand together.
CASES = (
    Case("efficientnet_lite0", wanted=1.15),
    Case("efficientnet_lite0", VGA_WH, wanted=1.25),
    Case("efficientnet_lite0", stride=16),
    Case("efficientnet_lite0", stride=8),
    Case("resnet50"),
    Case("resnet50", stride=16),
    Case("resnet50", stride=8),
    Case("vgg16"),
    Case("densenet121"),
    Case("convnext_tiny"),
    Case("mobilenet_v2"),
)

# The case, the backend that scored, and the seconds of every way.
Measured = tuple[Case, str, dict[str, float]]


def main() -> None:
    models = sys.argv[1:] or [case.model for case in CASES]
    print_machine()
    cases = [case for case in CASES if case.model in models]
    by_model = groupby(cases, key=lambda case: case.model)
    report([row for model, group in by_model for row in measure(model, list(group))])


def measure(model: str, cases: list[Case]) -> Iterator[Measured]:
    """Seconds of every way, case by case, with the network prepared once."""
    options = {"weights": weights_of(model)}
    classifier = heatmap.load_classifier(model, **options)
    scorer = prepared_scorer(model)
    for case in cases:
        photo = sample_photo(*case.photo_wh)
        placement = heatmap.Placement(stride=case.stride)
        backend = scorer.ready_at(case.stride, keep=True)
        expected = scorer.score(photo, placement).scores.transpose(2, 0, 1)[None]
        ways = {SCORE: lambda photo=photo, placement=placement: scorer.score(photo, placement)}
        with tempfile.TemporaryDirectory() as folder:
            networks = bare_networks(classifier, case.stride, Path(folder), SHOWN)
        values = network_input(scorer, photo, placement)
        for name, network in networks.items():
            ways[name] = network(values)
            require_same(f"{case.what}, {name}", ways[name](), expected)
        yield case, backend, in_turn(ways, ROUNDS, budget_s=BUDGET_S)


def report(measured: list[Measured]) -> None:
    print_table(
        ("network, photo, stride", "backend", *(f"{way}, s" for way in ORDER)),
        [
            (case.what, backend, *(f"{seconds[way]:.3f}" for way in ORDER))
            for case, backend, seconds in measured
        ],
    )
    print_targets(
        Target(f"{case.what}: score / the faster bare network", ratio(seconds), case.wanted, False)
        for case, _, seconds in measured
    )


def ratio(seconds: dict[str, float]) -> float:
    return seconds[SCORE] / min(seconds[way] for way in COUNTED)


if __name__ == "__main__":
    main()
