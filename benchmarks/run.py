"""`heatmap.run` in one process, from a JPEG to all files, over the bare network.

    python benchmarks/run.py

One photo of 1024 x 1024 px with the built-in network, default settings but for `confirm=0`, and the
bare network on the same scales of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from bare import COUNTED, SHOWN, BareNetwork, bare_networks, network_input, prepared_scorer
from machine import in_turn, print_machine
from sampling import sample_photo, write_jpeg
from tables import Target, print_table, print_targets

import heatmap
from heatmap.runs.request import MultiScale

SIDE_PX = 1024
RUN = "`heatmap.run`"
WANTED = 1.35
ROUNDS = 5
BUDGET_S = 40


def main() -> None:
    print_machine()
    classifier = heatmap.load_classifier()
    scorer = prepared_scorer(classifier.name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = write_jpeg(folder / "photo.jpg", sample_photo(SIDE_PX))
        networks = bare_networks(classifier, None, folder, SHOWN)
        seconds = measure(scorer, path, networks)
    print_table(("way", "seconds"), [(way, f"{taken:.3f}") for way, taken in seconds.items()])
    ratio = seconds[RUN] / min(seconds[way] for way in COUNTED)
    print_targets([Target("run / the faster bare network", ratio, WANTED, at_least=False)])


def measure(
    scorer: heatmap.Scorer, path: Path, networks: dict[str, BareNetwork]
) -> dict[str, float]:
    results = path.parent / "results"
    ways = {RUN: lambda: heatmap.run(path, scorer, output=results, confirm=0)}
    ways |= on_all_scales(networks, scorer, heatmap.read_photo(path).pixels)
    return in_turn(ways, ROUNDS, budget_s=BUDGET_S)


def on_all_scales(
    networks: dict[str, BareNetwork], scorer: heatmap.Scorer, photo: npt.NDArray[np.uint8]
) -> dict[str, Callable[[], object]]:
    """For every network what runs it on a photo at the scales that are scored by default."""
    window = scorer.facts.preprocessing.window_px
    scales = MultiScale().scales_for(photo.shape[:2], scorer.facts.scale_rule, window, named=False)
    inputs = [network_input(scorer, photo, heatmap.Placement(scale=scale)) for scale in scales]
    held = {name: [network(values) for values in inputs] for name, network in networks.items()}
    return {name: lambda ways=ways: [way() for way in ways] for name, ways in held.items()}


if __name__ == "__main__":
    main()
