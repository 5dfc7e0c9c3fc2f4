"""One pass over a photo in ONNX Runtime: sliding over all of it at once, or cropping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Geometry
from ..grid.origin import Computation
from ..photo.extended import ExtendedRows
from ..prepared.network import PreparedNetwork
from ..threads import thread_count
from .cells import CROP_BATCH, all_cells, cut
from .stream import Block, Check, ScoreStream


@dataclass(frozen=True)
class PreparedPass:
    """The scoring of one photo with a prepared network, as :class:`photo_pass.PhotoPass` is one.

    Attributes:
        network: the prepared network.
        extended: the photo, resized and extended for ``geometry``.
        geometry: the grid of windows, or of single positions.
        positions: whether cells are single positions.
        wanted: which cells to score, bool (N, M); None is all.
    """

    network: PreparedNetwork
    extended: ExtendedRows
    geometry: Geometry
    positions: bool = False
    wanted: npt.NDArray[np.bool_] | None = None

    @property
    def needed(self) -> int:
        """Bytes that it takes."""
        hw = self.geometry.extended_hw
        if self.network.form == "slide":
            return self.network.peak.bytes((1, *hw))
        window = self.geometry.window_px
        return self.network.peak.bytes((CROP_BATCH, window, window)) + 3 * math.prod(hw)

    def start(self) -> ScoreStream:
        """Plan the pass; blocks are computed on demand.

        Cells that are not wanted are NaN. Iterating over the blocks raises a ModelError as
        :meth:`stream.Check.checked`.
        """
        cropped = self.network.form == "crop"
        computation = Computation(
            threads=thread_count(), batch=CROP_BATCH if cropped else None, backend="onnx"
        )
        blocks = self._cropped() if cropped else self._slid()
        check = Check(self.network.facts.outputs, computation.dtype, self.wanted)
        return ScoreStream(computation, check.checked(blocks))

    def _photo(self) -> npt.NDArray[np.uint8]:
        height, width = self.geometry.extended_hw
        (photo,) = self.extended.strips((0, height), (0, width))
        return photo

    def _slid(self) -> Iterator[Block]:
        run = self.network.positions if self.positions else self.network.scores
        yield 0, 0, run(self._photo(), thread_count())

    def _cropped(self) -> Iterator[Block]:
        photo, cells = self._photo(), all_cells(self.geometry)
        if self.wanted is not None:
            cells = [cell for cell in cells if self.wanted[cell]]
        for start in range(0, len(cells), CROP_BATCH):
            batch = cells[start : start + CROP_BATCH]
            scores, _ = self.network.crops(cut(photo, self.geometry, batch), thread_count())
            for (row, column), of_window in zip(batch, scores, strict=True):
                yield row, column, of_window[None, None]
