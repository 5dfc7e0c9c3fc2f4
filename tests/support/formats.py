"""Photos and grids that are exported, and their exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.transform import Affine, from_origin

from heatmap.classes import ClassGroup, ClassList
from heatmap.geometry import Placement, plan_grid
from heatmap.grid.origin import Origin, Weights
from heatmap.grid.score_grid import ScoreGrid
from heatmap.localization.detection import Detection, as_stored
from heatmap.localization.findings import Findings, stored_maps, window_maps
from heatmap.photo.photo import Photo
from heatmap.runs.formats import export_files

HW = (300, 420)
NAMES = ("cat", "crane", "crane", "Crane")
CAT, ANIMAL = ClassGroup("cat", (0,)), ClassGroup("any animal", (0, 1, 2, 3))
NORTH_UP = from_origin(421000.5, 5412345.25, 0.3, 0.2)
SHEARED = Affine(0.2, 0.05, 421000.0, -0.07, 0.3, 5412345.0)
FOUND = (
    Detection(
        CAT, 0.91234567, (10.126, 20.0, 110.0, 70.0), (0.0, 0.0, 128.0, 128.0), (0, 1), 0.5, 0.9
    ),
    Detection(
        ANIMAL, 0.4, (200.5, 100.25, 420.0, 300.0), (192.0, 96.0, 420.0, 300.0), (3, 6), 1.0, 0.4
    ),
)


def made_grid(hw=HW, *, missing: Any = None, scale: float = 1.0) -> ScoreGrid:
    geometry = plan_grid(hw, Placement(scale=scale), window=64, native_stride=32)
    scores = np.random.default_rng(1).dirichlet(np.ones(4) / 2, geometry.grid_hw)
    scores = scores.astype(np.float32)
    if missing is not None:
        scores[missing] = np.nan
    origin = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")
    return ScoreGrid(scores, geometry, ClassList(NAMES), "probabilities", origin)


def made_photo(hw=HW, path: str = "") -> Photo:
    return Photo(np.zeros((*hw, 3), np.uint8), path)


def findings(
    grid: ScoreGrid | None = None,
    detections: Sequence[Detection] = FOUND,
    groups: Sequence[ClassGroup] = (CAT, ANIMAL),
) -> Findings:
    maps = stored_maps(window_maps(grid or made_grid(), groups))
    return Findings(tuple(map(as_stored, detections)), (), tuple(groups), maps)


def export(
    folder: Path,
    formats: Sequence[str],
    photo: Photo,
    grid: ScoreGrid | None = None,
    detections: Sequence[Detection] = FOUND,
    groups: Sequence[ClassGroup] = (CAT, ANIMAL),
) -> dict[str, Path]:
    files = export_files(formats, photo, findings(grid, detections, groups))
    for suffix, write in files.items():
        write(folder / f"photo{suffix}")
    return {suffix: folder / f"photo{suffix}" for suffix in files}
