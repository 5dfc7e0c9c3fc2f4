"""Boxes as lines on a picture, planned in whole pixels and drawn a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from ..geometry import Box
from ..geometry import whole_px as span_px
from .paint import Image
from .palette import Colour, ink_on

# Left, top, right, bottom in whole px of a picture; right and bottom are not part of it.
Spot: TypeAlias = tuple[int, int, int, int]

# Length of a dash, in line widths.
_DASH = 5
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


class Fill(NamedTuple):
    """A rectangle of one colour."""

    spot: Spot
    colour: Colour


class Paste(NamedTuple):
    """A small picture, RGB uint8, and where it goes."""

    spot: Spot
    image: Image


def whole_px(box: Box, hw: tuple[int, int]) -> Spot:
    """A box in whole px within a picture, at least one px a side."""
    left, right = span_px(box[0], box[2], hw[1])
    top, bottom = span_px(box[1], box[3], hw[0])
    return left, top, right, bottom


def outline(spot: Spot, width: int, colour: Colour, *, dashed: bool = False) -> Iterator[Fill]:
    """The lines of a box, inside of it: a coloured one with edges that show it on any photo.

    Args:
        spot: the box.
        width: of the coloured line, px; the edges, dark around a light colour and light around a
            dark one, add a half of that on either side.
        colour: of the line.
        dashed: leave gaps, which let the picture through.
    """
    edge = max(1, width // 2)
    dash = _DASH * width if dashed else 0
    for line in _frame(spot, width + 2 * edge, dash):
        yield Fill(line, ink_on(colour))
    for line in _frame(_inset(spot, edge), width, dash):
        yield Fill(line, colour)


def alternating(spot: Spot, width: int) -> Iterator[Fill]:
    """The lines of a box, inside of it, in dashes of black and white by turns.

    No class has these colours, and one of them shows on any photo.

    Args:
        spot: the box.
        width: of the line, px.
    """
    for colour, dash in ((_BLACK, 0), (_WHITE, _DASH * width)):
        for line in _frame(spot, width, dash):
            yield Fill(line, colour)


def fill(rows: Image, top: int, fills: Iterable[Fill]) -> None:
    """Draw rectangles into rows of a picture that begin at row ``top``, in place."""
    for (left, first, right, last), colour in fills:
        rows[max(0, first - top) : max(0, last - top), left:right] = colour


def paste(rows: Image, top: int, pastes: Iterable[Paste]) -> None:
    """Draw small pictures into rows of a picture that begin at row ``top``, in place."""
    for (left, first, right, last), image in pastes:
        start, end = max(first, top), min(last, top + len(rows))
        if start < end:
            rows[start - top : end - top, left:right] = image[start - first : end - first]


def _inset(spot: Spot, by: int) -> Spot:
    """A spot made smaller on all sides, but not to nothing."""
    left, top, right, bottom = spot
    across, down = min(by, (right - left - 1) // 2), min(by, (bottom - top - 1) // 2)
    return left + across, top + down, right - across, bottom - down


def _frame(spot: Spot, width: int, dash: int) -> Iterator[Spot]:
    """The four sides of a box, ``width`` px wide, in dashes of about ``dash`` px (0 is none)."""
    left, top, right, bottom = spot
    wide, high = min(width, right - left), min(width, bottom - top)
    for start, end in _dashes(left, right, dash):
        yield start, top, end, top + high
        yield start, bottom - high, end, bottom
    for start, end in _dashes(top, bottom, dash):
        yield left, start, left + wide, end
        yield right - wide, start, right, end


def _dashes(start: int, end: int, dash: int) -> Iterator[tuple[int, int]]:
    """Cut a line into dashes and gaps of equal length, with a dash at either end."""
    gaps = round(((end - start) / dash - 1) / 2) if dash else 0
    parts = 2 * max(0, gaps) + 1
    cuts = [start + (end - start) * part // parts for part in range(parts + 1)]
    yield from zip(cuts[::2], cuts[1::2], strict=True)
