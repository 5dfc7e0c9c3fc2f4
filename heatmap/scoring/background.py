"""What the user leaves out of a photo: flat background, and all that a mask does not show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from ..photo.photo import Photo
from ..photo.photo_file import PhotoFile, open_photo
from .skip import cells_to_score, flat_blocks, mask_blocks

# Side of the blocks that are judged, px: near the native stride of most networks.
BLOCK_PX = 32


@dataclass(frozen=True)
class Skip:
    """What to leave out.

    ``flat`` leaves out windows that hold nothing but flat background (skipping.py says
    how flat); ``mask`` those that hold nothing of what is not black in a mask: a path or
    an RGB uint8 array of the photo's proportions.
    """

    flat: bool = False
    mask: str | Path | npt.NDArray[np.uint8] | None = None

    def wanted(self, photo: Photo | PhotoFile, geometry: Geometry) -> npt.NDArray[np.bool_]:
        """Which cells are left to score: (N, M).

        Raises:
            PhotoError, GeometryError: a mask that cannot be read or does not fit.
        """
        height, width = photo.hw
        busy = np.ones((-(-height // BLOCK_PX), -(-width // BLOCK_PX)), bool)
        if self.mask is not None:
            busy &= mask_blocks(open_photo(self.mask), photo.hw, BLOCK_PX)
        if self.flat:
            busy &= ~flat_blocks(photo.strips(), BLOCK_PX)
        return cells_to_score(busy, geometry, BLOCK_PX)
