"""Pictures: a heatmap over its photo, and sliding beside cropping."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..classes import ClassGroup, Wanted
from ..errors import ResultError
from ..files import writing
from ..geometry import Box, Geometry, shrunk_hw
from ..grid.score_grid import SHARP, ScoreGrid
from ..grid.upsample import upsample
from ..photo.photo import Photo, read_photo
from .colours import Image, blend, colour_table, paint, to_levels
from .legend import Caption, blank, narrowest_px, strip, text_px
from .paint import OPACITY, STRIP_PX, Cells, Painter, hatching, nearest

_SLUG_LENGTH = 60
# Of zlib's ways the one that took the least time and space for overlays of photos.
_PNG = (
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
_PANEL_PX = 1024
_LIGHTEST, _CONTRAST = 235, 0.5
_BOX_LIGHT, _BOX_DARK = (255, 255, 255), (20, 20, 20)


def overlay(
    photo: str | Path | Image | Photo,
    grid: ScoreGrid,
    wanted: Wanted,
    *,
    opacity: float = OPACITY,
    stretch: bool = False,
    legend: bool = True,
    boxes_xyxy: Sequence[Box] = (),
) -> Image:
    """Draw the heatmap of one class or group over its photo: RGB uint8.

    Colours stand for probabilities 0..1, so that photos compare, unless
    ``stretch`` spreads them over this heatmap's own range; opacity rises with the
    score from 0 to ``opacity``. The legend is a strip below the photo, so the
    picture is higher than the photo, and wider where the photo is too narrow for
    text; without it the picture has the photo's size. Boxes, in photo px, are outlined.

    Raises:
        PhotoError: a photo that cannot be read.
        ClassError: an unknown class.
        ResultError: a photo of another size than the scored one, or an opacity outside 0..1.
    """
    pixels = read_photo(photo).pixels
    check_size(pixels.shape[:2], grid.geometry)
    painter = Painter.of(grid, wanted, opacity=opacity, stretch=stretch)
    picture = np.empty_like(pixels)
    for top in range(0, len(pixels), STRIP_PX):
        rows = slice(top, top + STRIP_PX)
        picture[rows] = painter.paint(pixels[rows], top)
    _outline(picture, boxes_xyxy)
    if not legend:
        return picture
    caption = _legend(grid, grid.classes.find(wanted), painter, stretch=stretch)
    size = text_px(picture.shape[:2])
    picture = _centred(picture, max(picture.shape[1], narrowest_px(size)))
    return np.vstack([picture, strip(picture.shape[1], caption, size)])


def comparison(
    photo_pixels: Image,
    geometry: Geometry,
    sliding: Cells,
    cropping: Cells,
    *,
    title: str,
) -> Image:
    """Draw one class by sliding, by cropping, and their absolute difference, side by side.

    Both are probabilities, float32 (N, M) in 0..1. Cells of ``cropping`` that are
    NaN were not sampled: they are hatched, and all three panels then show plain
    cells instead of interpolating. The difference is coloured up to its own
    maximum. The photo is drawn in grey, so that all colours are scores, and at no
    more than 1024 px a panel.

    Raises:
        ResultError: a photo or cells that do not fit the geometry.
    """
    check_size(photo_pixels.shape[:2], geometry)
    for name, cells in (("sliding", sliding), ("cropping", cropping)):
        if cells.shape != geometry.grid_hw:
            raise ResultError(f"{name} is {cells.shape}, the geometry says {geometry.grid_hw}")
    photo, geometry = _ground(photo_pixels, geometry)
    difference = np.abs(sliding - cropping)
    largest = float(np.nanmax(difference, initial=0))
    table = colour_table(OPACITY)
    panels = [
        _Panel("Sliding", sliding, 1.0, _range("probability", sliding)),
        _Panel("Cropping", cropping, 1.0, _range("probability", cropping)),
        _Panel("Absolute difference", difference, largest, _range("difference", difference)),
    ]
    sampled = not np.isnan(cropping).any()
    return _side_by_side(
        title,
        [_drawn(panel, photo, geometry, table, interpolated=sampled) for panel in panels],
        [_panel_caption(panel, table) for panel in panels],
    )


def encode_image(rgb: Image) -> bytes:
    """RGB uint8 (H, W, 3) as the content of a PNG file.

    Raises:
        ResultError: the array is no picture.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ResultError(f"a picture is uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr, _PNG)[1].tobytes()


def write_image(path: str | Path, rgb: Image) -> Path:
    """Write RGB uint8 (H, W, 3) as PNG, under a temporary name first.

    Raises:
        ResultError: the path cannot be written, or the array is no picture.
    """
    target, content = Path(path), encode_image(rgb)
    with writing(target) as temporary:
        temporary.write_bytes(content)
    return target


def slug(name: str) -> str:
    """A class name as part of a file name: ASCII letters, digits, "-" and "_", 1 to 60 of them.

    Accents are dropped. A name that is cut or has nothing left ends in a digest of
    the whole, so that two of them stay apart.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")
    if 0 < len(safe) <= _SLUG_LENGTH:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _SLUG_LENGTH - 9].rstrip('-') or 'class'}-{digest}"


def check_size(photo_hw: tuple[int, ...], geometry: Geometry) -> None:
    """Refuse a photo of another size than the scored one.

    Raises:
        ResultError: it is.
    """
    if photo_hw != geometry.photo_hw:
        raise ResultError(
            f"photo is {photo_hw[0]} x {photo_hw[1]} px, the scored one was "
            f"{geometry.photo_hw[0]} x {geometry.photo_hw[1]} px: "
            "give the photo that was scored, or score this one"
        )


def _outline(picture: Image, boxes_xyxy: Sequence[Box]) -> None:
    """Draw boxes into a picture: light lines on dark ones, seen on any ground."""
    width = max(1, text_px(picture.shape[:2]) // 8)
    for box in boxes_xyxy:
        left, top, right, bottom = (round(side) for side in box)
        # Inside the box, and inside the picture.
        corners = ((left + width, top + width), (right - 1 - width, bottom - 1 - width))
        for line, colour in ((3 * width, _BOX_DARK), (width, _BOX_LIGHT)):
            cv2.rectangle(picture, *corners, colour, line)


def _legend(grid: ScoreGrid, group: ClassGroup, painter: Painter, *, stretch: bool) -> Caption:
    low, high = painter.low, painter.high
    how = "stretched to" if stretch else "fixed to"
    notes = [f"probability, colours {how} {low:.3g}..{high:.3g}"]
    if SHARP in grid.origin.settings:
        notes.append("sharp: the hottest point has the probability of the surest window")
    if low == high:
        notes = [f"probability {low:.3g} everywhere: nothing to stretch, no colours"]
    if grid.origin.weights.split(" ")[0] == "random":
        notes.append(f"{grid.origin.model}, random weights: means nothing")
    key = None
    if painter.missing:
        meaning = f"not scored: {painter.missing} of {painter.cells.size} windows"
        key = (hatching((_PANEL_PX, _PANEL_PX)), meaning)
    heading = group.name
    return Caption(heading, *_bar(painter.table, low, high), notes=tuple(notes), key=key)


def _bar(table: Image, low: float, high: float) -> tuple[Image | None, tuple[str, ...]]:
    """The colours of a bar and its ticks; none where the range is empty."""
    if low == high:
        return None, ()
    return table, tuple(f"{tick:.3g}" for tick in (low, (low + high) / 2, high))


@dataclass(frozen=True)
class _Panel:
    """One of the three pictures of a comparison; NaN cells were not sampled."""

    heading: str
    cells: Cells
    high: float
    note: str


def _range(what: str, cells: Cells) -> str:
    """The range of the cells in words, such as "probability 0.01..0.93"."""
    known = cells[~np.isnan(cells)]
    if not known.size:
        return "no window was sampled"
    if known.min() == known.max():
        return f"{what} {known.min():.3g} everywhere"
    return f"{what} {known.min():.3g}..{known.max():.3g}, mean {known.mean():.3g}"


def _panel_caption(panel: _Panel, table: Image) -> Caption:
    missing, key = int(np.isnan(panel.cells).sum()), None
    if missing:
        meaning = f"not sampled: {missing} of {panel.cells.size} windows"
        key = (hatching((_PANEL_PX, _PANEL_PX)), meaning)
    bar = _bar(table, 0, panel.high)
    return Caption(panel.heading, *bar, notes=(panel.note,), key=key)


def _ground(photo: Image, geometry: Geometry) -> tuple[Image, Geometry]:
    """The photo in grey at panel size, with the same windows over it."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    height, width = shrunk_hw(geometry.photo_hw, _PANEL_PX)
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    # Light and flat, or else dark parts of the photo pass for low scores and hatching.
    grey = np.rint(_LIGHTEST - _CONTRAST * (255 - grey.astype(np.float32)))
    ground = np.dstack([np.asarray(grey, dtype=np.uint8)] * 3)
    return ground, replace(geometry, photo_hw=(height, width))


def _drawn(
    panel: _Panel, photo: Image, geometry: Geometry, table: Image, *, interpolated: bool
) -> Image:
    """A panel's colours over the photo, its missing cells hatched."""
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
        np.vstack([_centred(picture, width), image, blank(lowest - image.shape[0], width)])
        for picture, image in zip(pictures, strips, strict=True)
    ]
    between = blank(columns[0].shape[0], gap)
    row = np.hstack([columns[0], between, columns[1], between, columns[2]])
    return np.vstack([strip(row.shape[1], Caption(title), size), row])


def _centred(picture: Image, width: int) -> Image:
    """A picture in the middle of a canvas at least as wide as itself."""
    if picture.shape[1] == width:
        return picture
    canvas = blank(picture.shape[0], width)
    left = (width - picture.shape[1]) // 2
    canvas[:, left : left + picture.shape[1]] = picture
    return canvas
