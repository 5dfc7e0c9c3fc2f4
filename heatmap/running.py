"""The main job on one photo: score, localize, draw, save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .background import Skip
from .geometry import Border
from .grid import ScoreGrid
from .localizing import LEAST_SCORE, Found, localize
from .painting import OPACITY
from .photos import Photo
from .pyramids import large_overlay
from .rendering import overlay
from .results import Picture, SavedRun, save_run
from .scales import How, auto_scales, fuse_scales
from .scoring import Progress, Scorer
from .streams import PhotoFile, open_photo

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

    def find(self, grids: ScoreGrid | Sequence[ScoreGrid]) -> tuple[Found, ...]:
        """Objects of the classes asked for, or of any, at one or several scales."""
        return localize(grids, self.classes or None, least_score=self.least_score)

    def draw(self, photo: Photo | PhotoFile, grid: ScoreGrid, index: int) -> Picture:
        """The overlay of a class: a picture, or what writes a pyramid of a large photo."""
        if isinstance(photo, PhotoFile):
            return large_overlay(photo, grid, index, opacity=self.opacity, stretch=self.stretch)
        return overlay(photo, grid, index, opacity=self.opacity, stretch=self.stretch)

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
    """Where the windows lie; see :func:`heatmap.score`.

    Of several ``scales`` each gives a grid; they are fused on the finest one, by their
    mean or their maximum. None is :func:`scales.auto_scales`.
    """

    stride: int | None = None
    scales: tuple[float, ...] | None = (1.0,)
    border: Border = "cover"
    fuse: How = "mean"


@dataclass(frozen=True)
class Limits:
    """What a run may take and keep; see :func:`heatmap.score`."""

    memory: int | None = None
    keep: tuple[str | int, ...] | None = None
    skip: Skip | None = None


@dataclass(frozen=True)
class Run:
    """One photo done; ``scales`` holds the grid of each scale where there are several."""

    photo: Photo | PhotoFile
    grid: ScoreGrid
    scales: Mapping[str, ScoreGrid]
    found: tuple[Found, ...]
    saved: SavedRun


def run(
    photo: str | Path,
    scorer: Scorer,
    folder: str | Path,
    *,
    view: View = View(),
    placement: Placement = Placement(),
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> Run:
    """Score a photo, find objects, draw overlays, and write all of it to ``folder``.

    Raises:
        HeatmapError: any of its kinds; nothing is written then.
    """
    read = open_photo(photo)
    # An unknown class is refused before the photo is scored, not after.
    for wanted in view.classes:
        scorer.classifier.classes.find(wanted)
    window = scorer.classifier.preprocessing.window_px
    scales = placement.scales or auto_scales(read.hw, window)
    grids = [
        scorer.score(
            read,
            stride=placement.stride,
            scale=scale,
            border=placement.border,
            memory=limits.memory,
            keep=limits.keep,
            skip=limits.skip,
            folder=Path(folder),
            progress=progress,
        )
        for scale in dict.fromkeys(scales)
    ]
    grid = grids[0] if len(grids) == 1 else fuse_scales(grids, placement.fuse)
    several = {f"x{scale:g}": one for scale, one in zip(scales, grids, strict=False)}
    several = several if len(grids) > 1 else {}
    found = view.find(grids)
    pictures = {index: view.draw(read, grid, index) for index in view.indices(grid, found)}
    return Run(read, grid, several, found, save_run(folder, read, grid, found, pictures, several))
