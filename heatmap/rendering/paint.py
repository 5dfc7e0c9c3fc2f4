"""Paint the heatmap of a class over rows of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ..classes import Wanted
from ..errors import ResultError
from ..geometry import Geometry
from ..grid.position_scores import Cells
from ..grid.score_grid import ScoreGrid
from ..grid.upsample import nearest, upsample

# RGB or RGBA uint8 (H, W, channels); levels (H, W).
Image = npt.NDArray[np.uint8]

# Opacity of the highest score.
OPACITY = 0.7
# Rows painted at a time: heatmap and levels take several times the photo's memory.
STRIP_PX = 256
# Pixels blended at a time: 16-bit values take twice the photo's memory.
_BLOCK_PX = 1 << 20
# Perceptually uniform: equal steps of the score look equal. On photos its yellow end is distinct
# from skin and sky, whereas magma's fades into white.
_COLOUR_MAP = cv2.COLORMAP_INFERNO


def colour_table(opacity: float) -> Image:
    """RGBA of the 256 score levels, (256, 4), with opacity from 0 to ``opacity``.

    Opacity first rises twice as fast as the score and then levels off, so that a score of 0.3 is
    clearly visible, and scores near 0 are not.

    Raises:
        ResultError: ``opacity`` is outside 0..1.
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


@dataclass(frozen=True, eq=False)
class Painter:
    """Paints the heatmap of one class over rows of its photo.

    Attributes:
        cells: probabilities (N, M), NaN where a window was not scored.
        geometry: the geometry of the cells.
        table: RGBA of 256 levels, (256, 4).
        low, high: the range of probabilities that the colours cover.
    """

    cells: Cells
    geometry: Geometry
    table: Image
    low: float
    high: float

    @classmethod
    def of(cls, grid: ScoreGrid, wanted: Wanted, *, opacity: float, stretch: bool) -> Painter:
        """A painter for one class or group; ``stretch`` scales colours to its own range.

        Raises:
            ClassError: an unknown class.
            ResultError: ``opacity`` is outside 0..1.
        """
        table, cells = colour_table(opacity), grid.class_map(wanted)
        low, high = _range(cells, grid.geometry) if stretch else (0.0, 1.0)
        return cls(cells, grid.geometry, table, low, high)

    @cached_property
    def missing(self) -> int:
        """The number of windows that were not scored."""
        return int(np.isnan(self.cells).sum())

    def paint(self, photo: Image, top: int = 0) -> Image:
        """Paint photo rows, uint8 (n, W, 3), that begin at row ``top``; returns a new array."""
        rows = (top, top + len(photo))
        heat = _heat(self.cells, self.geometry, rows)
        painted = paint(photo, to_levels(heat, self.low, self.high), self.table)
        if self.missing:
            unknown = np.isnan(nearest(self.cells, self.geometry, rows))
            painted[unknown] = blend(photo, hatching(unknown.shape, top))[unknown]
        return painted


def _heat(cells: Cells, geometry: Geometry, rows: tuple[int, int]) -> Cells:
    return upsample(np.nan_to_num(cells, nan=0.0), geometry, rows)


def _range(cells: Cells, geometry: Geometry) -> tuple[float, float]:
    """Smallest and largest value of a heatmap, computed in strips."""
    height = geometry.photo_hw[0]
    parts = (
        _heat(cells, geometry, (top, min(top + STRIP_PX, height)))
        for top in range(0, height, STRIP_PX)
    )
    lows, highs = zip(*((float(part.min()), float(part.max())) for part in parts), strict=True)
    return min(lows), max(highs)


def paint(photo: Image, levels: Image, table: Image) -> Image:
    """Blend the colours of ``levels`` (H, W) over a photo (H, W, 3) into a new RGB array."""
    painted = photo.copy()
    alpha = table[:, 3:].astype(np.uint16)
    # Rounded integer arithmetic: the result of blend() in a quarter of the time.
    kept, added = 255 - alpha[:, 0], table[:, :3] * alpha + np.uint16(127)
    # If the lowest level is transparent, only the bounding box of the others is blended.
    height, width = levels.shape
    left, first, wide, high = (0, 0, width, height) if alpha[0] else cv2.boundingRect(levels)
    columns = slice(left, left + wide)
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
    """Blend RGBA (..., 4) over RGB (..., 3)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(background * (1 - alpha) + rgba[..., :3] * alpha), dtype=np.uint8)


def hatching(hw: tuple[int, int], top: int = 0) -> Image:
    """Grey diagonal stripes that let a little of the photo through: RGBA (H, W, 4)."""
    y, x = np.ogrid[top : top + hw[0], : hw[1]]
    stripes = np.where((x + y) // 4 % 2 == 0, np.uint8(80), np.uint8(50))
    return np.dstack([stripes] * 3 + [np.full(hw, 215, np.uint8)])
