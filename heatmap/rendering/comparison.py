"""The picture of `verify`: two heatmaps of a photo and their difference, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..errors import ResultError
from ..geometry import Geometry, check_size, shrunk_hw
from ..grid.position_scores import Cells
from ..grid.upsample import nearest, upsample
from .legend import PANEL_PX, Caption, blank, centred, narrowest_px, range_bar, strip, text_px
from .paint import ALPHA, Image, blend, colour_table, hatching, paint, range_of, to_levels

# Lightest value and contrast of the grey photo behind the colours.
_LIGHTEST, _CONTRAST = 235, 0.5


def comparison(
    photo_pixels: Image,
    geometry: Geometry,
    sliding: Cells,
    cropping: Cells,
    *,
    title: str,
) -> Image:
    """Draw one class by sliding, by cropping, and their absolute difference, side by side.

    Cells of ``cropping`` that are NaN were not sampled: they are hatched, and all three panels
    then show cells without interpolation. The colours of both maps cover one range, from 0 to the
    highest probability of either, rounded up to 0.1, 0.2, 0.5 or 1; those of the difference go up
    to its maximum. The photo is drawn in grey, so that all colours are scores, and at most 1024 px
    per panel.

    Args:
        photo_pixels: the photo, RGB uint8 (H, W, 3).
        geometry: the geometry of the cells.
        sliding, cropping: probabilities, float32 (N, M) in 0..1.
        title: heading above the panels.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        ResultError: the photo or the cells do not match the geometry.
    """
    check_size(photo_pixels.shape[:2], geometry)
    for name, cells in (("sliding", sliding), ("cropping", cropping)):
        if cells.shape != geometry.grid_hw:
            raise ResultError(f"{name} is {cells.shape}, the geometry says {geometry.grid_hw}")
    photo, geometry = _ground(photo_pixels, geometry)
    difference = np.abs(sliding - cropping)
    largest = float(np.nanmax(difference, initial=0))
    high = range_of(float(np.nanmax([sliding, cropping], initial=0)))[1]
    table = colour_table(ALPHA)
    panels = [
        _Panel("Sliding", sliding, high, _range("probability", sliding)),
        _Panel("Cropping", cropping, high, _range("probability", cropping)),
        _Panel("Absolute difference", difference, largest, _range("difference", difference)),
    ]
    sampled = not np.isnan(cropping).any()
    return _side_by_side(
        title,
        [_drawn(panel, photo, geometry, table, interpolated=sampled) for panel in panels],
        [_panel_caption(panel, table) for panel in panels],
    )


@dataclass(frozen=True)
class _Panel:
    """One of the three pictures of a comparison; NaN cells were not sampled."""

    heading: str
    cells: Cells
    high: float
    note: str


def _range(quantity: str, cells: Cells) -> str:
    """The range of the cells in words, such as "probability 0.01..0.93"."""
    sampled = cells[~np.isnan(cells)]
    if not sampled.size:
        return "no window was sampled"
    if sampled.min() == sampled.max():
        return f"{quantity} {sampled.min():.3g} everywhere"
    return f"{quantity} {sampled.min():.3g}..{sampled.max():.3g}, mean {sampled.mean():.3g}"


def _panel_caption(panel: _Panel, table: Image) -> Caption:
    missing, key = int(np.isnan(panel.cells).sum()), None
    if missing:
        meaning = f"not sampled: {missing} of {panel.cells.size} windows"
        key = (hatching((PANEL_PX, PANEL_PX)), meaning)
    bar = range_bar(table, 0, panel.high)
    return Caption(panel.heading, *bar, notes=(panel.note,), key=key)


def _ground(photo: Image, geometry: Geometry) -> tuple[Image, Geometry]:
    """The photo in grey at panel size, and the geometry for that size."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    height, width = shrunk_hw(geometry.photo_hw, PANEL_PX)
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    # Light and of low contrast: dark parts would look like low scores or hatching.
    grey = np.rint(_LIGHTEST - _CONTRAST * (255 - grey.astype(np.float32)))
    ground = np.dstack([np.asarray(grey, dtype=np.uint8)] * 3)
    return ground, replace(geometry, photo_hw=(height, width))


def _drawn(
    panel: _Panel, photo: Image, geometry: Geometry, table: Image, *, interpolated: bool
) -> Image:
    """A panel's colours over the photo, with missing cells hatched."""
    if interpolated:
        heat = upsample(panel.cells, geometry)
        return paint(photo, to_levels(heat, 0, panel.high), table)
    heat = nearest(panel.cells, geometry)
    missing = np.isnan(heat)
    painted = paint(photo, to_levels(np.nan_to_num(heat), 0, panel.high), table)
    painted[missing] = blend(photo, hatching(missing.shape))[missing]
    return painted


def _side_by_side(title: str, pictures: list[Image], captions: list[Caption]) -> Image:
    """Pictures of one size, each over its caption, below a common title."""
    height, width = pictures[0].shape[:2]
    size = text_px((height, width))
    width = max(width, narrowest_px(size))
    gap = max(2, size // 3)
    strips = [strip(width, caption, size) for caption in captions]
    lowest = max(image.shape[0] for image in strips)
    columns = [
        np.vstack([centred(picture, width), image, blank(lowest - image.shape[0], width)])
        for picture, image in zip(pictures, strips, strict=True)
    ]
    between = blank(columns[0].shape[0], gap)
    row = np.hstack([columns[0], between, columns[1], between, columns[2]])
    return np.vstack([strip(row.shape[1], Caption(title), size), row])
