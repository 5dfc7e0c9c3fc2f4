"""Paint the heatmap of a class over rows of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ..choices import COLORMAPS, Colormap
from ..classes import Wanted
from ..errors import ResultError
from ..geometry import Geometry
from ..grid.position_scores import Cells
from ..grid.score_grid import ScoreGrid
from ..grid.upsample import nearest, upsample

# RGB or RGBA uint8 (H, W, channels); levels (H, W).
Image = npt.NDArray[np.uint8]

# Opacity of the highest score.
ALPHA = 0.7
# The longest side of a JPEG, by libjpeg.
JPEG_MOST_PX = 65_500
# Rows painted at a time: heatmap and levels take several times the photo's memory.
STRIP_PX = 256
# Probabilities at which colours may end, where they follow what is shown.
_ENDS = (0.1, 0.2, 0.5, 1.0)
# Pixels blended at a time: their 16-bit values stay in the processor's cache.
_BLOCK_PX = 1 << 17
# Perceptually uniform: equal steps of the score look equal. On photos its yellow end is distinct
# from skin and sky, whereas magma's fades into white.
_COLORMAP: Colormap = "inferno"


def colour_table(alpha: float, colormap: Colormap | None = None, strength: float = 1.0) -> Image:
    """RGBA of the 256 score levels, (256, 4), with opacity from 0 to ``alpha``.

    Args:
        alpha: opacity of the highest level, 0..1.
        colormap: one of OpenCV's; None is inferno.
        strength: 0..1, makes all levels fainter.

    Raises:
        ResultError: ``alpha`` is outside 0..1, or a colormap that there is not.
    """
    check_colours(alpha, None, colormap)
    number = getattr(cv2, f"COLORMAP_{(colormap or _COLORMAP).upper()}")
    levels = np.arange(256, dtype=np.uint8)[:, None]
    colours: Image = np.asarray(cv2.applyColorMap(levels, number)[:, 0, ::-1], np.uint8)
    return with_opacity(colours, alpha, strength)


def with_opacity(colours: Image, alpha: float, strength: float = 1.0) -> Image:
    """RGBA of the 256 levels, (256, 4), of their colours, (256, 3); as :func:`colour_table`."""
    rising = np.rint(strength * opacities(alpha))
    return np.hstack([colours, rising[:, None]]).astype(np.uint8)


def opacities(alpha: float) -> Image:
    """The opacity of the 256 score levels, uint8 (256,), 255 for 1, from 0 to ``alpha``.

    It first rises twice as fast as the score and then levels off, so that a score of 0.3 is
    clearly visible, and scores near 0 are not.

    Raises:
        ResultError: ``alpha`` is outside 0..1.
    """
    check_colours(alpha, None)
    shares = np.arange(256) / 255
    return np.rint((1 - (1 - shares) ** 2) * 255 * alpha).astype(np.uint8)


def range_of(highest: float) -> tuple[float, float]:
    """The range of colours for maps that reach a probability: 0 to 0.1, 0.2, 0.5 or 1.

    Few ends, so that most pictures can be compared and the legend has a round number.

    >>> range_of(0.34), range_of(0.5), range_of(0)
    ((0.0, 0.5), (0.0, 0.5), (0.0, 0.1))
    """
    return 0.0, next((end for end in _ENDS if highest <= end), 1.0)


def chosen_range(cells: Cells, color_range: tuple[float, float] | None) -> tuple[float, float]:
    """The range of probabilities that colours cover: the given one, or that of the cells.

    Args:
        cells: probabilities of any shape, NaN where a window was not scored.
        color_range: lowest and highest probability, or None for :func:`range_of` of the cells.

    Raises:
        ResultError: a range outside 0..1, or whose low end is not below its high end.
    """
    if color_range is None:
        return range_of(float(np.nanmax(cells, initial=0)))
    check_colours(ALPHA, color_range)
    return float(color_range[0]), float(color_range[1])


def check_colours(
    alpha: float, color_range: tuple[float, float] | None, colormap: Colormap | None = None
) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ResultError: an alpha outside 0..1, a range outside 0..1, or one whose low end is not
            below its high end, or a colormap that there is not.
    """
    if not 0 <= alpha <= 1:
        raise ResultError(f"alpha is {alpha:g}: it must be within 0..1")
    if colormap is not None and colormap not in COLORMAPS:
        raise ResultError(f"no colormap {colormap!r}: give one of {', '.join(COLORMAPS)}")
    if color_range is None:
        return
    low, high = color_range
    if not 0 <= low < high <= 1:
        raise ResultError(
            f"colours from {low:g} to {high:g}: give two probabilities within 0..1, the lower first"
        )


def to_levels(values: npt.NDArray[np.float32], low: float, high: float) -> Image:
    """Values as levels 0..255 of the range ``low`` to ``high``; all 0 where the range is empty."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    share = np.asarray(values - low)
    share /= high - low
    np.clip(share, 0, 1, out=share)
    share *= 255
    return np.asarray(np.rint(share, out=share), dtype=np.uint8)


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
    def of(
        cls,
        grid: ScoreGrid,
        wanted: Wanted,
        *,
        alpha: float,
        color_range: tuple[float, float] | None = None,
        colormap: Colormap | None = None,
    ) -> Painter:
        """A painter for one class or group; ``color_range`` as :func:`chosen_range` takes it.

        Raises:
            ClassError: an unknown class.
            ResultError: as :func:`check_colours`.
        """
        table, cells = colour_table(alpha, colormap), grid.class_map(wanted)
        return cls(cells, grid.geometry, table, *chosen_range(cells, color_range))

    @cached_property
    def missing(self) -> int:
        """The number of windows that were not scored."""
        return int(np.isnan(self.cells).sum())

    def paint(self, photo: Image, top: int = 0) -> Image:
        """Paint photo rows, uint8 (n, W, 3), that begin at row ``top``; returns a new array."""
        rows = (top, top + len(photo))
        heat = heat_rows(self.cells, self.geometry, rows)
        painted = paint(photo, to_levels(heat, self.low, self.high), self.table)
        if self.missing:
            unknown = np.isnan(nearest(self.cells, self.geometry, rows))
            painted[unknown] = blend(photo, hatching(unknown.shape, top))[unknown]
        return painted


def heat_rows(cells: Cells, geometry: Geometry, rows: tuple[int, int]) -> Cells:
    """Rows (first, end) of a heatmap, float32 (n, W); what was not scored counts as 0."""
    return upsample(np.nan_to_num(cells, nan=0.0), geometry, rows)


def paint(photo: Image, levels: Image, table: Image) -> Image:
    """Blend the colours of ``levels`` (H, W) over a photo (H, W, 3) into a new RGB array."""
    painted = photo.copy()
    paint_into(painted, levels, table)
    return painted


def paint_into(painted: Image, levels: Image, table: Image) -> None:
    """Blend the colours of ``levels`` (H, W) over a picture (H, W, 3), in place."""
    # If the lowest level is transparent, only the bounding box of the others is blended.
    height, width = levels.shape
    left, first, wide, high = (0, 0, width, height) if table[0, 3] else cv2.boundingRect(levels)
    kept, alpha = 255 - table[:, 3], table[:, 3:].astype(np.uint16)
    added = np.ascontiguousarray((table[:, :3] * alpha + np.uint16(127)).T)
    rows = max(1, _BLOCK_PX // width)
    for top in range(first, first + high, rows):
        block = slice(top, min(top + rows, first + high)), slice(left, left + wide)
        level = levels[block]
        # Rounded integer arithmetic: the result of blend() in a tenth of the time.
        keep = cv2.cvtColor(cv2.LUT(level, kept), cv2.COLOR_GRAY2RGB)
        values: npt.NDArray[np.uint16] = np.asarray(
            cv2.merge([cv2.LUT(level, colour) for colour in added]), np.uint16
        )
        values += np.multiply(painted[block], keep, dtype=np.uint16)
        values //= 255
        painted[block] = values


def blend(background: Image, rgba: Image) -> Image:
    """Blend RGBA (..., 4) over RGB (..., 3)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(background * (1 - alpha) + rgba[..., :3] * alpha), dtype=np.uint8)


def hatching(hw: tuple[int, int], top: int = 0) -> Image:
    """Grey diagonal stripes that let a little of the photo through: RGBA (H, W, 4)."""
    y, x = np.ogrid[top : top + hw[0], : hw[1]]
    stripes = np.where((x + y) // 4 % 2 == 0, np.uint8(80), np.uint8(50))
    return np.dstack([stripes] * 3 + [np.full(hw, 215, np.uint8)])
