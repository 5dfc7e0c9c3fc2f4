"""What is asked of a run, whatever the photo: where to look, for what, how to draw and keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..classes import ClassGroup, ClassList, Wanted
from ..errors import ClassError
from ..geometry import Border, Box, Placement
from ..grid.origin import Fusion
from ..grid.score_grid import ScoreGrid
from ..grid.skip import Skip
from ..localization.localize import CONFIDENCE_THRESHOLD, IOU_THRESHOLD, Detection, localize
from ..photo.georeference import georeference_of
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from ..rendering.overlay import overlay
from ..rendering.paint import OPACITY
from ..rendering.pyramid import large_overlay
from ..rendering.thumbnail import Picture
from .formats import PLACED_FORMATS
from .save import NO_EXTRAS, Extras

# Overlays drawn when no class is asked for: what was found, at most so many.
MOST_OVERLAYS = 5


@dataclass(frozen=True)
class View:
    """What to look at and how to draw it.

    ``classes`` (or groups) are searched and drawn; without any, ``top`` draws the classes
    that win the most, and without that what was found is drawn. ``conf``, ``iou`` and
    ``max_det`` are those of :func:`heatmap.localize`.
    """

    classes: Sequence[Wanted] = ()
    top: int = 0
    conf: float = CONFIDENCE_THRESHOLD
    iou: float = IOU_THRESHOLD
    max_det: int | None = None
    opacity: float = OPACITY
    stretch: bool = False

    def find(self, grids: ScoreGrid | Sequence[ScoreGrid]) -> tuple[Detection, ...]:
        """Objects of the classes asked for, or of any, at one or several scales."""
        return localize(
            grids, self.classes or None, conf=self.conf, iou=self.iou, max_det=self.max_det
        )

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

    def groups(self, grid: ScoreGrid, detections: Sequence[Detection]) -> list[ClassGroup]:
        """The classes to draw, best first."""
        if self.classes:
            return grid.classes.find_all(self.classes)
        if self.top:
            return grid.winners(self.top)
        seen = list(dict.fromkeys(one.group for one in detections))[:MOST_OVERLAYS]
        return seen or grid.winners(1)


@dataclass(frozen=True)
class MultiScale:
    """Where the windows lie at each of several scales; see :class:`heatmap.Placement`.

    Each scale gives a grid; they are fused on the finest one, by their mean or their
    maximum (``fuse``). ``scales`` None are those of :func:`scales.auto_scales`.
    """

    stride: int | None = None
    scales: tuple[float, ...] | None = (1.0,)
    border: Border = "cover"
    fuse: Fusion = "mean"

    def at(self, scale: float) -> Placement:
        """Where the windows lie at one scale."""
        return Placement(self.stride, scale, self.border)


@dataclass(frozen=True)
class Limits:
    """What a run may take and keep; see :func:`heatmap.score`."""

    memory: int | None = None
    store_classes: tuple[Wanted, ...] | None = None
    skip: Skip | None = None


@dataclass(frozen=True)
class Request:
    """All that is asked of a run; results of one request compare."""

    view: View = field(default_factory=View)
    placement: MultiScale = field(default_factory=MultiScale)
    limits: Limits = field(default_factory=Limits)
    extras: Extras = NO_EXTRAS

    def within_kept(self, classes: ClassList) -> View:
        """The view with its classes by their places among those that are kept.

        Raises:
            ClassError: an unknown class, or one that is asked for and not kept.
        """
        keep = self.limits.store_classes
        kept = classes.indices(keep) if keep else list(range(len(classes)))
        places = {index: place for place, index in enumerate(kept)}
        wanted = classes.find_all(self.view.classes)
        for group in wanted:
            if not places.keys() >= set(group.indices):
                raise ClassError(
                    f"class {group.name!r} is asked for and not kept: "
                    f"add --store-classes {_keeping(group)}"
                )
        moved = [
            ClassGroup(group.name, tuple(places[index] for index in group.indices))
            for group in wanted
        ]
        return replace(self.view, classes=moved)

    def check_photo(self, photo: Photo | PhotoFile) -> None:
        """Refuse before it is scored a photo that an extra file could not be written of.

        Raises:
            ResultError: it has no place on earth, or no id.
        """
        if set(self.extras.formats) & PLACED_FORMATS:
            georeference_of(photo)
        if self.extras.coco is not None:
            self.extras.coco.image_id(photo.path)


def _keeping(group: ClassGroup) -> str:
    """What to say so that a class or group is kept."""
    return str(group.indices[0]) if len(group.indices) == 1 else repr(group.name)
