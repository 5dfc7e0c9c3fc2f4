"""The data of maps, detections and windows in the page of a photo, as plain data for JSON.

Arrays are base64 of their little-endian values. Probabilities are uint16 in steps of 1/65534, with
65535 for a window that was not scored; that is enough for 256 colour levels and numbers printed to
a tenth of a per cent.
"""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..geometry import Geometry
from ..grid.outputs import above_chance, probabilities_of
from ..grid.score_grid import ScoreGrid
from ..localization.findings import MOST_MAPS, Findings

PROBABILITY_STEPS, NOT_SCORED = 65534, 65535
# The grid of half a gigapixel at stride 32. Of a larger grid the page gets every second (third,
# ...) row and column.
MAX_CELLS = 2**19
# As many maps as there are without classes being named, each of the largest grid. Of more maps
# the page gets fewer rows and columns.
MAX_VALUES = MOST_MAPS * MAX_CELLS
# Number of classes named for each window.
STRONGEST = 5


def thinned(grid: ScoreGrid, of_cell: int = STRONGEST) -> tuple[ScoreGrid, int]:
    """The grid reduced to every n-th row and column, and n.

    It has at most ``MAX_CELLS`` cells; ``of_cell`` values of each give at most ``MAX_VALUES``.
    """
    rows, columns = grid.geometry.grid_hw
    most = max(1, min(MAX_CELLS, MAX_VALUES // of_cell))
    step = next(n for n in itertools.count(1) if -(-rows // n) * -(-columns // n) <= most)
    if step == 1:
        return grid, 1
    scores = grid.scores[::step, ::step]
    geometry = replace(
        grid.geometry,
        stride_px=grid.geometry.stride_px * step,
        grid_hw=(scores.shape[0], scores.shape[1]),
    )
    return replace(grid, scores=scores, geometry=geometry), step


class Labels:
    """Unique names of classes and groups: ImageNet has two "crane"."""

    def __init__(self, findings: Findings, grid: ScoreGrid | None = None) -> None:
        groups = [*findings.groups, *(detection.group for detection in findings.shown)]
        if grid is not None:
            groups += map(grid.classes.single, range(len(grid.classes)))
        self._bearers = Counter(group.name for group in dict.fromkeys(groups))

    def of(self, group: ClassGroup) -> str:
        if self._bearers[group.name] < 2:
            return group.name
        single = len(group.indices) == 1
        which = str(group.indices[0]) if single else f"{len(group.indices)} classes"
        return f"{group.name} ({which})"


def found_data(findings: Findings, maps: ScoreGrid, labels: Labels) -> dict[str, Any]:
    """The maps and their geometry, the detections or guesses, and what was not found.

    Args:
        findings: what was found.
        maps: its maps, as many rows and columns of them as the page gets.
        labels: what the page calls classes and groups.
    """
    counts = Counter(detection.group for detection in findings.detections)
    groups, peaks = findings.groups, findings.peaks
    boxes = findings.boxes_on(maps.geometry.photo_hw)
    region = maps.origin.region
    return {
        # Of the photo's corner, where it is a region of a larger one.
        "at": region.at if region else (0, 0),
        "geometry": _geometry_data(maps.geometry),
        "maps": [
            {"name": labels.of(group), "peak": round(peak, 6), "detections": counts[group]}
            for group, peak in zip(groups, peaks, strict=True)
        ],
        "probabilities": _packed(_stepped(np.moveaxis(maps.scores, 2, 0))),
        "guessed": not findings.detections,
        "notFound": [missing.answer() for missing in findings.not_found],
        "detections": [
            {
                "name": labels.of(detection.group),
                "map": findings.column(detection.group),
                "confidence": detection.confidence,
                "xyxy": box,
            }
            for detection, box in zip(findings.shown, boxes, strict=True)
        ],
    }


def window_data(grid: ScoreGrid, groups: Sequence[ClassGroup], labels: Labels) -> dict[str, Any]:
    """The geometry of the windows, and the strongest classes of each.

    Args:
        grid: the scores of the windows.
        groups: the classes that have maps.
        labels: as of :func:`found_data`.
    """
    map_of = {group.indices: index for index, group in enumerate(groups)}
    strongest = _Strongest.of(grid)
    return {"geometry": _geometry_data(grid.geometry), **strongest.data(grid, labels, map_of)}


@dataclass(frozen=True, eq=False)
class _Strongest:
    """The strongest classes of each window.

    ``indices`` and ``probabilities`` (NaN where not scored) are (N, M, up to
    ``STRONGEST``), best first.
    """

    indices: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float32]

    @classmethod
    def of(cls, grid: ScoreGrid) -> _Strongest:
        count = min(STRONGEST, len(grid.classes))
        indices = np.empty((*grid.geometry.grid_hw, count), np.intp)
        highest = np.empty((*grid.geometry.grid_hw, count), np.float32)
        for rows in grid.row_blocks():
            probabilities = probabilities_of(grid.scores[rows], grid.kind)
            block = above_chance(probabilities, grid.chance)
            unordered = np.argpartition(-block, count - 1, axis=2)[:, :, :count]
            order = np.argsort(-np.take_along_axis(block, unordered, 2), axis=2, kind="stable")
            indices[rows] = np.take_along_axis(unordered, order, 2)
            highest[rows] = np.take_along_axis(block, indices[rows], 2)
        return cls(indices, highest)

    def data(
        self, grid: ScoreGrid, labels: Labels, map_of: dict[tuple[int, ...], int]
    ) -> dict[str, Any]:
        """JSON data; ``classes`` and ``probabilities`` (N, M, count); classes index ``names``."""
        used, classes = np.unique(self.indices, return_inverse=True)
        return {
            "count": self.indices.shape[2],
            "names": [labels.of(grid.classes.single(int(index))) for index in used],
            "maps": [map_of.get((int(index),)) for index in used],
            "classes": _packed(classes.astype("<u2" if len(used) <= 2**16 else "<u4")),
            "probabilities": _packed(_stepped(self.probabilities)),
        }


def _geometry_data(geometry: Geometry) -> dict[str, Any]:
    return {
        "photo_hw": geometry.photo_hw,
        "grid_hw": geometry.grid_hw,
        "origin_yx": geometry.origin_yx,
        "scale_yx": geometry.scale_yx,
        "window_px": geometry.window_px,
        "stride_px": geometry.stride_px,
    }


def _stepped(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Probabilities as integer steps; ``NOT_SCORED`` for NaN."""
    steps = np.rint(np.clip(probabilities, 0, 1) * PROBABILITY_STEPS)
    return np.where(np.isnan(steps), NOT_SCORED, steps).astype("<u2")


def _packed(values: npt.NDArray[Any]) -> dict[str, str]:
    content = base64.b64encode(np.ascontiguousarray(values).data).decode("ascii")
    return {"dtype": values.dtype.name, "base64": content}
