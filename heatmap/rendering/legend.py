"""Legends: the strip below a picture with text and a colour bar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .paint import Image, blend
from .palette import PAPER, Colour

# Largest side of a panel of a comparison.
PANEL_PX = 1024
# Built into OpenCV 5; covers Latin, Greek, Cyrillic, Chinese, Japanese, Korean.
_FONT = "sans"
REGULAR, BOLD = 400, 600
SMALLEST_PX = 13
_BRIGHT, _SOFT = (250, 250, 250), (200, 200, 206)


@dataclass(frozen=True)
class Caption:
    """The content of a legend: a heading, a colour bar, a key, and lines of text.

    ``table`` is the RGBA of 256 levels, drawn as a bar with ``ticks`` at equal distances from its
    left to its right end. ``key`` is a sample of a fill, RGBA, and its meaning.
    """

    heading: str
    table: Image | None = None
    ticks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    key: tuple[Image, str] | None = None


def text_px(picture_hw: tuple[int, int]) -> int:
    """Height of letters, px, that are legible when the whole picture is on screen."""
    return max(SMALLEST_PX, round(math.sqrt(picture_hw[0] * picture_hw[1]) / 45))


def narrowest_px(size: int) -> int:
    """The smallest width, px, of a legend with letters of ``size`` px."""
    return 17 * size


def blank(height: int, width: int) -> Image:
    """An empty part of a legend."""
    return np.full((height, width, 3), PAPER, np.uint8)


def strip(width: int, caption: Caption, size: int) -> Image:
    """Draw a caption ``width`` px wide, in letters of ``size`` px; its height follows."""
    pad = round(0.7 * size)
    inner = width - 2 * pad
    parts = list(_parts(caption, inner, size))
    gap = blank(max(1, round(0.3 * size)), inner)
    body = np.vstack([gap, *(image for part in parts for image in (part, gap))])
    drawn = blank(body.shape[0] + gap.shape[0], width)
    drawn[: body.shape[0], pad : pad + inner] = body
    return drawn


def range_bar(table: Image, low: float, high: float) -> tuple[Image | None, tuple[str, ...]]:
    """The colours and ticks of a bar from ``low`` to ``high``; none if the range is empty."""
    if low == high:
        return None, ()
    return table, tuple(f"{tick:.3g}" for tick in (low, (low + high) / 2, high))


def centred(picture: Image, width: int) -> Image:
    """A picture centred on a canvas ``width`` px wide."""
    if picture.shape[1] == width:
        return picture
    canvas = blank(picture.shape[0], width)
    left = (width - picture.shape[1]) // 2
    canvas[:, left : left + picture.shape[1]] = picture
    return canvas


def _parts(caption: Caption, width: int, size: int) -> Iterator[Image]:
    if caption.heading:
        yield _paragraph(caption.heading, width, size, BOLD)
    if caption.table is not None:
        yield _bar(caption.table, width, size)
        yield _tick_labels(caption.ticks, width, size)
    if caption.key is not None:
        yield _key(*caption.key, width, size)
    for note in caption.notes:
        yield _paragraph(note, width, size, REGULAR)


def _bar_px(width: int, size: int) -> int:
    """Length of a colour bar, limited so that it stays easy to read."""
    return min(width, 30 * size)


def _bar(table: Image, width: int, size: int) -> Image:
    """A colour bar over light and dark squares, to show its opacity."""
    height, length = round(0.9 * size), _bar_px(width, size)
    square = max(1, height // 2)
    dark = (np.arange(height)[:, None] // square + np.arange(length) // square) % 2 == 0
    squares = np.where(dark[..., None], np.uint8(120), np.uint8(150)).repeat(3, axis=2)
    levels = np.rint(np.linspace(0, 255, length)).astype(np.uint8)
    bar = blank(height, width)
    bar[:, :length] = blend(squares, np.broadcast_to(table[levels], (height, length, 4)))
    return bar


def _tick_labels(ticks: tuple[str, ...], width: int, size: int) -> Image:
    """Labels under a bar: the first flush left, the last flush right."""
    line, length = blank(line_px(size), width), _bar_px(width, size)
    for position, label in zip(np.linspace(0, 1, len(ticks)), ticks, strict=True):
        left = position * (length - text_width(label, size, REGULAR))
        write(line, label, round(left), size, REGULAR)
    return line


def _key(sample: Image, meaning: str, width: int, size: int) -> Image:
    """A sample of a fill (RGBA) with its meaning beside it."""
    side = round(1.1 * size)
    text = _paragraph(meaning, width - 2 * side, size, REGULAR)
    line = blank(text.shape[0], width)
    top = (line_px(size) - side) // 2
    line[top : top + side, :side] = blend(line[:side, :side], sample[:side, :side])
    line[:, 2 * side :] = text
    return line


def _paragraph(text: str, width: int, size: int, weight: int) -> Image:
    lines = []
    for words in _wrap(text, width, size, weight):
        lines.append(blank(line_px(size), width))
        write(lines[-1], words, 0, size, weight)
    return np.vstack(lines)


def _wrap(text: str, width: int, size: int, weight: int) -> Iterator[str]:
    """Break text into lines of at most ``width`` px, at spaces or within too long words."""
    line = ""
    for word in drawable(text).split():
        joined = f"{line} {word}".strip()
        if text_width(joined, size, weight) <= width:
            line = joined
            continue
        if line:
            yield line
        line = ""
        for letter in word:
            if line and text_width(line + letter, size, weight) > width:
                yield line
                line = ""
            line += letter
    yield line


def drawable(text: str) -> str:
    """One line of text, without lone surrogates, on which OpenCV 5.0 crashes."""
    return " ".join(_safe(text).split())


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def cut(text: str, width: int, size: int, weight: int) -> str:
    """As much of a text as fits into ``width`` px, with an ellipsis where some is left out."""
    text = drawable(text)
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(f"{text}…", size, weight) > width:
        text = text[:-1].rstrip()
    return f"{text}…"


def line_px(size: int) -> int:
    """Height of a line of text, px, with letters of ``size`` px."""
    return round(1.35 * size)


def text_width(text: str, size: int, weight: int) -> int:
    """Width of a text, px."""
    return cv2.getTextSize((0, 0), _safe(text), (0, 0), cv2.FontFace(_FONT), size, weight)[2]


def write(
    line: Image, text: str, left: int, size: int, weight: int, colour: Colour | None = None
) -> None:
    """Write text into a line image, in place; where no colour is given, in one for dark paper."""
    colour = colour or (_BRIGHT if weight == BOLD else _SOFT)
    cv2.putText(line, _safe(text), (left, size), colour, cv2.FontFace(_FONT), size, weight)
