"""The areas of a photo in flat colours over it, with a legend of classes and their shares."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import ResultError
from ..geometry import check_size, shrunk_hw
from ..localization.areas import OTHER, UNSCORED, Areas, Labels
from ..photo.reduced import OpenPhoto
from .legend import (
    REGULAR,
    blank,
    centred,
    cut,
    drawable,
    line_px,
    narrowest_px,
    text_px,
    text_width,
    write,
)
from .overlay import PICTURE_PX
from .paint import STRIP_PX, Image, blend, hatching

# Flat colours let so much of the photo through that its structure stays visible.
AREA_ALPHA = 0.55
# Lines of the legend; classes that have no room in them are only counted.
_MOST_LINES = 7
# Names are cut to this many times the height of the letters.
_NAME = 14
_OTHER_COLOUR = (128, 128, 128)
_BORDER_LIGHT, _BORDER_DARK = (255, 255, 255), (20, 20, 20)


@dataclass(frozen=True, eq=False)
class _Entry:
    """An entry of the legend: a name, a share 0..1, and a sample of the fill, RGBA (side, side)."""

    name: str
    share: float
    sample: Image | None = None

    def width(self, size: int) -> int:
        """In px, with letters of ``size`` px."""
        name_px = min(_NAME * size, text_width(self.name, size, REGULAR))
        return name_px + text_width(share_text(self.share), size, REGULAR) + round(2.6 * size)


def areas_picture(
    photo: OpenPhoto,
    areas: Areas,
    colours: Image,
    *,
    alpha: float = AREA_ALPHA,
    legend: bool = True,
    longest_px: int = PICTURE_PX,
) -> Image:
    """Colour each pixel of a photo by the class that wins there, and add a legend below.

    Borders between areas are lines; what was not scored is hatched.

    Args:
        photo: the photo that was scored, opened; only as much of it is decoded as is drawn.
        areas: its areas.
        colours: RGB uint8 (n, 3), one for each of ``areas.groups``; further ones are not used.
        alpha: opacity of the colours, 0..1.
        legend: add the legend.
        longest_px: the longer side of the photo in the picture, at most.

    Returns:
        RGB uint8 (H, W, 3): the photo, shrunk, above its legend, which is wider than a photo
        too narrow for the text.

    Raises:
        PhotoError: the photo cannot be read.
        ResultError: the photo has another size than the scored one, there are fewer colours than
            areas, or ``alpha`` is outside 0..1.
    """
    check_size(photo.hw, areas.grid.geometry)
    table = _table(areas, colours, alpha)
    hw = shrunk_hw(photo.hw, longest_px)
    labels = areas.labels(hw)
    picture = np.concatenate(
        [
            _painted(strip, labels, table, number * STRIP_PX)
            for number, strip in enumerate(photo.strips(STRIP_PX, scaled_hw=hw))
        ]
    )
    size = text_px(hw)
    _draw_borders(picture, labels, max(1, round(size / 18)))
    if not legend:
        return picture
    picture = centred(picture, max(hw[1], narrowest_px(size)))
    return np.vstack([picture, _legend(areas, table, picture.shape[1], size)])


def _table(areas: Areas, colours: Image, alpha: float) -> Image:
    """RGBA of all labels, uint8 (256, 4)."""
    if not 0 <= alpha <= 1:
        raise ResultError(f"alpha is {alpha:g}: it must be within 0..1")
    count = len(areas.groups)
    if len(colours) < count:
        raise ResultError(f"{len(colours)} colours for {count} areas: give one for each")
    table = np.zeros((256, 4), np.uint8)
    table[:count, :3] = colours[:count]
    table[OTHER, :3] = _OTHER_COLOUR
    table[:, 3] = round(255 * alpha)
    return table


def _painted(strip: Image, labels: Labels, table: Image, top: int) -> Image:
    """Rows of the photo that begin at row ``top``, painted."""
    of_strip = labels[top : top + len(strip)]
    painted = blend(strip, table[of_strip])
    unscored = of_strip == UNSCORED
    if unscored.any():
        painted[unscored] = blend(strip, hatching(unscored.shape, top))[unscored]
    return painted


def _draw_borders(picture: Image, labels: Labels, width: int) -> None:
    """Draw light lines on dark ones where two labels meet, in place: visible on any colours."""
    for line, colour in ((3 * width, _BORDER_DARK), (width, _BORDER_LIGHT)):
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (line + 1, line + 1))
        picture[cv2.dilate(labels, around) != cv2.erode(labels, around)] = colour


def _legend(areas: Areas, table: Image, width: int, size: int) -> Image:
    """Columns of entries, from the largest area down, then on to the right."""
    pad, gap = round(0.7 * size), _gap_px(size)
    columns = _columns(areas, table, width - 2 * pad, size)
    drawn = blank(len(columns[0]) * line_px(size) + pad, width)
    left = pad
    for column in columns:
        right = min(width - pad, left + _column_px(column, size))
        for row, entry in enumerate(column):
            top = pad // 2 + row * line_px(size)
            _draw_entry(drawn[top : top + line_px(size), left:right], entry, size)
        left = right + gap
    return drawn


def _columns(areas: Areas, table: Image, width: int, size: int) -> list[list[_Entry]]:
    """As many entries as have room, in the fewest lines."""
    gap = _gap_px(size)
    for named in range(len(areas.groups), -1, -1):
        entries = _entries(areas, table, named, round(1.1 * size))
        for lines in range(1, _MOST_LINES + 1):
            columns = [entries[at : at + lines] for at in range(0, len(entries), lines)]
            wide = sum(_column_px(column, size) + gap for column in columns) - gap
            # In a single column names are cut to its width.
            if wide <= width or len(columns) == 1:
                return columns
    raise AssertionError("an entry or two fit into a column")


def _gap_px(size: int) -> int:
    """The space between columns."""
    return round(1.6 * size)


def _column_px(column: list[_Entry], size: int) -> int:
    return max(entry.width(size) for entry in column)


def _entries(areas: Areas, table: Image, named: int, side: int) -> list[_Entry]:
    """Entries of the first ``named`` areas, of the rest together, and of what was not scored."""

    def sample(label: int) -> Image:
        return np.full((side, side, 4), table[label])

    entries = [
        _Entry(drawable(group.name), fraction, sample(label))
        for label, (group, fraction) in enumerate(zip(areas.groups, areas.fractions, strict=True))
    ][:named]
    left_out = len(areas.groups) - named
    if left_out:
        share = sum(areas.fractions[named:]) + areas.other
        entries.append(_Entry(f"+{left_out + areas.others} more", share))
    elif areas.others:
        entries.append(_Entry(areas.others_name, areas.other, sample(OTHER)))
    if areas.unscored:
        entries.append(_Entry("not scored", areas.unscored, hatching((side, side))))
    return entries


def share_text(share: float) -> str:
    """A share, 0..1, in percent: above 0 never "0.0 %", below 1 never "100.0 %".

    >>> share_text(0.4236), share_text(0.0001), share_text(0.9999), share_text(1)
    ('42.4 %', '< 0.1 %', '> 99.9 %', '100 %')
    """
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if share >= 0.9995 else f"{100 * share:.1f} %"


def _draw_entry(line: Image, entry: _Entry, size: int) -> None:
    """Draw the sample, the name beside it, and the share flush right, in place."""
    side, share = round(1.1 * size), share_text(entry.share)
    if entry.sample is not None:
        top = (line.shape[0] - side) // 2
        # Over mid-grey, as the colours lie over a photo.
        grey = np.full((side, side, 3), 128, np.uint8)
        line[top : top + side, :side] = blend(grey, entry.sample)
    left = round(1.6 * size)
    right = line.shape[1] - text_width(share, size, REGULAR)
    write(line, cut(entry.name, right - left - size // 2, size, REGULAR), left, size, REGULAR)
    write(line, share, right, size, REGULAR)
