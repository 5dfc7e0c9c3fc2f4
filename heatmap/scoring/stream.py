"""Scores as they are computed, block by block, and what must be true of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GeometryError, ModelError, Use
from ..geometry import Geometry, size_text
from ..grid.origin import Computation
from ..grid.outputs import LOGITS_WAYS, Outputs, outside

# Row and column of the first cell, and scores (n, m, K).
Block: TypeAlias = tuple[int, int, npt.NDArray[np.float32]]


class ScoreStream(NamedTuple):
    """Blocks of scores, computed on demand, and how they are computed."""

    computation: Computation
    blocks: Iterator[Block]


class Pass(Protocol):
    """The scoring of one photo, in torch or in ONNX Runtime."""

    @property
    def geometry(self) -> Geometry:
        """The grid of windows, or of single positions."""

    @property
    def wanted(self) -> npt.NDArray[np.bool_] | None:
        """Which cells to score, bool (N, M); None is all."""

    def start(self) -> ScoreStream:
        """Plan the pass; blocks are computed on demand."""


# A function that has a pass computed elsewhere; its second argument says whether cells are
# single positions.
Spread: TypeAlias = Callable[[Any, bool], ScoreStream]


def too_large(geometry: Geometry, needed: int, memory: int, how: str) -> GeometryError:
    """The error for a photo that does not fit, instead of letting the machine swap.

    Args:
        geometry: of the photo.
        needed, memory: bytes that it takes, and that may be used.
        how: how it would be scored.
    """
    fitting = (memory / needed) ** 0.5 * min(geometry.scale_yx)
    return GeometryError(
        f"photo is {size_text(geometry.extended_hw)} as scored and needs {needed / 1e9:.1f} GB "
        f"{how}, {memory / 1e9:.1f} GB may be used",
        Use("scale", float(f"{fitting * 0.95:.2g}")),
    )


@dataclass(frozen=True)
class Check:
    """Refuses scores that cannot be right, and leaves out cells that were not asked for.

    Attributes:
        outputs: what the scores are taken for.
        dtype: number format of the activations.
        wanted: which cells were asked for, bool (N, M); None is all.
    """

    outputs: Outputs
    dtype: str
    wanted: npt.NDArray[np.bool_] | None

    def checked(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks, in which cells that are not wanted are NaN.

        Raises:
            ModelError: scores are not finite, or no probabilities although they were taken for
                some.
        """
        for row, column, scores in blocks:
            self._check_finite(scores)
            self._check_range(scores)
            if self.wanted is not None:
                n, m = scores.shape[:2]
                scores[~self.wanted[row : row + n, column : column + m]] = np.nan
            yield row, column, scores

    def _check_finite(self, scores: npt.NDArray[np.float32]) -> None:
        """Refuse overflow, which would otherwise look like windows that were not scored."""
        if not np.isfinite(scores).all():
            raise ModelError(
                f"the network gives scores that are not finite in {self.dtype}",
                Use("dtype", "float32"),
                Use("weights", text="check the {}"),
            )

    def _check_range(self, scores: npt.NDArray[np.float32]) -> None:
        """Refuse scores that are no probabilities, although they were taken for some."""
        if outside(scores, self.outputs):
            raise ModelError(
                f"the network's outputs were taken for {self.outputs}, here they are "
                f"{scores.min():.3g} to {scores.max():.3g}",
                *LOGITS_WAYS,
            )
