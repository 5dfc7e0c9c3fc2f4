"""Thumbnails of overlays, for the contact sheet of a batch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from ..files import Writer
from ..geometry import shrunk_hw
from ..names import PREVIEW
from ..photo.photo import read_photo
from .paint import Image

# Longer side of a thumbnail.
THUMBNAIL_PX = 320
THUMBNAIL_JPEG_QUALITY = 85

# An overlay: an RGB uint8 array, or functions that write the files of a large one, by suffix.
Picture: TypeAlias = Image | Mapping[str, Writer]


def thumbnail(drawn_hw: tuple[int, int], overlay: Picture) -> Writer:
    """A function that writes an overlay, without legend, as a JPEG of ``THUMBNAIL_PX`` a side.

    Args:
        drawn_hw: height and width of the photo in the overlay, or in the preview of a large one.
        overlay: the overlay.
    """

    def write(path: Path) -> None:
        picture = overlay if isinstance(overlay, np.ndarray) else _preview(overlay)
        shown = _without_legend(picture, drawn_hw)
        height, width = shrunk_hw(shown.shape[:2], THUMBNAIL_PX)
        small = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_JPEG_QUALITY])[1]
        path.write_bytes(content.tobytes())

    return write


def _without_legend(picture: Image, drawn_hw: tuple[int, int]) -> Image:
    """The part of an overlay that shows the photo, without the legend below or beside it."""
    height, width = drawn_hw
    left = (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[:height, left : left + width])


def _preview(overlay: Mapping[str, Writer]) -> Image:
    with tempfile.TemporaryDirectory(prefix="heatmap.") as folder:
        path = Path(folder) / "preview.png"
        overlay[PREVIEW](path)
        return read_photo(path).pixels
