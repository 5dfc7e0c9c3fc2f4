"""Statistics over a box of positions around each position, instead of over the whole map.

Published for networks that restore images as the test-time local converter (X. Chu et al.,
"Improving Image Restoration by Revisiting Global Information Aggregation", ECCV 2022, arXiv
2112.04491). A box is taken along columns, then along rows (:class:`BoxSide`). Of ``count``
positions along an axis, boxes of 1, 2, 4, ... are combined to larger ones, in log2(count) steps.
Unlike running sums this needs no float64, works alike for sums, maxima and variances, and a box has
the same bits wherever a band begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from .box import Box

# A map is worked on in pieces of so many values, which the processor's cache holds.
_PIECE_VALUES = 2**17
# The order of axes of a map (B, C, h, w) in a statistic.
MAP = (0, 2, 3, 1)


@dataclass(frozen=True)
class Statistic:
    """What is computed of the values in a box.

    Attributes:
        kind: "mean", "sum", "amax", "amin", "logsumexp", "norm", "var", "std", "moments" (means
            and biased variances, one after the other along the channels), or "ties" (maxima, and
            how many values are as large).
        order: axes of the source in the order batch, rows, columns, kept ones, reduced channels.
        kept: number of values left at each position, K.
        reduced: number of channels that each is also computed over, R.
        power: the norm's, p.
        correction: what the number of values is less by in a variance.
        elements: number of values in a box.
    """

    kind: str
    order: tuple[int, ...]
    kept: int
    reduced: int
    power: float = 2.0
    correction: float = 0.0
    elements: int = 1

    @property
    def given(self) -> int:
        """Number of values that come out at each position."""
        return 2 * self.kept if self.kind in ("moments", "ties") else self.kept

    def values(self, source: Tensor) -> Tensor:
        """The source, of any order of axes, as (B, h, w, K * R)."""
        moved = source.permute(self.order)
        return moved.reshape(*moved.shape[:3], self.kept * self.reduced)

    def of_position(self, maps: Tensor) -> Tensor:
        """The statistic of each single position: (B, h, w, K * R) -> (B, h, w, K or 2 K)."""
        if self.kind == "norm":
            maps = maps.square() if self.power == 2 else maps.abs()
            maps = maps.pow(self.power) if self._roots and self.power != 2 else maps
        if self.reduced > 1:
            maps = maps.reshape(*maps.shape[:3], self.kept, self.reduced)
        if self.kind == "ties":
            return torch.cat([maps, torch.ones_like(maps)], -1)
        if self._joins == "moments":
            if self.reduced == 1:
                return torch.cat([maps, torch.zeros_like(maps)], -1)
            spread, mean = torch.var_mean(maps, -1, correction=0)
            return torch.cat([mean, spread], -1)
        if self.reduced == 1:
            return maps
        if self.kind == "mean":
            return maps.mean(-1)
        if self.kind == "logsumexp":
            return maps.logsumexp(-1)
        if self._joins == "sum":
            return maps.sum(-1)
        return maps.amax(-1) if self._joins == "max" else maps.amin(-1)

    @property
    def _roots(self) -> bool:
        """Whether it is a norm of powers, of whose sum the root is taken."""
        return self.kind == "norm" and self.power not in (1.0, inf, -inf)

    @property
    def _joins(self) -> str:
        """How two boxes are joined: "sum", "max", "min", "logsumexp", "moments" or "ties"."""
        if self.kind in ("amax", "amin"):
            return self.kind[1:]
        if self.kind == "norm" and self.power in (inf, -inf):
            return "max" if self.power > 0 else "min"
        if self.kind in ("moments", "var", "std"):
            return "moments"
        return self.kind if self.kind in ("logsumexp", "ties") else "sum"

    @property
    def overlaps(self) -> bool:
        """Whether values may be counted twice."""
        return self._joins in ("max", "min")

    def joined(self, first: Tensor, second: Tensor, share: float) -> Tensor:
        """Two boxes as one; ``share`` is how much of it the second is."""
        joins = self._joins
        if joins == "sum":
            return first + second
        if joins == "moments":
            (mean, spread), (mean2, spread2) = first.chunk(2, -1), second.chunk(2, -1)
            apart = mean2 - mean
            both = torch.lerp(spread, spread2, share) + share * (1 - share) * apart.square()
            return torch.cat([mean + share * apart, both], -1)
        if joins == "ties":
            (most, count), (most2, count2) = first.chunk(2, -1), second.chunk(2, -1)
            largest = torch.maximum(most, most2)
            tied = (most == largest) * count + (most2 == largest) * count2
            return torch.cat([largest, tied], -1)
        join = {"max": torch.maximum, "min": torch.minimum, "logsumexp": torch.logaddexp}[joins]
        return join(first, second)

    def ended(self, boxes: Tensor, count: int, *, last: bool) -> Tensor:
        """The statistic of boxes of ``count`` positions along one axis, the last one or not.

        Overwrites the boxes.
        """
        if self.kind == "mean":
            return boxes.div_(count)
        if last and self.kind in ("var", "std"):
            spread = boxes[..., self.kept :] * (self.elements / (self.elements - self.correction))
            return spread.sqrt() if self.kind == "std" else spread
        if last and self._roots:
            return boxes.sqrt_() if self.power == 2 else boxes.pow_(1 / self.power)
        return boxes


class BoxSide(nn.Module):
    """A statistic over a box along one axis: rows (``side`` 0) or columns (1).

    Columns come first, from the source in its own order of axes to (B, C, h, w), then rows. Low
    precisions are computed in float32.
    """

    def __init__(self, statistic: Statistic, box: Box, side: int) -> None:
        super().__init__()
        self.statistic, self.box, self.side = statistic, box, side

    def extra_repr(self) -> str:
        return f"{self.statistic.kind}, {self.box.count} positions, {self.box.rate} apart"

    def axis(self, source: Tensor) -> int:
        """The axis of the source that the boxes lie along."""
        return self.statistic.order[1 + self.side] if self.side == 1 else 2

    def at_rate(self, rate: int) -> BoxSide:
        """The same on a map that is ``rate`` times as dense."""
        return BoxSide(self.statistic, replace(self.box, rate=rate), self.side)

    def forward(self, source: Tensor) -> Tensor:
        total = source.shape[self.axis(source)]
        return self.part(source, (0, total), 0, total)

    def part(self, source: Tensor, outputs: tuple[int, int], first: int, total: int) -> Tensor:
        """The statistic around some positions of the axis.

        Args:
            source: the map, along the axis from position ``first`` on.
            outputs: the positions to compute, (first, end).
            total: length of the whole axis.
        """
        # Channels are last, as they lie in memory.
        values = self.statistic.values(source) if self.side == 1 else source.permute(0, 2, 3, 1)
        starts = self._starts(outputs, total).to(values.device) - first
        other = 2 - self.side
        length = max(1, _PIECE_VALUES // (values.numel() // max(1, values.shape[other]) or 1))
        pieces = [values]
        if not _has_no_values(values):
            cuts = list(range(length, values.shape[other], length))
            pieces = list(torch.tensor_split(values, cuts, other))
        boxes = [self._piece(piece, starts, total) for piece in pieces]
        joined = boxes[0] if len(boxes) == 1 else torch.cat(boxes, other)
        return joined.permute(0, 3, 1, 2)

    def _starts(self, outputs: tuple[int, int], total: int) -> Tensor:
        """:meth:`Box.start` of each output."""
        box = self.box
        positions = torch.arange(*outputs)
        residue, last = positions % box.rate, total - box.span_in(total)
        own_last = residue + torch.div(last - residue, box.rate, rounding_mode="floor") * box.rate
        starts = torch.minimum(torch.maximum(positions - box.before, residue), own_last)
        return starts.clamp(0, last)

    def _piece(self, given: Tensor, starts: Tensor, total: int) -> Tensor:
        values = given.float() if given.dtype in (torch.float16, torch.bfloat16) else given
        values = self.statistic.of_position(values) if self.side == 1 else values
        count = self.box.count_in(total)
        boxes = self._boxes(values, count).index_select(1 + self.side, starts)
        return self.statistic.ended(boxes, count, last=self.side == 0).to(given.dtype)

    def _boxes(self, values: Tensor, count: int) -> Tensor:
        """The boxes that start at each position, as far as they fit."""
        axis, rate = 1 + self.side, self.box.rate

        def joined(first: Tensor, second: Tensor, apart: int, share: float) -> Tensor:
            length = second.shape[axis] - apart
            near = first.narrow(axis, 0, length)
            return self.statistic.joined(near, second.narrow(axis, apart, length), share)

        size, covered, boxes = 1, 0, values
        while True:
            if count & size and not self.statistic.overlaps:
                share = size / (covered + size)
                boxes = joined(boxes, values, covered * rate, share) if covered else values
                covered += size
            if 2 * size > count:
                break
            values = joined(values, values, size * rate, 0.5)
            size *= 2
        if self.statistic.overlaps:
            return joined(values, values, (count - size) * rate, 0.5)
        return boxes


class Normalisation(nn.Module):
    """A map less the means around its positions, over their standard deviations, as GroupNorm.

    (B, C, h, w) and moments (B, 2 G, h, w) -> (B, C, h, w).
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(
        self, maps: Tensor, moments: Tensor, weight: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        groups = moments.shape[1] // 2
        mean, spread = (each.unsqueeze(2) for each in moments.chunk(2, 1))
        grouped = maps.reshape(maps.shape[0], groups, -1, *maps.shape[2:])
        normal: Tensor = (grouped - mean).mul_((spread + self.eps).rsqrt_()).flatten(1, 2)
        if weight is not None:
            normal.mul_(weight[:, None, None])
        return normal if bias is None else normal.add_(bias[:, None, None])


def _has_no_values(maps: Any) -> bool:
    """Whether only shapes are computed, or a program is recorded."""
    return isinstance(maps, torch._subclasses.FakeTensor) or torch.compiler.is_exporting()
