"""Score an extended photo part by part, in bands, within a memory limit.

A *part* is a rectangle of cells that is computed in one pass: the whole grid if possible, strips of
columns where even the lowest band would be too wide, or the rectangles left by skipping. How the
grid is cut does not change the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from ...conversion.layers import MATRIX_PRODUCT_OUTPUTS, SlidingLinear
from ...conversion.network import FullyConvolutional
from ...errors import GeometryError, Use
from ..rectangles import Rectangle
from ..stream import Block
from .plan import BandPlan
from .receptive_field import NotInBands, links_of
from .roller import Roller

# Reads rows starts[i]..starts[i + 1] and a range of columns of a photo, preprocessed.
BandReader = Callable[[Sequence[int], tuple[int, int]], Iterator[Tensor]]

# Preferred pixels and least rows of a band, where memory allows. In larger bands activations leave
# the cache, and VGG16 gets slower (benchmarks/bands.py); in lower ones the rows kept from the band
# before take too large a share, and ResNet50 and MobileNetV2 get slower.
BAND_PX = 2**19
BAND_ROWS = 64
# Photos of up to so many pixels are one band, which saves joining rows and reading weights again
# (benchmarks/bands.py).
ONE_BAND_PX = 2**20 * 5 // 4
LEAST_BAND_PX = 8
# Windows that the head scores at once; fully connected layers read all weights each time.
HEAD_WINDOWS = 1024


@dataclass(frozen=True)
class Part:
    """A rectangle of cells (first row, end row, first column, end column) and its plan."""

    cells: Rectangle
    plan: BandPlan
    band_px: int
    peak_bytes: int

    @property
    def starts(self) -> list[int]:
        return self.plan.starts(self.band_px)


def preferred_band(plan: BandPlan) -> int:
    """The height of bands where memory does not matter, px: all alike, or one for everything."""
    (top, bottom), (left, right) = plan.rows[plan.photo], plan.columns[plan.photo]
    height, width = bottom - top, right - left
    rows = max(BAND_ROWS, BAND_PX / width)
    count = 1 if height * width <= ONE_BAND_PX else math.ceil(height / rows)
    return max(1, math.ceil(height / count / LEAST_BAND_PX)) * LEAST_BAND_PX


class Scanner:
    """Scores extended photos of one size with a network."""

    def __init__(self, network: FullyConvolutional, extended_hw: tuple[int, int]) -> None:
        """Prepare for photos of this extended height and width, px.

        Raises:
            NotInBands: the network needs the whole photo at once.
        """
        if network.statistics == "whole" or network.stitched or network.one_pass:
            raise NotInBands
        self.network = network
        self.k = network.native_stride_px // network.stride_px
        self.links = network.remembered("links", lambda: links_of(network.trunk))
        self.shapes = network.shapes(*extended_hw)
        self.extended_hw = extended_hw

    def parts(self, cells: Rectangle, budget: int) -> tuple[Part, ...]:
        """Cut a rectangle of cells into as few parts as ``budget`` bytes allow.

        Raises:
            GeometryError: not even one column of cells fits; the error says what is needed.
        """
        top, bottom, left, right = cells
        width, smallest = right - left, math.inf
        while True:
            edges = [*range(left, right, width), right]
            strips = [(top, bottom, *pair) for pair in pairwise(edges)]
            # A strip in the middle has a halo on both sides.
            widest = strips[len(strips) // 2]
            plan = self._plan(widest)
            band = self._band(plan, widest, budget)
            if band is not None:
                return tuple(self._part(strip, band) for strip in strips)
            smallest = min(smallest, self._peak_bytes(plan, widest, LEAST_BAND_PX))
            if width == 1:
                raise GeometryError(
                    f"memory is {budget / 1e6:.0f} MB, one column of windows takes "
                    f"{smallest / 1e6:.0f} MB",
                    Use("memory", math.ceil(smallest / 1e6) * 10**6),
                )
            width = -(-width // 2)

    def _band(self, plan: BandPlan, cells: Rectangle, budget: int) -> int | None:
        """The band height for a rectangle, px: preferred or largest that fits; or None."""
        band = preferred_band(plan)
        while band >= LEAST_BAND_PX:
            if self._peak_bytes(plan, cells, band) <= budget:
                return band
            band = band // 2 // LEAST_BAND_PX * LEAST_BAND_PX
        return None

    def _plan(self, cells: Rectangle) -> BandPlan:
        top, bottom, left, right = cells
        down, across = ((side - 1) * self.k for side in self.network.map_hw)
        rows, columns = (top, bottom + down), (left, right + across)
        return self.network.remembered(
            (self.extended_hw, rows, columns),
            lambda: BandPlan.of(self.links, self.shapes, rows, columns),
        )

    def _part(self, cells: Rectangle, band_px: int) -> Part:
        plan = self._plan(cells)
        return Part(cells, plan, band_px, self._peak_bytes(plan, cells, band_px))

    def _peak_bytes(self, plan: BandPlan, cells: Rectangle, band_px: int) -> int:
        return self.network.remembered(
            (self.extended_hw, cells, band_px),
            lambda: self._trunk_bytes(plan, band_px) + self._head_bytes(plan, cells[3] - cells[2]),
        )

    def _trunk_bytes(self, plan: BandPlan, band_px: int) -> int:
        starts, row_bytes = plan.starts(band_px), self._row_bytes(plan)
        trunk = plan.peak_bytes(starts, row_bytes)
        # What runs the whole photo at once holds on to it.
        held = starts[1] * row_bytes[plan.photo] if len(starts) == 2 else 0
        return math.ceil(trunk + held)

    def _row_bytes(self, plan: BandPlan) -> dict[fx.Node, float]:
        """Bytes of one row of each tensor over the columns of a plan, in float32."""
        row_bytes: dict[fx.Node, float] = {}
        for link in self.links:
            shape = self.shapes.get(link.node, ())
            first, end = plan.columns[link.node]
            share = (end - first) / max(1, plan.column_lengths[link.node])
            rows = plan.row_lengths[link.node]
            row_bytes[link.node] = 4 * math.prod(shape) / max(1, rows) * share if shape else 0.0
        # The photo also exists twice as bytes: this band, and the next one read ahead.
        row_bytes[plan.photo] *= 1.5
        return row_bytes

    def _head_bytes(self, plan: BandPlan, width: int) -> int:
        """Estimated bytes of the head: the feature rows collected for it, and its activations."""
        n = self.network.map_hw[0]
        rows = max(self.k, -(-HEAD_WINDOWS // width))
        channels = self.shapes[plan.feature][1]
        first, end = plan.columns[plan.feature]
        waiting = 2 * (rows + (n - 1) * self.k) * (end - first) * channels
        layers = [part for part in self.network.head.modules() if isinstance(part, SlidingLinear)]
        widest = max([channels, *(layer.out_channels for layer in layers)])
        # A matrix product copies the slices of a kernel larger than one position.
        slices = [
            math.prod(layer.weight.shape[1:]) for layer in layers if layer.kernel_size != (1, 1)
        ]
        copied = min(rows * width, MATRIX_PRODUCT_OUTPUTS) * max(slices, default=0)
        # Of positions in the window around them there are two of each tensor.
        tensors = 1 if self.network.around is None else 2
        values = rows * width * (2 * widest + self.network.classes) * tensors
        return 4 * (waiting + copied + values)

    @torch.inference_mode()
    def scan(self, part: Part, rows: BandReader) -> Iterator[Block]:
        """Score the cells of a part, top to bottom.

        Args:
            part: a part from :meth:`parts`.
            rows: reads the extended photo in bands; called once.

        Yields:
            (row, column, scores): float32 scores (n, m, K) of a block whose first cell is
            (row, column).
        """
        top, bottom, left, _ = part.cells
        # Feature rows that a row of windows reads in addition to its first.
        further = (self.network.map_hw[0] - 1) * self.k
        waiting: Tensor | None = None
        for fresh in self._features(part, rows):
            waiting = fresh if waiting is None else torch.cat([waiting, fresh], dim=2)
            del fresh
            while take := self._ready(waiting, bottom - top):
                yield top, left, self._scores(waiting[:, :, : take + further])
                top, waiting = top + take, waiting[:, :, take:].clone()

    def _features(self, part: Part, rows: BandReader) -> Iterator[Tensor]:
        """Rows of the feature map, from top to bottom, in as many bands as the part has."""
        plan = part.plan
        bands = rows(part.starts, plan.columns[plan.photo])
        if self._in_one_pass(part):
            down, across = (ranges[plan.feature][1] for ranges in (plan.rows, plan.columns))
            # Not bound to a name, which would keep the photo alive.
            yield self.network.fast_trunk(next(bands))[:, :, :down, :across]
        else:
            roller = Roller(self.network.trunk, plan, self.network.prepared)
            yield from roller.roll(bands, part.starts)

    def _in_one_pass(self, part: Part) -> bool:
        """Whether a part is one band of the whole photo and needs all of its feature map."""
        plan = part.plan
        height, width = self.shapes[plan.photo][2:]
        return (
            part.starts == [0, height]
            and plan.columns[plan.photo] == (0, width)
            and plan.rows[plan.feature][0] == plan.columns[plan.feature][0] == 0
        )

    def _ready(self, features: Tensor, left: int) -> int:
        """How many rows of windows to score now: a full block, the last rows, or none yet."""
        rows, columns = (
            length - (side - 1) * self.k
            for length, side in zip(features.shape[2:], self.network.map_hw, strict=True)
        )
        # Whole phases, and no more than the memory was planned for.
        most = max(self.k, HEAD_WINDOWS // columns // self.k * self.k)
        if rows >= left:
            return min(left, most)
        return most if rows >= most else 0

    def _scores(self, features: Tensor) -> npt.NDArray[np.float32]:
        scores = self.network.head(features)[0].permute(1, 2, 0)
        return np.ascontiguousarray(scores.float().cpu().numpy())
