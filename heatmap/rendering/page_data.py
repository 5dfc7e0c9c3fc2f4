"""The data of scores and detections in the page of a photo, as plain data for JSON.

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

from ..classes import ClassGroup, ClassList
from ..geometry import Geometry
from ..grid.outputs import above_chance, probabilities_of
from ..grid.score_grid import ScoreGrid
from ..localization.detection import Detection

PROBABILITY_STEPS, NOT_SCORED = 65534, 65535
# The grid of half a gigapixel at stride 32. Of a larger grid the page gets every second (third,
# ...) row and column.
MAX_CELLS = 2**19
# Bytes for class maps, before base64 adds a third: 16 maps of the largest grid; of an ordinary
# one, all classes that reach MIN_PEAK.
MAPS_BYTES = 2**24
MIN_PEAK = 0.01
# Number of maps if fewer classes reach MIN_PEAK.
FEWEST_MAPS = 5
# Number of classes named for each window.
STRONGEST = 5


def thinned(grid: ScoreGrid) -> tuple[ScoreGrid, int]:
    """The grid reduced to every n-th row and column, to at most ``MAX_CELLS`` cells, and n."""
    rows, columns = grid.geometry.grid_hw
    step = next(n for n in itertools.count(1) if -(-rows // n) * -(-columns // n) <= MAX_CELLS)
    if step == 1:
        return grid, 1
    scores = grid.scores[::step, ::step]
    geometry = replace(
        grid.geometry,
        stride_px=grid.geometry.stride_px * step,
        grid_hw=(scores.shape[0], scores.shape[1]),
    )
    return replace(grid, scores=scores, geometry=geometry), step


def score_data(grid: ScoreGrid, detections: Sequence[Detection]) -> dict[str, Any]:
    """Geometry, class maps, the strongest classes of each window, and the detections.

    There are maps of the detected classes, most confident first, and then of the classes with the
    highest probabilities anywhere, down to ``MIN_PEAK`` and up to ``MAPS_BYTES``.
    """
    best_first = sorted(detections, key=lambda detection: -detection.confidence)
    strongest = _Strongest.of(grid)
    groups = _mapped(grid.classes, best_first, strongest.peaks, grid.scored.size)
    labels = _Labels(grid.classes)
    map_of = {group.indices: index for index, group in enumerate(groups)}
    counts = Counter(detection.group.indices for detection in detections)
    maps = grid.class_maps(groups)
    peaks = np.nan_to_num(maps).max(axis=(0, 1))
    return {
        "geometry": _geometry_data(grid.geometry),
        "maps": [
            {
                "name": labels.of(group),
                "peak": round(float(peak), 6),
                "detections": counts[group.indices],
            }
            for group, peak in zip(groups, peaks, strict=True)
        ],
        "probabilities": _packed(_stepped(np.moveaxis(maps, 2, 0))),
        "strongest": strongest.data(labels, map_of),
        "detections": [
            {
                "name": labels.of(detection.group),
                "map": map_of.get(detection.group.indices),
                "confidence": round(detection.confidence, 6),
                "xyxy": [round(side, 2) for side in detection.xyxy],
                "window_xyxy": [round(side, 2) for side in detection.window_xyxy],
            }
            for detection in best_first
        ],
    }


@dataclass(frozen=True, eq=False)
class _Strongest:
    """The strongest classes of each window, and the highest probability of each class.

    ``indices`` and ``probabilities`` (NaN where not scored) are (N, M, up to
    ``STRONGEST``), best first; ``peaks`` is (K,).
    """

    indices: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float32]
    peaks: npt.NDArray[np.float32]

    @classmethod
    def of(cls, grid: ScoreGrid) -> _Strongest:
        count = min(STRONGEST, len(grid.classes))
        indices = np.empty((*grid.geometry.grid_hw, count), np.intp)
        highest = np.empty((*grid.geometry.grid_hw, count), np.float32)
        peaks = np.zeros(len(grid.classes), np.float32)
        for rows in grid.row_blocks():
            probabilities = probabilities_of(grid.scores[rows], grid.kind)
            block = above_chance(probabilities, grid.chance)
            unordered = np.argpartition(-block, count - 1, axis=2)[:, :, :count]
            order = np.argsort(-np.take_along_axis(block, unordered, 2), axis=2, kind="stable")
            indices[rows] = np.take_along_axis(unordered, order, 2)
            highest[rows] = np.take_along_axis(block, indices[rows], 2)
            # fmax, since maximum would propagate NaN.
            np.fmax(peaks, np.fmax.reduce(block, axis=(0, 1)), out=peaks)
        return cls(indices, highest, peaks)

    def data(self, labels: _Labels, map_of: dict[tuple[int, ...], int]) -> dict[str, Any]:
        """JSON data; ``classes`` and ``probabilities`` (N, M, count); classes index ``names``."""
        used, classes = np.unique(self.indices, return_inverse=True)
        return {
            "count": self.indices.shape[2],
            "names": [labels.single(int(index)) for index in used],
            "maps": [map_of.get((int(index),)) for index in used],
            "classes": _packed(classes.astype("<u2" if len(used) <= 2**16 else "<u4")),
            "probabilities": _packed(_stepped(self.probabilities)),
        }


class _Labels:
    """Unique names of classes and groups: ImageNet has two "crane"."""

    def __init__(self, classes: ClassList) -> None:
        self._classes = classes
        self._bearers = Counter(classes.names) + Counter(group.name for group in classes.groups)

    def of(self, group: ClassGroup) -> str:
        if self._bearers[group.name] < 2:
            return group.name
        single = len(group.indices) == 1
        which = str(group.indices[0]) if single else f"{len(group.indices)} classes"
        return f"{group.name} ({which})"

    def single(self, index: int) -> str:
        return self.of(self._classes.single(index))


def _mapped(
    classes: ClassList, detections: Sequence[Detection], peaks: npt.NDArray[np.float32], cells: int
) -> list[ClassGroup]:
    """The classes and groups that get a map on the page."""
    count = max(1, MAPS_BYTES // (2 * cells))
    ranked = np.argsort(-peaks, kind="stable")[: max(FEWEST_MAPS, int((peaks >= MIN_PEAK).sum()))]
    # By indices, since a group of one class is the same as that class.
    mapped: dict[tuple[int, ...], ClassGroup] = {}
    for group in [
        *(detection.group for detection in detections),
        *map(classes.single, ranked.tolist()),
    ]:
        mapped.setdefault(group.indices, group)
    return list(mapped.values())[:count]


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
