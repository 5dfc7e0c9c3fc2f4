"""Which windows a verification compares."""

from __future__ import annotations

import numpy as np

from ..scoring.cells import Cell


def sampled(cells: list[Cell], count: int) -> list[Cell]:
    """A random sample (seed 0) of up to ``count`` cells, in their order."""
    if len(cells) <= count:
        return cells
    indices = np.random.default_rng(0).choice(len(cells), size=count, replace=False)
    return [cells[index] for index in sorted(indices)]
