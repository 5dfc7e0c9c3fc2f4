"""The key of an annotated picture: one line, or a few, in a narrow margin below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .legend import BOLD, REGULAR, blank, cut, line_px, text_px, text_width, write
from .paint import Image, blend, hatching
from .palette import Colour

# What a key begins with, in three lengths, the longest first.
Heading: TypeAlias = tuple[str, str, str]
# The largest share of the picture's height that the key takes.
MARGIN = 0.05
# Least width, px: room for the shortest key of one class.
NARROWEST_PX = 120
# Letters are no smaller than this, px.
_LEAST_PX = 10
# So many classes are named before the range of the colours is left out.
_NAMED = 3


@dataclass(frozen=True)
class Key:
    """What a key says.

    Attributes:
        classes: name and colour of each class in the picture, most important first; None is of one
            that has no colour of its own there.
        headings: what comes first, each in three lengths, the longest first.
        range_text: the range of the colours.
        model: the network.
        hatched: whether the picture has hatched parts, which were not scored.
        levels: RGBA of the 256 levels of a colormap, (256, 4), where that colours all classes.
    """

    classes: tuple[tuple[str, Colour | None], ...]
    headings: tuple[Heading, ...] = ()
    range_text: str = ""
    model: str = ""
    hatched: bool = False
    levels: Image | None = None


@dataclass(frozen=True, eq=False)
class _Part:
    """A few words, and a sample before them: RGB uint8 (h, w, 3)."""

    text: str
    weight: int
    sample: Image | None = None

    def width(self, size: int) -> int:
        """In px, with letters of ``size`` px."""
        before = 0 if self.sample is None else self.sample.shape[1] + size // 3
        return before + text_width(self.text, size, self.weight)


def drawn_key(key: Key, width: int, picture_hw: tuple[int, int]) -> Image:
    """Draw a key ``width`` px wide, RGB uint8 (h, width, 3).

    It takes at most ``MARGIN`` of the picture's height, or what one line of 10 px letters needs:
    of a picture 320 px high or more it is never above.
    What has no room is left out: the network first, then the range of the colours and all but the
    first classes ("+3 more").
    """
    size = _letters_px(picture_hw)
    pad, room = size // 6, _room_px(picture_hw)
    lines = max(1, (room - 2 * pad) // line_px(size))
    rows = _chosen(key, width - 2 * _side_px(size), size, lines)
    margin = blank(len(rows) * line_px(size) + 2 * pad, width)
    for number, parts in enumerate(rows):
        top = pad + number * line_px(size)
        _write_line(margin[top : top + line_px(size)], parts, size)
    return margin


def _room_px(picture_hw: tuple[int, int]) -> int:
    return max(int(MARGIN * picture_hw[0]), _height_px(_LEAST_PX))


def _height_px(size: int) -> int:
    return line_px(size) + 2 * (size // 6)


def _side_px(size: int) -> int:
    """The space at either side of a line."""
    return size // 2


def _letters_px(picture_hw: tuple[int, int]) -> int:
    """As large as in labels, if a line of them has room."""
    size = text_px(picture_hw)
    while size > _LEAST_PX and _height_px(size) > _room_px(picture_hw):
        size -= 1
    return size


def _chosen(key: Key, width: int, size: int, lines: int) -> list[list[_Part]]:
    """The most that fits, in lines."""
    for parts in _choices(key, width, size):
        rows = _flow(parts, width, size)
        if len(rows) <= lines and all(part.width(size) <= width for part in parts):
            return rows
    # Not even the shortest fits: what is first.
    first = parts[0]
    return [[_Part(cut(first.text, width, size, first.weight), first.weight)]]


def _choices(key: Key, width: int, size: int) -> Iterator[list[_Part]]:
    """What a key may show, from everything to the least."""
    long, medium, short = ([_Part(texts[i], BOLD) for texts in key.headings] for i in range(3))
    names = [_named(name, colour, width, size) for name, colour in key.classes]
    notes = _notes(key, size)
    for kept in range(len(notes), 0, -1):
        yield [*long, *names, *notes[:kept]]
    ramp, plain = notes[:1], [_Part(key.range_text, REGULAR)] if key.range_text else []
    for headings, least, end in (
        (long, _NAMED, ramp),
        (long, _NAMED, plain),
        (medium, _NAMED, plain),
        (medium, 1, plain),
        (short, 1, plain),
        (short, 1, []),
        (short, 0, []),
    ):
        for named in range(len(names), min(least, len(names)) - 1, -1):
            yield [*headings, *names[:named], *_more(len(names), named), *end]


def _more(count: int, named: int) -> list[_Part]:
    if named == count:
        return []
    return [_Part(f"+{count - named} more" if named else f"{count} classes", REGULAR)]


def _named(name: str, colour: Colour | None, width: int, size: int) -> _Part:
    if colour is None:
        return _Part(cut(name, width, size, REGULAR), REGULAR)
    swatch = np.full((size, size, 3), colour, np.uint8)
    return _Part(cut(name, width - size - size // 3, size, REGULAR), REGULAR, swatch)


def _notes(key: Key, size: int) -> list[_Part]:
    """What else is said, most important first."""
    notes = [_Part(key.range_text, REGULAR, _ramp(key, size))] if key.range_text else []
    if key.hatched:
        sample = blend(np.full((size, size, 3), 128, np.uint8), hatching((size, size)))
        notes.append(_Part("not scored", REGULAR, sample))
    if key.model:
        notes.append(_Part(key.model, REGULAR))
    return notes


def _ramp(key: Key, size: int) -> Image | None:
    """From nothing to the full colour of the first class, or through those of a colormap."""
    paper = blank(size, 3 * size)
    share = np.rint(np.linspace(0, 255, 3 * size)).astype(np.uint8)
    if key.levels is not None:
        return blend(paper, np.broadcast_to(key.levels[share], (size, 3 * size, 4)))
    first = key.classes[0][1] if key.classes else None
    if first is None:
        return None
    colour = np.full_like(paper, first)
    return blend(paper, np.dstack([colour, np.tile(share, (size, 1))]))


def _flow(parts: Sequence[_Part], width: int, size: int) -> list[list[_Part]]:
    """Parts in lines of at most ``width`` px, each at least one part."""
    rows: list[list[_Part]] = [[]]
    left = 0
    for part in parts:
        wide = part.width(size)
        if rows[-1] and left + wide > width:
            rows.append([])
            left = 0
        rows[-1].append(part)
        left += wide + size
    return rows


def _write_line(line: Image, parts: Sequence[_Part], size: int) -> None:
    left = _side_px(size)
    for part in parts:
        at = left
        if part.sample is not None:
            high, wide = part.sample.shape[:2]
            top = (line.shape[0] - high) // 2
            line[top : top + high, at : at + wide] = part.sample
            at += wide + size // 3
        write(line, part.text, at, size, part.weight)
        left += part.width(size) + size
