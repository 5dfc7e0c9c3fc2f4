"""Detect the requested objects of a photo, choose the classes to draw, and draw overlays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..classes import ClassGroup
from ..geometry import Box, shrunk_hw
from ..grid.score_grid import ScoreGrid
from ..localization.detect import Search
from ..localization.detection import Detection
from ..photo.photo_file import PhotoFile, upright_hw
from ..photo.reduced import OpenPhoto, open_photo, whole_of
from ..region import Region
from ..rendering.overlay import PICTURE_PX, overlay, shrunk_overlay
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
    photo: OpenPhoto,
    grid: ScoreGrid,
    group: ClassGroup,
    boxes_xyxy: Sequence[Box] = (),
) -> Picture:
    """The overlay of a class, small or in full; of a large photo functions that write a pyramid."""
    options: dict[str, Any] = {
        "opacity": display.opacity,
        "stretch": display.stretch,
        "boxes_xyxy": boxes_xyxy,
    }
    if not display.full:
        return shrunk_overlay(photo, grid, group, **options)
    whole = whole_of(photo)
    if isinstance(whole, PhotoFile):
        return large_overlay(whole, grid, group, **options)
    return overlay(whole, grid, group, **options)


def drawn_hw(display: Display, photo: OpenPhoto) -> tuple[int, int]:
    """Height and width of a photo in its overlays; of a large one, in their previews."""
    in_full = display.full and not photo.is_large
    return photo.hw if in_full else shrunk_hw(photo.hw, PICTURE_PX)


def open_to_draw(path: str | Path, display: Display, region: Region | None = None) -> OpenPhoto:
    """Open a photo, or a region of it, decoded as far as it is drawn.

    Raises:
        PhotoError: as :func:`photo.read_photo`.
    """
    hw = region.hw if region else upright_hw(Path(path))
    return open_photo(path, None if display.full else shrunk_hw(hw, PICTURE_PX), region)
