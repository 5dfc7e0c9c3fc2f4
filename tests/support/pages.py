"""Photos, grids and found objects of which tests make pages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Geometry, Placement, plan_grid
from heatmap.grid.origin import Computation, Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.localize import Detection

PHOTO_HW = (300, 420)
NAMES = ("tabby", "tiger cat", "crane", "crane", "<b>bold</b>", "cup", "moon", "wall", "dust")
CAT = ClassGroup("cat", (0, 1))
CLASSES = ClassList(NAMES, groups=(CAT,))
ORIGIN = Origin(
    "",
    "",
    "vgg16",
    Weights("default", "default (ImageNet)", ""),
    "slide",
    "exact",
    computation=Computation(threads=2),
)


def make_grid(photo_hw=PHOTO_HW, *, scale=1.0, missing=None, origin=ORIGIN, stride=16) -> ScoreGrid:
    """Classes that rise and fall over the photo, each in a place of its own; "dust" nowhere."""
    geometry = plan_grid(
        photo_hw, Placement(stride=stride, scale=scale), window=64, native_stride=32
    )
    y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in geometry.grid_hw), indexing="ij")
    middles = np.random.default_rng(4).random((len(NAMES), 2))
    heights = np.array([4, 3.5, 3, 2, 5, 3, 2.5, 2, 0]) * 2
    bumps = [
        height * np.exp(-((y - down) ** 2 + (x - across) ** 2) / 0.05)
        for height, (down, across) in zip(heights, middles, strict=True)
    ]
    logits = np.stack(bumps, axis=2).astype(np.float32)
    logits[:, :, -1] = -6
    if missing is not None:
        logits[missing] = np.nan
    return ScoreGrid(logits, geometry, CLASSES, "logits", origin)


def find(grid: ScoreGrid, group: ClassGroup, score: float | None = None) -> Detection:
    """The most confident window of a class or group, with a box half as wide in its middle."""
    cells = np.nan_to_num(grid.class_map(group))
    row, column = divmod(int(cells.argmax()), cells.shape[1])
    window = window_in_photo(grid.geometry, row, column)
    left, top, right, bottom = window
    across, down = (right - left) / 4, (bottom - top) / 4
    box = (left + across, top + down, right - across, bottom - down)
    best = float(cells.max()) if score is None else score
    return Detection(group, best, box, window, (row, column), 1.0)


def window_in_photo(geometry: Geometry, row: int, column: int) -> tuple[float, float, float, float]:
    left, top, right, bottom = geometry.window_xyxy(row, column)
    height, width = geometry.photo_hw
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def origin(**changes) -> Origin:
    return replace(ORIGIN, **changes)
