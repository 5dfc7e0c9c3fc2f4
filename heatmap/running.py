"""The main job on one photo: score, localize, draw, save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .geometry import Border
from .grid import ScoreGrid
from .localizing import LEAST_SCORE, Found, localize
from .photos import Photo, read_photo
from .rendering import OPACITY, overlay
from .results import SavedRun, save_run
from .scoring import Progress, Scorer

# Overlays drawn when no class is asked for: what was found, at most so many.
MOST_OVERLAYS = 5


@dataclass(frozen=True)
class View:
    """What to look at and how to draw it.

    ``classes`` are searched and drawn; without any, ``top`` draws the classes
    that win the most, and without that what was found is drawn.
    """

    classes: Sequence[str | int] = ()
    top: int = 0
    least_score: float = LEAST_SCORE
    opacity: float = OPACITY
    stretch: bool = False

    def find(self, grid: ScoreGrid) -> tuple[Found, ...]:
        """Objects of the classes asked for, or of any."""
        return localize(grid, self.classes or None, least_score=self.least_score)

    def indices(self, grid: ScoreGrid, found: Sequence[Found]) -> list[int]:
        """The classes to draw, best first."""
        if self.classes:
            return list(dict.fromkeys(grid.classes.find(wanted) for wanted in self.classes))
        if self.top:
            return grid.winners(self.top)
        seen = list(dict.fromkeys(one.index for one in found))[:MOST_OVERLAYS]
        return seen or grid.winners(1)


@dataclass(frozen=True)
class Placement:
    """Where the windows lie; see :func:`heatmap.score`."""

    stride: int | None = None
    scale: float = 1.0
    border: Border = "cover"


@dataclass(frozen=True)
class Run:
    """One photo done."""

    photo: Photo
    grid: ScoreGrid
    found: tuple[Found, ...]
    saved: SavedRun


def run(
    photo: str | Path,
    scorer: Scorer,
    folder: str | Path,
    *,
    view: View = View(),
    placement: Placement = Placement(),
    progress: Progress | None = None,
) -> Run:
    """Score a photo, find objects, draw overlays, and write all of it to ``folder``.

    Raises:
        HeatmapError: any of its kinds; nothing is written then.
    """
    read = read_photo(photo)
    # An unknown class is refused before the photo is scored, not after.
    for wanted in view.classes:
        scorer.classifier.classes.find(wanted)
    grid = scorer.score(
        read,
        stride=placement.stride,
        scale=placement.scale,
        border=placement.border,
        progress=progress,
    )
    found = view.find(grid)
    pictures = {
        index: overlay(read, grid, index, opacity=view.opacity, stretch=view.stretch)
        for index in view.indices(grid, found)
    }
    return Run(read, grid, found, save_run(folder, read, grid, found, pictures))
