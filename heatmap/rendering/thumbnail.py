"""Small pictures of overlays, for the page that shows many photos at once."""

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
from .pyramid import PREVIEW_PX

# Its longer side.
THUMBNAIL_PX = 320
THUMBNAIL_JPEG_QUALITY = 85

# An overlay: RGB uint8, or what writes the files of one too large for memory, by suffix.
Picture: TypeAlias = Image | Mapping[str, Writer]


def thumbnail(photo_hw: tuple[int, int], overlay: Picture) -> Writer:
    """What writes a JPEG of an overlay, at most ``THUMBNAIL_PX`` a side, without its legend."""

    def write(path: Path) -> None:
        if isinstance(overlay, np.ndarray):
            shown = _without_legend(overlay, photo_hw)
        else:
            shown = _without_legend(_preview(overlay), shrunk_hw(photo_hw, PREVIEW_PX))
        height, width = shrunk_hw(shown.shape[:2], THUMBNAIL_PX)
        small = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_JPEG_QUALITY])[1]
        path.write_bytes(content.tobytes())

    return write


def _without_legend(picture: Image, photo_hw: tuple[int, int]) -> Image:
    """The photo's part of an overlay: its legend lies below, and may be wider."""
    height, width = photo_hw
    left = (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[:height, left : left + width])


def _preview(overlay: Mapping[str, Writer]) -> Image:
    with tempfile.TemporaryDirectory(prefix="heatmap.") as folder:
        path = Path(folder) / "preview.png"
        overlay[PREVIEW](path)
        return read_photo(path).pixels
