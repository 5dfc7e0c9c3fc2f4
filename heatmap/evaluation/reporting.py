"""A verification for others to read: as plain data and as a picture."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..classes import Wanted
from ..grid.score_grid import ScoreGrid
from ..photo.photo import Photo, read_photo
from ..rendering.colours import Image
from ..rendering.overlay import comparison
from .verify import VerifyReport


def describe_report(report: VerifyReport) -> dict[str, Any]:
    """A report without its grids, for JSON; differences are in units of the scores."""
    return {
        "passed": report.passed,
        "conclusion": report.conclusion,
        "head": {**asdict(report.head), "holds": report.head.holds},
        "sliding_against_cropping": {
            "everywhere": asdict(report.everywhere),
            "inner": asdict(report.inner) if report.inner else None,
            "edge": asdict(report.edge) if report.edge else None,
        },
        "timing": {**asdict(report.timing), "ratio": report.timing.ratio},
        "padded_layers": list(report.padded),
        "whole_input_layers": [list(pair) for pair in report.whole_input],
        "scores": report.grid.kind,
        "geometry": asdict(report.grid.geometry),
        "origin": asdict(report.grid.origin),
    }


def draw_report(
    photo: str | Path | npt.NDArray[np.uint8] | Photo,
    report: VerifyReport,
    wanted: Wanted | None = None,
) -> Image:
    """Both heatmaps of one class and their difference, side by side: RGB uint8.

    Args:
        photo: the one that was verified.
        report: what came out.
        wanted: class to draw; None is the one that wins the most.

    Raises:
        ClassError: an unknown class.
    """
    grid: ScoreGrid = report.grid
    group = grid.winners(1)[0] if wanted is None else grid.classes.find(wanted)
    cropped = replace(grid, scores=report.cropped)
    return comparison(
        read_photo(photo).pixels,
        grid.geometry,
        grid.class_map(group),
        cropped.class_map(group),
        title=f"{group.name}: {grid.origin.model}, {grid.origin.weights}",
    )
