"""What a notebook shows of a score grid: the heat of one class, and its strongest classes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup
from ..geometry import Geometry
from ..notebook import Picture
from ..text_table import TextTable

# Classes in the table.
STRONGEST = 5
# About the longer side of the picture of the heat.
_PICTURE_PX = 400
# Windows that were not scored.
_GREY = 128


def strongest_table(
    groups: Sequence[ClassGroup],
    maps: npt.NDArray[np.float32],
    geometry: Geometry,
    at: tuple[int, int] = (0, 0),
) -> TextTable:
    """The highest probability of each class, highest first, and the centre of its window.

    Args:
        groups: the classes.
        maps: their probabilities, (N, M, classes); NaN where a window was not scored.
        geometry: where the windows lie.
        at: left and top, px, of the region of the photo that was scored.
    """
    known, rows = np.nan_to_num(maps), []
    for place in np.argsort(-known.max(axis=(0, 1)), kind="stable"):
        group, cells = groups[place], known[:, :, place]
        row, column = np.unravel_index(cells.argmax(), cells.shape)
        across, down = geometry.centre_xy(float(row), float(column))
        where = f"{at[0] + across:.0f}, {at[1] + down:.0f}"
        rows.append((group.name, f"{cells.max():.3f}", where))
    return TextTable(("class", "highest probability", "at, px"), tuple(rows), numbers=(1,))


def heat_picture(cells: npt.NDArray[np.float32], name: str) -> Picture:
    """The probabilities (N, M) of a class, a square for each cell: from 0 to the highest.

    Cells that were not scored (NaN) are grey.
    """
    missing, known = np.isnan(cells), np.nan_to_num(cells)
    highest = float(known.max())
    levels = np.rint(known * (255 / highest if highest else 0)).astype(np.uint8)
    rgb = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[:, :, ::-1].copy()
    rgb[missing] = _GREY
    rows, columns = cells.shape
    factor = _PICTURE_PX / max(rows, columns)
    size = [max(1, round(side * (round(factor) if factor > 1 else factor))) for side in cells.shape]
    how = cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA
    picture = np.asarray(cv2.resize(rgb, (size[1], size[0]), interpolation=how), np.uint8)
    return Picture.of(picture, "png", f"heat of {name}")
