"""Run a pass over a photo and collect its scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..grid.collector import Collector
from ..grid.origin import Computation
from ..memory import kept_memory
from .position_collector import PositionCollector
from .stream import Pass, Spread


def collected(
    job: Pass,
    collector: Collector | PositionCollector,
    advance: Callable[[int, int], object],
    *,
    spread: Spread | None = None,
    positions: bool = False,
    left_out: npt.NDArray[np.bool_] | None = None,
) -> Computation:
    """Run a pass, here or elsewhere, and collect its scores; returns how it was computed.

    Args:
        job: the pass.
        collector: takes the scores.
        advance: called with the number of windows done and the total.
        spread: has the pass computed elsewhere; None computes it here.
        positions: whether cells are single positions.
        left_out: cells that become NaN, bool (N, M). They are computed with the others, whose
            bits would depend on how the grid is cut.
    """
    scored = np.ones(job.geometry.grid_hw, bool) if job.wanted is None else job.wanted
    if left_out is not None:
        scored = scored & ~left_out
    done, total = 0, int(scored.sum())
    with kept_memory():
        stream = job.start() if spread is None else spread(job, positions)
        for row, column, scores in stream.blocks:
            if left_out is not None:
                here = left_out[row : row + scores.shape[0], column : column + scores.shape[1]]
                scores = np.where(here[:, :, None], np.float32(np.nan), scores)
            collector.write(row, column, scores)
            done += int((~np.isnan(scores[:, :, 0])).sum())
            advance(done, total)
    return stream.computation
