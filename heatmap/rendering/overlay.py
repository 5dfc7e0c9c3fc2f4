"""Overlays: the heatmap of a class drawn over its photo, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..choices import Colormap
from ..classes import ClassGroup, Wanted
from ..contents import digest_of
from ..errors import ResultError
from ..files import of_bytes, write_all
from ..geometry import Box, check_size, size_text
from ..grid.score_grid import ScoreGrid
from ..marks import MARK, Mark, marked
from ..ownership import Ownership
from ..photo.photo import Photo, read_photo
from .legend import PANEL_PX, Caption, centred, narrowest_px, range_bar, strip, text_px
from .paint import ALPHA, JPEG_MOST_PX, STRIP_PX, Image, Painter, hatching

# The PNG options that were fastest and smallest for overlays of photos.
_PNG = (
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)
_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
_OPTIONS = {".png": _PNG, ".jpg": _JPEG, ".jpeg": _JPEG}
# Longer side of a picture, unless the full size is asked for.
PICTURE_PX = 2000
_BOX_LIGHT, _BOX_DARK = (255, 255, 255), (20, 20, 20)


def overlay(
    photo: str | Path | Image | Photo,
    grid: ScoreGrid,
    wanted: Wanted,
    *,
    alpha: float = ALPHA,
    color_range: tuple[float, float] | None = None,
    colormap: Colormap | None = None,
    legend: bool = True,
    boxes_xyxy: Sequence[Box] = (),
) -> Image:
    """Draw the heatmap of one class or group over its photo.

    >>> heatmap.overlay("cat.jpg", grid, "tabby")    # doctest: +SKIP

    Opacity rises from 0 with the probability, so that the photo is unchanged where the probability
    is 0. Windows that were not scored are hatched.

    Args:
        photo: the photo that was scored: a path, an RGB uint8 array (H, W, 3), or a
            :class:`heatmap.Photo`.
        grid: its scores.
        wanted: a class or group: name, index, WordNet id or :class:`heatmap.ClassGroup`.
        alpha: opacity of the highest probability, 0..1.
        color_range: lowest and highest probability that the colours cover; by default from 0 to
            the highest of this heatmap, rounded up to 0.1, 0.2, 0.5 or 1. Give one to compare
            photos. At and below the lowest the photo is unchanged.
        colormap: one of OpenCV's, such as "turbo"; None is inferno.
        legend: add a legend below the photo.
        boxes_xyxy: boxes to outline, (left, top, right, bottom) in photo px.

    Returns:
        RGB uint8 (H, W, 3): without a legend of the photo's size; with one, higher, and wider
        if the photo is too narrow for the text.

    Raises:
        PhotoError: the photo cannot be read.
        ClassError: an unknown class.
        ResultError: the photo has another size than the scored one, ``alpha`` is outside
            0..1, the range is none within 0..1, or there is no such colormap.
    """
    pixels = read_photo(photo).pixels
    check_size(pixels.shape[:2], grid.geometry)
    colours: Any = {"alpha": alpha, "color_range": color_range, "colormap": colormap}
    painter = Painter.of(grid, wanted, **colours)
    picture = np.empty_like(pixels)
    for top in range(0, len(pixels), STRIP_PX):
        rows = slice(top, top + STRIP_PX)
        picture[rows] = painter.paint(pixels[rows], top)
    _outline(picture, boxes_xyxy)
    if not legend:
        return picture
    caption = _legend(grid, grid.classes.find(wanted), painter)
    size = text_px(picture.shape[:2])
    picture = centred(picture, max(picture.shape[1], narrowest_px(size)))
    return np.vstack([picture, strip(picture.shape[1], caption, size)])


def encode_image(rgb: Image, suffix: str = ".png", *, mark: str = MARK) -> bytes:
    """RGB uint8 (H, W, 3) as the content of a PNG or JPEG file.

    Args:
        rgb: the picture.
        suffix: ".png", ".jpg" or ".jpeg", in any case. JPEG loses a little, but no colour is
            shared by neighbouring pixels (4:4:4), which would blur coloured lines and letters.
        mark: that this tool wrote the file, and of which photo, as a comment in it.

    Raises:
        ResultError: another suffix, an array that is not RGB uint8 (H, W, 3), or a side that
            a JPEG file cannot have.
    """
    check_suffix(suffix)
    kind = suffix.lower()
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ResultError(f"a picture is uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
    if kind != ".png" and max(rgb.shape[:2]) > JPEG_MOST_PX:
        raise ResultError(
            f"picture is {size_text(rgb.shape[:2])}, a JPEG has at most {JPEG_MOST_PX:,} px "
            "a side: write it as .png"
        )
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return marked(cv2.imencode(kind, bgr, _OPTIONS[kind])[1].tobytes(), mark)


def check_suffix(suffix: str) -> None:
    """Refuse a suffix that no picture is written with.

    Raises:
        ResultError: it is neither of PNG nor of JPEG files.
    """
    if suffix.lower() not in _OPTIONS:
        raise ResultError(f"a picture is written as .png or .jpg, not as {suffix!r}: give one")


def write_image(
    path: str | Path, rgb: Image, *, photo: str | Path = "", overwrite: bool = False
) -> Path:
    """Write a picture as PNG or JPEG by the suffix of the path.

    An earlier picture is replaced if this tool wrote it, which a comment in the file tells.

    >>> heatmap.write_image("tabby.png", heatmap.overlay("cat.jpg", grid, "tabby"))
    ... # doctest: +SKIP

    Args:
        path: the file, ending in .png, .jpg or .jpeg; missing folders are created. It is written
            completely or not at all.
        rgb: RGB uint8 (H, W, 3).
        photo: the photo that the picture shows, if it is a file: it is never replaced, nor is a
            picture of another photo.
        overwrite: also replace a file that this tool did not write.

    Returns:
        The path.

    Raises:
        ResultError: as :func:`encode_image`, or the path cannot be written, or holds what must
            not be replaced.
    """
    target = Path(path)
    owner = picture_owner(photo, overwrite=overwrite)
    owner.check([target])
    content = encode_image(rgb, target.suffix, mark=owner.mark.text)
    write_all({target: of_bytes(content)}, owner)
    return target


def picture_owner(photo: str | Path, *, overwrite: bool) -> Ownership:
    """Which files a picture of a photo may replace; "" is of no file."""
    mark = Mark.of(photo, digest=digest_of(Path(photo)) if photo else "")
    return Ownership(mark, read=(photo,), overwrite=overwrite)


def _outline(picture: Image, boxes_xyxy: Sequence[Box]) -> None:
    """Draw boxes into a picture, in place: light lines on dark ones, visible on any background."""
    width = max(1, text_px(picture.shape[:2]) // 8)
    for box in boxes_xyxy:
        left, top, right, bottom = (round(side) for side in box)
        # Drawn inside the box, and so inside the picture.
        corners = ((left + width, top + width), (right - 1 - width, bottom - 1 - width))
        for line, colour in ((3 * width, _BOX_DARK), (width, _BOX_LIGHT)):
            cv2.rectangle(picture, *corners, colour, line)


def _legend(grid: ScoreGrid, group: ClassGroup, painter: Painter) -> Caption:
    low, high = painter.low, painter.high
    notes = [f"probability, colours from {low:.3g} to {high:.3g}"]
    if grid.origin.is_sharp:
        notes.append("sharp: the hottest point has the probability of the most confident window")
    if grid.origin.weights.are_random:
        notes.append(f"{grid.origin.model}, random weights: means nothing")
    key = None
    if painter.missing:
        meaning = f"not scored: {painter.missing} of {painter.cells.size} windows"
        key = (hatching((PANEL_PX, PANEL_PX)), meaning)
    heading = group.name
    return Caption(heading, *range_bar(painter.table, low, high), notes=tuple(notes), key=key)
