"""Which backend is found to be the faster one: how often both are run, and on which inputs."""

from __future__ import annotations

from collections import Counter
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

import heatmap
from heatmap.prepared.network import PreparedNetwork
from heatmap.scoring import preparation as module
from heatmap.scoring.preparation import Preparation

WINDOW, LARGER = (1, 64, 64, 3), (1, 64 + 8 * 32, 64 + 8 * 32, 3)


@pytest.fixture
def runs(monkeypatch) -> Counter[tuple[int, ...]]:
    """How often ONNX Runtime runs inputs of each shape from now on; a tick a look at the clock."""
    seen, timed, ticks = Counter(), PreparedNetwork.timed, count()

    def run(self: PreparedNetwork, pixels: np.ndarray, threads: int) -> None:
        seen[pixels.shape] += 1
        timed(self, pixels, threads)

    monkeypatch.setattr(PreparedNetwork, "timed", run)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    return seen


@pytest.mark.parametrize(
    ("ticks", "expected"), [(0, {WINDOW: 2, LARGER: 1}), (1000, {WINDOW: 12, LARGER: 11})]
)
def test_both_inputs_get_half_of_the_time(kept_checkpoint, runs, ticks, expected):
    scorer = heatmap.prepare(kept_checkpoint)
    prepared = scorer.prepared_at(32)
    winner = Preparation(scorer.in_torch.get(), 32).winner(prepared, ticks)
    # Both ways take one tick each time.
    assert (runs, winner) == (expected, "torch")
