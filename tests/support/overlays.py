"""Photos, grids and captions of which tests draw pictures."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap.classes import ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.rendering.legend import Caption, strip

NAMES = ("Egyptian cat", "everything", "nothing", "half")
WHERE_HOT = (60, 90)  # a pixel (y, x) of the photo below


def make_photo(height=120, width=180):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


DEFAULT = Weights("default", "default", "")


def make_grid(photo, *, weights=DEFAULT, stride=4):
    """Scores: a bump at WHERE_HOT reaching 0.9, and classes of 1, 0 and 0.5 everywhere."""
    geometry = plan_grid(photo.shape[:2], Placement(stride=stride), window=32, native_stride=32)
    rows, columns = geometry.grid_hw
    scores = np.zeros((rows, columns, len(NAMES)), np.float32)
    for row in range(rows):
        for column in range(columns):
            x, y = geometry.centre_xy(row, column)
            away = (y - WHERE_HOT[0]) ** 2 + (x - WHERE_HOT[1]) ** 2
            scores[row, column] = 0.9 * np.exp(-away / 800), 1, 0, 0.5
    # Of so many classes that chance is nothing.
    origin = Origin("", "", "vgg16", weights, "slide", "exact", network_classes=10**15)
    return ScoreGrid(scores, geometry, ClassList(NAMES), "probabilities", origin)


def captions_drawn(monkeypatch: pytest.MonkeyPatch, module: str) -> list[Caption]:
    """The captions that a module draws, as they are asked for."""
    drawn = []

    def recording(width: int, caption: Caption, size: int):
        drawn.append(caption)
        return strip(width, caption, size)

    monkeypatch.setattr(f"{module}.strip", recording)
    return drawn
