"""One pass over a photo: sliding in bands, sliding over the whole photo at once, or cropping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..conversion.network import FullyConvolutional
from ..geometry import Geometry
from ..grid.origin import Computation
from ..memory import bounded_growth
from ..networks.classifier import Classifier
from ..networks.tensors import photo_tensor
from ..photo.extended import ExtendedRows
from ..threads import thread_count
from .bands.receptive_field import NotInBands
from .bands.scanner import Part, Scanner
from .cells import CROP_BATCH, all_cells
from .crop import crop_scores
from .device import Compute
from .rectangles import rectangles
from .stream import Block, Check, ScoreStream, too_large


@dataclass(frozen=True)
class PhotoPass:
    """The scoring of one photo.

    Attributes:
        classifier: the original classifier.
        network: its converted form; None crops every window.
        compute: device and number format.
        extended: the photo, resized and extended for ``geometry``.
        geometry: the grid of windows.
        memory: bytes that may be used.
        wanted: which cells to score, bool (N, M); None is all.
    """

    classifier: Classifier
    network: FullyConvolutional | None
    compute: Compute
    extended: ExtendedRows
    geometry: Geometry
    memory: int
    wanted: npt.NDArray[np.bool_] | None = None

    def start(self) -> ScoreStream:
        """Plan the pass; blocks are computed on demand.

        Cells that are not wanted are NaN. Iterating over the blocks raises a ModelError if the
        scores are not finite, or are no probabilities where the classifier says so.

        Raises:
            GeometryError: the memory is not enough.
        """
        stream = self._cropped() if self.network is None else self._slid(self.network)
        check = Check(self.classifier.outputs, self.compute.dtype, self.wanted)
        return ScoreStream(stream.computation, check.checked(self.compute.each(stream.blocks)))

    def computed(self, **cuts: Any) -> Computation:
        """How this pass is computed; ``cuts`` are the fields of Computation on how it is cut."""
        return Computation(self.compute.device, self.compute.dtype, thread_count(), **cuts)

    def _slid(self, network: FullyConvolutional) -> ScoreStream:
        """Slide in bands, part by part."""
        try:
            scanner = Scanner(network, self.geometry.extended_hw)
        except NotInBands:
            return self._in_one(network)
        parts = self._parts(scanner)
        band_px = max((part.band_px for part in parts), default=0)
        blocks = (block for part in parts for block in scanner.scan(part, self._rows))
        return ScoreStream(self.computed(parts=len(parts), band_px=band_px), blocks)

    def _parts(self, scanner: Scanner) -> list[Part]:
        rows, columns = self.geometry.grid_hw
        if self.wanted is None:
            return list(scanner.parts((0, rows, 0, columns), self.memory))
        halo = scanner.network.window_receptive_field_px / self.geometry.stride_px - 1
        return [
            part
            for cells in rectangles(self.wanted, (halo, halo))
            for part in scanner.parts(cells, self.memory)
        ]

    def _rows(self, starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Tensor]:
        own, check = self.classifier.preprocessing, bounded_growth(self.memory)
        for strip in self.extended.strips(starts, columns):
            yield self.compute.tensor(photo_tensor(strip, own))
            check()

    def _in_one(self, network: FullyConvolutional) -> ScoreStream:
        """Slide over the whole photo at once, for networks that need that."""
        height, width = self.geometry.extended_hw
        self._check_memory(network.peak_bytes(height, width), "in one pass")
        # Other workers write the other rows of a large photo.
        rows = list(range(self.geometry.grid_hw[0]))
        if self.wanted is not None:
            rows = [row for row in rows if self.wanted[row].any()]
        first, end = (rows[0], rows[-1] + 1) if rows else (0, 0)

        def blocks() -> Iterator[Block]:
            (photo,) = self._rows((0, height), (0, width))
            with torch.inference_mode():
                scores = network(photo)[0].permute(1, 2, 0)[first:end]
            yield first, 0, np.ascontiguousarray(scores.float().cpu().numpy())

        return ScoreStream(self.computed(), blocks())

    def _cropped(self) -> ScoreStream:
        """Crop window by window, with the whole photo in memory."""
        height, width = self.geometry.extended_hw
        self._check_memory(3 * height * width, "as pixels")
        cells = all_cells(self.geometry)
        if self.wanted is not None:
            cells = [cell for cell in cells if self.wanted[cell]]

        def blocks() -> Iterator[Block]:
            (extended,) = self.extended.strips((0, height), (0, width))
            crops = crop_scores(self.classifier, extended, self.geometry, cells, self.compute)
            for start, scores in zip(range(0, len(cells), CROP_BATCH), crops, strict=True):
                batch = cells[start : start + CROP_BATCH]
                for (row, column), of_window in zip(batch, scores, strict=True):
                    yield row, column, of_window[None, None]

        return ScoreStream(self.computed(batch=CROP_BATCH), blocks())

    def _check_memory(self, needed: int, how: str) -> None:
        """Refuse what does not fit, instead of letting the machine swap."""
        if needed > self.memory:
            raise too_large(self.geometry, needed, self.memory, how)
