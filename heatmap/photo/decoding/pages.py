"""The other images of a file: smaller copies by which it can be decoded faster, and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyvips

from ...geometry import size_text
from ...region import Region
from .encoded import Encoded
from .mpo import pictures_in
from .values import header_field

_MOST_JPEG_SHRINK = 8


@dataclass(frozen=True)
class Reduction:
    """How a file is decoded at a part of its size.

    Attributes:
        options: what libvips' reader is told.
        left: by which whole number the result still has to be shrunk.
        how: what the reader reduces by, in words; "" where it reads the whole.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    left: int = 1
    how: str = ""


WHOLE = Reduction()


def reduction_of(opened: Encoded, denominator: int, region: Region | None = None) -> Reduction:
    """How to decode a file at 1/2, 1/4, ... of its size, with as little work as its format allows.

    JPEG decoders compute a half, a quarter or an eighth directly; a TIFF may hold smaller copies
    (a pyramid). What is left is done by averaging as rows are read.

    Args:
        opened: the file.
        denominator: a power of two.
        region: a part of the photo. It begins at any pixel, so nothing but averaging is exact.
    """
    if region is not None:
        return Reduction(left=denominator, how="averaging")
    if opened.file_format == "JPEG":
        shrink = min(denominator, _MOST_JPEG_SHRINK)
        return Reduction({"shrink": shrink}, denominator // shrink, "the JPEG decoder")
    if opened.file_format == "TIFF":
        levels = _levels(opened)
        if depth := min(len(levels), denominator.bit_length() - 1):
            return Reduction(levels[depth - 1], denominator >> depth, "the file's own pyramid")
    return Reduction(left=denominator, how="averaging")


def _levels(opened: Encoded) -> list[dict[str, Any]]:
    """Which options read a TIFF at a half, a quarter, ... of its size; [] if it is no pyramid."""
    if opened.tiff is None or opened.directory is None or opened.is_misread:
        return []
    levels: list[dict[str, Any]] = []
    for smaller in opened.tiff.copies:
        factor = 2 ** (len(levels) + 1)
        sides = zip(opened.directory.hw, smaller.hw, strict=True)
        # Rounded up or down, once or at each level.
        if all(abs(side / factor - small) < 1 for side, small in sides):
            levels.append(smaller.options)
    return levels


def notes_on_pages(opened: Encoded, image: pyvips.Image) -> Iterator[str]:
    """What is to be said of other images in the file, of which none is read.

    Args:
        opened: the file.
        image: the photo as libvips opened it.
    """
    pages = header_field(image, "n-pages", 1)
    if opened.tiff is not None and opened.directory is not None:
        if opened.directory.options:
            size = size_text(opened.directory.hw)
            yield f"the full image, {size}, is read, not the smaller copy before it"
        pages = opened.tiff.frames(pages)
    elif opened.file_format == "JPEG":
        # libvips knows only the first.
        pages = pictures_in(opened.path)
    if pages > 1:
        yield f"first of {pages} frames"
