"""Findings of which tests draw pictures, made up or random."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.detection import Detection
from heatmap.localization.findings import Findings

# Two classes have one name, as in ImageNet.
NAMES = ("crane", "Egyptian cat", "crane", "German short-haired pointer", "cup", "ox")


def make_findings(
    hw=(240, 320),
    classes=3,
    *,
    sure=True,
    boxes=None,
    peak=0.8,
    missing=None,
    weights="default",
    seed=0,
    scale=1.0,
) -> Findings:
    """A bump for each class somewhere on a photo, and nothing elsewhere.

    Its boxes are at the bumps, or the given ones, of the classes in turn; ``sure`` makes them
    detections, otherwise they are guesses.
    """
    random = np.random.default_rng(seed)
    geometry = plan_grid(hw, Placement(scale=scale), window=32, native_stride=8)
    rows, columns = np.indices(geometry.grid_hw)
    groups = tuple(ClassGroup(NAMES[place % len(NAMES)], (place,)) for place in range(classes))
    maps, found = [], []
    for group in groups:
        row, column = (int(random.integers(side)) for side in geometry.grid_hw)
        away = ((rows - row) ** 2 + (columns - column) ** 2) / 36
        maps.append(peak * np.clip(1 - away, 0, 1))
        x, y = geometry.centre_xy(row, column)
        box = (max(0, x - 40), max(0, y - 30), min(hw[1], x + 40), min(hw[0], y + 30))
        found.append(detection(group, box, peak))
    if boxes is not None:
        found = [detection(groups[i % classes], box, peak) for i, box in enumerate(boxes)]
    scores = np.stack(maps, axis=2).astype(np.float32)
    if missing is not None:
        scores[missing] = np.nan
    origin = Origin("", "", "vgg16", Weights(weights, weights, ""), "slide", "exact", "sharp")
    names = ClassList(tuple(group.name for group in groups))
    grid = ScoreGrid(scores, geometry, names, "independent probabilities", origin)
    shown = tuple(found)
    return Findings(shown if sure else (), () if sure else shown, groups, grid)


def detection(group: ClassGroup, box, confidence: float) -> Detection:
    return Detection(group, confidence, box, box, (0, 0), 1.0, confidence)


@st.composite
def random_boxes(draw, hw: tuple[int, int], most=25):
    """Boxes within a photo, some of them nearly everything and some nearly nothing."""
    shares = st.floats(0, 1)
    boxes = []
    for _ in range(draw(st.integers(0, most))):
        left, right = sorted(draw(st.tuples(shares, shares)))
        top, bottom = sorted(draw(st.tuples(shares, shares)))
        boxes.append((left * hw[1], top * hw[0], right * hw[1], bottom * hw[0]))
    return boxes
