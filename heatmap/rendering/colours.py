"""Colours of scores, and how they are laid over a photo."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ResultError

Image = npt.NDArray[np.uint8]

# Perceptually uniform: equal steps of the score look equal. On photos its yellow
# end stays apart from skin and sky, where magma's fades into white.
_COLOUR_MAP = cv2.COLORMAP_INFERNO
_BLOCK_PX = 1 << 20


def colour_table(opacity: float) -> Image:
    """RGBA of the 256 score levels, (256, 4): clear at the lowest, ``opacity`` at the highest.

    Opacity rises twice as fast as the score at first and levels off: a window of
    0.3 is seen at a glance, and next to nothing leaves no stain.

    Raises:
        ResultError: an opacity outside 0..1.
    """
    if not 0 <= opacity <= 1:
        raise ResultError(f"opacity is {opacity:g}: it must be within 0..1")
    levels = np.arange(256, dtype=np.uint8)[:, None]
    colours = cv2.applyColorMap(levels, _COLOUR_MAP)[:, 0, ::-1]
    alpha = (1 - (1 - levels / 255) ** 2) * 255 * opacity
    return np.hstack([colours, np.rint(alpha).astype(np.uint8)])


def to_levels(values: npt.NDArray[np.float32], low: float, high: float) -> Image:
    """Values as levels 0..255 of the range ``low`` to ``high``; all 0 where the range is empty."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(np.rint(share * 255), dtype=np.uint8)


def paint(photo: Image, levels: Image, table: Image) -> Image:
    """Lay the colours of ``levels`` (H, W) over a photo (H, W, 3); gives a new RGB array."""
    painted = photo.copy()
    alpha = table[:, 3:].astype(np.uint16)
    # In whole numbers, to the nearest: what blend() gives, in a quarter of the time.
    kept, added = 255 - alpha[:, 0], table[:, :3] * alpha + np.uint16(127)
    # Where the lowest level is clear, all that is not lies in a box.
    height, width = levels.shape
    left, first, wide, high = (0, 0, width, height) if alpha[0] else cv2.boundingRect(levels)
    columns = slice(left, left + wide)
    # A few rows at a time: 16 bits take twice the photo's memory.
    rows = max(1, _BLOCK_PX // photo.shape[1])
    for top in range(first, first + high, rows):
        block = (slice(top, min(top + rows, first + high)), columns)
        level, below = levels[block], painted[block]
        keep = kept[level]
        for channel in range(3):
            values = below[..., channel] * keep
            values += added[:, channel][level]
            values //= 255
            below[..., channel] = values
    return painted


def blend(background: Image, rgba: Image) -> Image:
    """Lay RGBA (..., 4) over RGB (..., 3)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(background * (1 - alpha) + rgba[..., :3] * alpha), dtype=np.uint8)
