"""One photo through a scorer: sliding in bands, in one pass, or crop by crop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..conversion.network import FullyConvolutional
from ..errors import GeometryError, ModelError
from ..geometry import Geometry
from ..networks.classifier import Classifier
from ..photo.extended import PlacedRows
from .bands.receptive_field import NotInBands
from .bands.scanner import Block, Part, Scanner
from .crop import BATCH, all_cells, crop_scores
from .device import Compute
from .rectangles import rectangles


class PhotoPass:
    """One photo on its way to scores: blocks of them, and how they were made.

    ``network`` slides; without one every window is cropped. ``memory`` bytes may be used;
    ``wanted`` cells (N, M) are scored, None is all.
    """

    def __init__(
        self,
        classifier: Classifier,
        network: FullyConvolutional | None,
        compute: Compute,
        placed: PlacedRows,
        geometry: Geometry,
        memory: int,
        wanted: npt.NDArray[np.bool_] | None,
    ) -> None:
        self.classifier, self.network, self.compute = classifier, network, compute
        self.placed, self.geometry = placed, geometry
        self.memory, self.wanted = memory, wanted
        # Fields of the grid's Computation.
        self.settings: dict[str, Any] = {"device": compute.device, "dtype": compute.dtype}

    def blocks(self) -> Iterator[Block]:
        """All blocks; cells that are not wanted are NaN."""
        made = self._cropped() if self.network is None else self._slid(self.network)
        for row, column, scores in made:
            self._check_finite(scores)
            if self.wanted is not None:
                n, m = scores.shape[:2]
                scores[~self.wanted[row : row + n, column : column + m]] = np.nan
            yield row, column, scores

    def _check_finite(self, scores: npt.NDArray[np.float32]) -> None:
        """Overflow must not pass for windows that were not scored."""
        if not np.isfinite(scores).all():
            raise ModelError(
                f"the network gives scores that are not finite in {self.compute.dtype}: "
                "use --dtype float32, or look at the weights"
            )

    def _slid(self, network: FullyConvolutional) -> Iterator[Block]:
        try:
            scanner = Scanner(network, self.geometry.extended_hw)
        except NotInBands:
            yield from self._one_pass(network)
            return
        parts = self._parts(scanner)
        self.settings |= {
            "parts": len(parts),
            "band_px": max((p.band_px for p in parts), default=0),
        }
        for part in parts:
            yield from scanner.scan(part, self._rows)

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
        tensor = self.classifier.preprocessing.tensor
        for strip in self.placed.strips(starts, columns):
            yield self.compute.tensor(tensor(strip))

    def _one_pass(self, network: FullyConvolutional) -> Iterator[Block]:
        """For networks that must see all of the photo at once."""
        height, width = self.geometry.extended_hw
        self._check_memory(network.peak_bytes(height, width), "in one pass")
        (photo,) = self._rows((0, height), (0, width))
        with torch.inference_mode():
            scores = network(photo)[0].permute(1, 2, 0)
        yield 0, 0, np.ascontiguousarray(scores.float().cpu().numpy())

    def _cropped(self) -> Iterator[Block]:
        """Window by window, the photo whole in memory."""
        height, width = self.geometry.extended_hw
        self._check_memory(3 * height * width, "as pixels")
        self.settings["batch"] = BATCH
        (placed,) = self.placed.strips((0, height), (0, width))
        cells = all_cells(self.geometry)
        if self.wanted is not None:
            cells = [cell for cell in cells if self.wanted[cell]]
        crops = crop_scores(self.classifier, placed, self.geometry, cells, self.compute)
        for start, scores in zip(range(0, len(cells), BATCH), crops, strict=True):
            for (row, column), one in zip(cells[start : start + BATCH], scores, strict=True):
                yield row, column, one[None, None]

    def _check_memory(self, needed: int, how: str) -> None:
        """Refuse what does not fit rather than let the machine swap."""
        if needed > self.memory:
            height, width = self.geometry.extended_hw
            fitting = (self.memory / needed) ** 0.5 * min(self.geometry.scale_yx)
            raise GeometryError(
                f"photo is {height} x {width} px as scored and needs {needed / 1e9:.1f} GB {how}, "
                f"{self.memory / 1e9:.1f} GB may be used: use --scale {fitting * 0.95:.2g}"
            )
