"""Detect the requested objects of a photo, choose the classes to draw, and draw overlays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..classes import ClassGroup
from ..geometry import Box
from ..grid.score_grid import ScoreGrid
from ..localization.detect import Search
from ..localization.localize import Detection
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile
from ..rendering.overlay import overlay
from ..rendering.pyramid import large_overlay
from ..rendering.thumbnail import Picture
from .request import MOST_OVERLAYS, Display


def search_of(display: Display) -> Search:
    """What a display looks for."""
    return Search(
        display.classes or None,
        display.conf,
        display.iou,
        display.max_det,
        display.confirm,
        display.exclude,
    )


def drawn_groups(
    display: Display, grid: ScoreGrid, detections: Sequence[Detection]
) -> list[ClassGroup]:
    """The classes to draw, best first."""
    if display.classes:
        return grid.classes.find_all(display.classes)
    if display.top:
        return grid.winners(display.top)
    detected = list(dict.fromkeys(detection.group for detection in detections))
    return detected[:MOST_OVERLAYS] or grid.winners(1)


def draw(
    display: Display,
    photo: Photo | PhotoFile,
    grid: ScoreGrid,
    group: ClassGroup,
    boxes_xyxy: Sequence[Box] = (),
) -> Picture:
    """The overlay of a class: an image, or for a large photo functions that write a pyramid."""
    options: dict[str, Any] = {
        "opacity": display.opacity,
        "stretch": display.stretch,
        "boxes_xyxy": boxes_xyxy,
    }
    if isinstance(photo, PhotoFile):
        return large_overlay(photo, grid, group, **options)
    return overlay(photo, grid, group, **options)
