"""Run a pass over a photo and collect its scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..grid.coarse import CoarseToFine
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


def collected_coarse_to_fine(
    job: Pass,
    collector: Collector,
    plan: CoarseToFine,
    advance: Callable[[int, int], object],
    *,
    spread: Spread | None = None,
) -> Computation:
    """Crop the windows that a plan asks for, and fill in the others; how it was computed.

    Args:
        job: the pass over all cells that may be scored; each stage is a pass of its own.
        collector: takes the scores; cells that are not scored get the mean probabilities of those
            around them.
        plan: decides which cells are scored.
        advance, spread: as of :func:`collected`; windows count that were decided about.
    """
    total = math.prod(job.geometry.grid_hw) if job.wanted is None else int(job.wanted.sum())
    computation, done = None, 0
    with kept_memory():
        for stage, asked in plan.asked():
            if asked.any() or computation is None:
                of_stage = replace(job, wanted=asked)  # type: ignore[type-var]
                stream = of_stage.start() if spread is None else spread(of_stage, False)
                computation = computation or stream.computation
                for row, column, scores in stream.blocks:
                    # Blocks of workers hold cells of other stages too, as NaN.
                    n, m = scores.shape[:2]
                    for i, j in np.argwhere(asked[row : row + n, column : column + m]).tolist():
                        plan.saw(row + i, column + j, scores[i, j])
                        collector.write(row + i, column + j, scores[i : i + 1, j : j + 1])
                        done += 1
                        advance(done, total)
            collector.fill(stage.cells & ~asked, stage.around)
            done += int((stage.cells & ~asked).sum())
            advance(done, total)
    assert computation is not None
    return computation
