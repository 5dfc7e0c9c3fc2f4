"""Draw the pictures of a result: what was found, single classes, and areas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..classes import ClassGroup
from ..files import Writer
from ..geometry import shrunk_hw
from ..grid.score_grid import ScoreGrid
from ..localization.areas import Areas
from ..localization.findings import Findings
from ..marks import Mark
from ..names import AREAS, OVERLAY, PICTURE, PYRAMID, THUMBNAIL, class_suffixes
from ..photo.photo_file import upright_hw
from ..photo.reading import AS_IT_IS, Reading
from ..photo.reduced import OpenPhoto, open_photo, whole_of
from ..region import Region
from ..rendering.annotated import annotated
from ..rendering.areas_picture import areas_picture
from ..rendering.overlay import PICTURE_PX, encode_image, overlay
from ..rendering.paint import JPEG_MOST_PX, Image
from ..rendering.palette import PALETTE
from ..rendering.pyramid import pyramid
from .request import Display

# Longer side of a thumbnail of the contact sheet.
THUMBNAIL_PX = 320
# A JPEG has room for a photo of this side and its legend.
_LONGEST_PX = JPEG_MOST_PX - 4096


@dataclass(frozen=True, eq=False)
class Drawing:
    """A photo and what was found on it, to be drawn as a display says.

    Its methods give functions that write pictures, by suffix of the file.

    Attributes:
        photo, findings, display: the three.
        heat: the classes whose heat is drawn; None is those that were found.
    """

    photo: OpenPhoto
    findings: Findings
    display: Display
    heat: tuple[ClassGroup, ...] | None = None

    def picture(self) -> dict[str, Writer]:
        """The annotated picture; in full, if it is too large for a JPEG, also as a pyramid."""
        files = {PICTURE: self._writer(self._annotated, self._pixels)}
        if self._is_pyramid:
            whole = whole_of(self.photo)
            files[PYRAMID] = pyramid(whole, self.findings, **self._look)
        return files

    def annotated_picture(self, longest_px: int | None = None) -> Image:
        """The annotated picture, RGB uint8 (H, W, 3).

        ``longest_px`` is the longer side of the photo in it; None is as the display says.
        """
        return self._annotated(self._pixels if longest_px is None else self._shrunk(longest_px))

    def _shrunk(self, longest_px: int) -> Image:
        hw = shrunk_hw(self.photo.hw, longest_px)
        return np.concatenate(list(self.photo.strips(scaled_hw=hw)))

    def _annotated(self, pixels: Image, *, legend: bool = True) -> Image:
        legend = legend and self.display.legend
        return annotated(pixels, self.findings, **self._look, legend=legend)

    def per_class(self) -> dict[ClassGroup, tuple[str, Writer]]:
        """The heatmap of each class by itself: suffix, and the function that writes it.

        Boxes are those of detections: here, guesses could not be told from them.
        """
        groups = self.findings.groups
        return {
            group: (
                f"{suffix}{OVERLAY}",
                self._writer(self.class_picture, group, self.findings.maps_of([group])),
            )
            for group, suffix in zip(groups, class_suffixes(groups), strict=True)
        }

    def class_picture(self, group: ClassGroup, maps: ScoreGrid) -> Image:
        """The heatmap of one class over the photo, RGB uint8 (H, W, 3); ``maps`` has its alone."""
        placed = replace(maps, geometry=replace(maps.geometry, photo_hw=self._hw))
        boxes = zip(self.findings.boxes_on(self._hw), self.findings.detections, strict=False)
        own = [box for box, each in boxes if each.group == group and self.display.boxes]
        return overlay(
            *(self._pixels, placed, maps.classes.single(0)),
            boxes_xyxy=own,
            legend=self.display.legend,
            **self._colours,
        )

    def areas(self, areas: Areas) -> dict[str, Writer]:
        """The map of areas."""
        longest = max(self._hw)
        draw = partial(areas_picture, legend=self.display.legend, longest_px=longest)
        return {AREAS: self._writer(draw, self.photo, areas, self._colours_of(areas))}

    def _colours_of(self, areas: Areas) -> Image:
        """RGB of each class, (n, 3): that of the annotated picture where it has one there."""
        taken = {
            group: place
            for place, group in enumerate(self.findings.groups[: len(PALETTE)])
            if group in areas.groups
        }
        free = (place for place in range(len(PALETTE)) if place not in taken.values())
        places = [taken[group] if group in taken else next(free) for group in areas.groups]
        return np.array([PALETTE[place] for place in places], np.uint8).reshape(-1, 3)

    def thumbnail(self) -> dict[str, Writer]:
        """A small copy of the annotated picture, without its legend."""
        small = self._shrunk(THUMBNAIL_PX)
        return {THUMBNAIL: self._writer(partial(self._annotated, legend=False), small)}

    def _writer(self, draw: Callable[..., Image], *what: Any) -> Writer:
        """A function that draws a picture and writes it: all at once would take much memory."""
        mark = Mark.of(self.photo.path, digest=self.photo.digest).text
        return lambda to: to.write_bytes(encode_image(draw(*what), OVERLAY, mark=mark))

    @property
    def _colours(self) -> dict[str, Any]:
        return {name: getattr(self.display, name) for name in ("alpha", "color_range", "colormap")}

    @property
    def _look(self) -> dict[str, Any]:
        display = self.display
        return {**self._colours, "boxes": display.boxes, "conf": display.conf, "heat": self.heat}

    @property
    def _is_pyramid(self) -> bool:
        too_long = max(self.photo.hw) > _LONGEST_PX
        return self.display.full and (self.photo.is_large or too_long)

    @cached_property
    def _hw(self) -> tuple[int, int]:
        """Height and width of the photo as it is drawn."""
        in_full = self.display.full and not self._is_pyramid
        return self.photo.hw if in_full else shrunk_hw(self.photo.hw, PICTURE_PX)

    @cached_property
    def _pixels(self) -> Image:
        return np.concatenate(list(self.photo.strips(scaled_hw=self._hw)))


def open_to_draw(
    path: str | Path,
    display: Display,
    region: Region | None = None,
    reading: Reading = AS_IT_IS,
) -> OpenPhoto:
    """Open a photo, or a region of it, decoded as far as it is drawn.

    Raises:
        PhotoError: as :func:`photo.read_photo`.
    """
    hw = region.hw if region else upright_hw(Path(path))
    return open_photo(path, None if display.full else shrunk_hw(hw, PICTURE_PX), region, reading)
