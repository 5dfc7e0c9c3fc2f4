"""The main job on one photo: score, localize, draw, save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .background import Skip
from .classes import ClassList
from .collecting import grid_bytes, room_to_grow
from .errors import ClassError
from .geometry import Border
from .grid import LARGE_GRID_BYTES, ScoreGrid
from .localizing import LEAST_SCORE, Found, localize
from .painting import OPACITY
from .photos import Photo
from .pyramids import large_overlay
from .rendering import overlay
from .results import Picture, SavedRun, save_run
from .scales import How, auto_scales, fuse_scales
from .scoring import Scorer
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
class Watcher:
    """Is told how a run goes on; this one does nothing with it."""

    def say(self, what: str) -> None:
        """What begins now."""

    def progress(self, done: int, total: int) -> None:
        """How many windows of how many are done."""

    def large(self, needed: int) -> None:
        """Before scoring: bytes on disk of scores that are too many for memory."""


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
    watcher: Watcher = Watcher(),
) -> Run:
    """Score a photo, find objects, draw overlays, and write all of it to ``folder``.

    Raises:
        HeatmapError: any of its kinds; nothing is written then.
    """
    read = open_photo(photo)
    # What cannot be is refused before the photo is scored, not after.
    view = _within_kept(view, scorer.classifier.classes, limits.keep)
    needed = planned_bytes(read.hw, scorer, placement, limits)
    # However it ends, what grew and was not saved goes.
    with room_to_grow(needed, Path(folder)) as home:
        if needed:
            watcher.large(needed)
        grids = dict(_scored(read, scorer, home, placement, limits, watcher))
        every = list(grids.values())
        grid = every[0] if len(every) == 1 else fuse_scales(every, placement.fuse, home)
        watcher.say(f"drawing and saving {Path(read.path).name}")
        found = view.find(every)
        pictures = {index: view.draw(read, grid, index) for index in view.indices(grid, found)}
        several = grids if len(every) > 1 else {}
        saved = save_run(folder, read, grid, found, pictures, several)
        return Run(read, grid, several, found, saved)


def planned_bytes(
    photo_hw: tuple[int, int], scorer: Scorer, placement: Placement, limits: Limits
) -> int:
    """What the scores of a run will take on disk; 0 where they are few enough for memory.

    Raises:
        GeometryError: no window fits, or the network does not have this stride.
    """
    classes = scorer.classifier.classes
    kept = {classes.find(one) for one in limits.keep} if limits.keep else classes
    sizes = [
        grid_bytes(
            scorer.plan(photo_hw, stride=placement.stride, scale=scale, border=placement.border),
            len(kept),
        )
        for scale in _scales(photo_hw, scorer, placement).values()
    ]
    # Several are fused on the finest, which has the most windows.
    fused = [max(sizes)] if len(sizes) > 1 else []
    return sum(size for size in sizes + fused if size > LARGE_GRID_BYTES)


def _scales(photo_hw: tuple[int, int], scorer: Scorer, placement: Placement) -> dict[str, float]:
    """The scales by the names of their grids, each once."""
    window = scorer.classifier.preprocessing.window_px
    scales = placement.scales or auto_scales(photo_hw, window)
    return {f"x{scale:g}": scale for scale in scales}


def _within_kept(view: View, classes: ClassList, keep: Sequence[str | int] | None) -> View:
    """The same view with its classes as indices of those that are kept.

    Raises:
        ClassError: an unknown class, or one that is asked for and not kept.
    """
    kept = list(dict.fromkeys(classes.find(one) for one in keep or range(len(classes))))
    wanted = [classes.find(one) for one in view.classes]
    for index in wanted:
        if index not in kept:
            raise ClassError(
                f"class {classes.names[index]!r} is asked for and not kept: add --keep {index}"
            )
    return replace(view, classes=[kept.index(index) for index in wanted])


def _scored(
    photo: Photo | PhotoFile,
    scorer: Scorer,
    folder: Path,
    placement: Placement,
    limits: Limits,
    watcher: Watcher,
) -> Iterator[tuple[str, ScoreGrid]]:
    """The grid of each scale, by its name."""
    scales = _scales(photo.hw, scorer, placement)
    for name, scale in scales.items():
        at_scale = f" at scale {scale:g}" if len(scales) > 1 else ""
        watcher.say(f"scoring {Path(photo.path).name}{at_scale}")
        yield (
            name,
            scorer.score(
                photo,
                stride=placement.stride,
                scale=scale,
                border=placement.border,
                memory=limits.memory,
                keep=limits.keep,
                skip=limits.skip,
                folder=folder,
                progress=watcher.progress,
            ),
        )
