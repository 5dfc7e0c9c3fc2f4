"""Box regression: where the edges of an object lie, from the features of a crop around it.

R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic
segmentation", CVPR 2014, appendix C; here one regression for all classes, of the four edges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ModelError
from ..geometry import Box

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BoxRegression:
    """Four linear functions of a crop's feature map: the edges of the object in the crop.

    Left and right are functions of what each column of the map (C, n, n) is on average, top and
    bottom of what each row is: see :func:`profiles_of`. Edges are fractions of the crop's width or
    height, from its left or top; an object that extends beyond the crop has some below 0 or above
    1. :func:`heatmap.train` fits one where it is given boxes.

    Attributes:
        weights: float32 (4, C * n), for left, top, right and bottom.
        biases: float32 (4,).
        examples: number of crops that it was fitted to.

    Raises:
        ModelError: weights or biases of another shape, or not finite.
    """

    weights: Floats
    biases: Floats
    examples: int

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or len(self.weights) != 4 or self.biases.shape != (4,):
            raise ModelError(
                f"box regression: weights {self.weights.shape}, biases {self.biases.shape}: "
                "it has four edges"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.biases).all()):
            raise ModelError("box regression: its weights are not all finite")

    @property
    def digest(self) -> str:
        """SHA-256 of its weights and biases: 64 hex digits."""
        return hashlib.sha256(self.weights.tobytes() + self.biases.tobytes()).hexdigest()

    def refined(
        self, profiles: Floats, crops_xyxy: Sequence[Box], photo_hw: tuple[int, int]
    ) -> list[Box]:
        """The boxes of the objects in some crops, photo px.

        Args:
            profiles: of each crop's feature map, float32 (B, 2, C * n).
            crops_xyxy: the B crops, photo px.
            photo_hw: height and width of the photo, px, at least 1 each.

        Returns:
            B boxes, clipped to the photo, at least 1 px wide and high.

        Raises:
            ModelError: the feature maps are of another size than those it was fitted to.
        """
        if profiles.shape[2] != self.weights.shape[1]:
            raise ModelError(
                f"box regression takes {self.weights.shape[1]} features a row or column, the "
                f"network gives {profiles.shape[2]}"
            )
        crops = np.asarray(crops_xyxy, np.float64).reshape(-1, 4)
        sides = np.tile(crops[:, 2:] - crops[:, :2], 2)
        edges = np.tile(crops[:, :2], 2) + self.fractions(profiles) * sides
        size = np.array(photo_hw[::-1], np.float64)
        starts = edges[:, :2].clip(0, size - 1)
        ends = np.minimum(np.maximum(edges[:, 2:], starts + 1), size)
        return [(a, b, c, d) for a, b, c, d in np.hstack([starts, ends]).tolist()]

    def fractions(self, profiles: Floats) -> npt.NDArray[np.float64]:
        """Left, top, right and bottom (B, 4) in fractions of each crop's sides."""
        # Of columns for left and right, of rows for top and bottom.
        products = [profiles[:, edge % 2] @ self.weights[edge] for edge in range(4)]
        return np.stack(products, axis=1).astype(np.float64) + self.biases


def profiles_of(features: Floats) -> Floats:
    """Means over the columns and over the rows of feature maps: (B, C, n, n) -> (B, 2, C * n).

    A mean over a column says what stands there, wherever it is in height, which is what left and
    right edges depend on; and it takes n times fewer weights than the whole map.

    >>> maps = np.float32([[[[1, 3], [5, 7]]]])
    >>> profiles_of(maps).tolist()
    [[[3.0, 5.0], [2.0, 6.0]]]
    """
    count = len(features)
    means = [features.mean(axis).reshape(count, -1) for axis in (2, 3)]
    return np.stack(means, axis=1)
