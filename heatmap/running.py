"""The main job on one photo: score, localize, draw, save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .background import Skip
from .classes import ClassGroup, ClassList, Wanted
from .collecting import grid_bytes, room_to_grow
from .errors import ClassError
from .exporting import PLACED_FORMATS
from .geometry import Border, Box
from .georeferencing import georeference_of
from .grid import LARGE_GRID_BYTES, ScoreGrid
from .localizing import LEAST_SCORE, Found, localize
from .painting import OPACITY
from .photos import Photo
from .positions import PositionScores
from .pyramids import large_overlay
from .rendering import overlay
from .results import NO_EXTRAS, Extras, Picture, RunFiles, SavedRun, save_run
from .scales import How, auto_scales, fuse_scales
from .scoring import Scorer
from .sharpening import sharp_maps, tighten
from .streams import PhotoFile, open_photo

# Overlays drawn when no class is asked for: what was found, at most so many.
MOST_OVERLAYS = 5


@dataclass(frozen=True)
class View:
    """What to look at and how to draw it.

    ``classes`` (or groups) are searched and drawn; without any, ``top`` draws the classes
    that win the most, and without that what was found is drawn.
    """

    classes: Sequence[Wanted] = ()
    top: int = 0
    least_score: float = LEAST_SCORE
    opacity: float = OPACITY
    stretch: bool = False

    def find(self, grids: ScoreGrid | Sequence[ScoreGrid]) -> tuple[Found, ...]:
        """Objects of the classes asked for, or of any, at one or several scales."""
        return localize(grids, self.classes or None, least_score=self.least_score)

    def draw(
        self,
        photo: Photo | PhotoFile,
        grid: ScoreGrid,
        group: ClassGroup,
        boxes_xyxy: Sequence[Box] = (),
    ) -> Picture:
        """The overlay of a class: a picture, or what writes a pyramid of a large photo."""
        look: dict[str, Any] = {
            "opacity": self.opacity,
            "stretch": self.stretch,
            "boxes_xyxy": boxes_xyxy,
        }
        if isinstance(photo, PhotoFile):
            return large_overlay(photo, grid, group, **look)
        return overlay(photo, grid, group, **look)

    def groups(self, grid: ScoreGrid, found: Sequence[Found]) -> list[ClassGroup]:
        """The classes to draw, best first."""
        if self.classes:
            return grid.classes.find_all(self.classes)
        if self.top:
            return grid.winners(self.top)
        seen = list(dict.fromkeys(one.group for one in found))[:MOST_OVERLAYS]
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
    keep: tuple[Wanted, ...] | None = None
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
    """One photo done.

    ``scales`` holds the grid of each scale where there are several. ``sharp`` holds the
    sharp maps of the classes drawn and found (sharpening.py), None where the network or the
    size of the photo does not allow any.
    """

    photo: Photo | PhotoFile
    grid: ScoreGrid
    scales: Mapping[str, ScoreGrid]
    sharp: ScoreGrid | None
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
    extras: Extras = NO_EXTRAS,
    watcher: Watcher = Watcher(),
) -> Run:
    """Score a photo, find objects, draw overlays, and write all of it to ``folder``.

    Raises:
        HeatmapError: any of its kinds; nothing is written then.
    """
    read = open_photo(photo)
    # What cannot be is refused before the photo is scored, not after.
    view = _within_kept(view, scorer.classifier.classes, limits.keep)
    if set(extras.formats) & PLACED_FORMATS:
        georeference_of(read)
    if extras.coco is not None:
        extras.coco.image_id(read.path)
    needed = planned_bytes(read.hw, scorer, placement, limits)
    # However it ends, what grew and was not saved goes.
    with room_to_grow(needed, Path(folder)) as home:
        if needed:
            watcher.large(needed)
        scored = dict(_scored(read, scorer, home, placement, limits, watcher))
        grids = [_windows(one) for one in scored.values()]
        grid = grids[0] if len(grids) == 1 else fuse_scales(grids, placement.fuse, home)
        watcher.say(f"drawing and saving {Path(read.path).name}")
        found = view.find(grids)
        groups = view.groups(grid, found)
        # The drawn ones come first; each once.
        mapped = list(dict.fromkeys([*groups, *(one.group for one in found)]))
        sharp = _sharp(list(scored.values()), mapped)
        if sharp is not None:
            found = tighten(found, sharp, mapped)
        several = dict(zip(scored, grids, strict=True)) if len(grids) > 1 else {}
        files = RunFiles(read, grid, found, several, sharp)
        saved = save_run(folder, files, _pictures(view, files, groups), extras)
        return Run(read, grid, several, sharp, found, saved)


def _windows(scored: ScoreGrid | PositionScores) -> ScoreGrid:
    return scored if isinstance(scored, ScoreGrid) else scored.windows


def _sharp(
    scored: Sequence[ScoreGrid | PositionScores], groups: Sequence[ClassGroup]
) -> ScoreGrid | None:
    """Sharp maps of the groups, where every scale has positions."""
    positions = [one for one in scored if isinstance(one, PositionScores)]
    if len(positions) < len(scored):
        return None
    return sharp_maps(positions, groups)


def _pictures(
    view: View, files: RunFiles, groups: Sequence[ClassGroup]
) -> dict[ClassGroup, Picture]:
    """The overlay of each group: of its sharp map where there is one."""
    grid, drawn = files.drawn(groups)
    boxes = {group: [one.xyxy for one in files.found if one.group == group] for group in groups}
    return {
        group: view.draw(files.photo, grid, one, boxes[group])
        for group, one in zip(groups, drawn, strict=True)
    }


def planned_bytes(
    photo_hw: tuple[int, int], scorer: Scorer, placement: Placement, limits: Limits
) -> int:
    """What the scores of a run will take on disk; 0 where they are few enough for memory.

    Raises:
        GeometryError: no window fits, or the network does not have this stride.
    """
    classes = scorer.classifier.classes
    kept = classes.indices(limits.keep) if limits.keep else classes
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


def _within_kept(view: View, classes: ClassList, keep: Sequence[Wanted] | None) -> View:
    """The same view with its classes by their places among those that are kept.

    Raises:
        ClassError: an unknown class, or one that is asked for and not kept.
    """
    kept = classes.indices(keep) if keep else list(range(len(classes)))
    places = {index: place for place, index in enumerate(kept)}
    wanted = classes.find_all(view.classes)
    for group in wanted:
        if not places.keys() >= set(group.indices):
            raise ClassError(
                f"class {group.name!r} is asked for and not kept: add --keep {_keeping(group)}"
            )
    moved = [
        ClassGroup(group.name, tuple(places[index] for index in group.indices)) for group in wanted
    ]
    return replace(view, classes=moved)


def _keeping(group: ClassGroup) -> str:
    """What to say so that a class or group is kept."""
    return str(group.indices[0]) if len(group.indices) == 1 else repr(group.name)


def _scored(
    photo: Photo | PhotoFile,
    scorer: Scorer,
    folder: Path,
    placement: Placement,
    limits: Limits,
    watcher: Watcher,
) -> Iterator[tuple[str, ScoreGrid | PositionScores]]:
    """The scores of each scale, by its name: of positions where they can be had, or windows."""
    scales = _scales(photo.hw, scorer, placement)
    for name, scale in scales.items():
        at_scale = f" at scale {scale:g}" if len(scales) > 1 else ""
        watcher.say(f"scoring {Path(photo.path).name}{at_scale}")
        common: dict[str, Any] = {
            "stride": placement.stride,
            "scale": scale,
            "border": placement.border,
            "memory": limits.memory,
            "progress": watcher.progress,
        }
        positions = None
        # What is left out or not kept cannot be shared out among positions.
        if limits.keep is None and limits.skip is None:
            positions = scorer.score_positions(photo, **common)
        yield (
            name,
            positions
            or scorer.score(photo, keep=limits.keep, skip=limits.skip, folder=folder, **common),
        )
