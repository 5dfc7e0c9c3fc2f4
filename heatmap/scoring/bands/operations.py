"""Windowed operations on a part of their input, with padding already applied.

Rows of the input are cut to those that are read, with explicit padding beyond the photo's edges.
So are columns in a part of the width; at full width the operation pads them itself. Convolutions
also pad rows themselves, since explicit padding would copy the whole band for a thin margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from ...conversion.box_statistics import BoxSide
from ...conversion.graph import arguments, operation, pair
from ...conversion.kernels.convolution import Convolution
from ...conversion.kernels.prepared import PreparedWeights
from .plan import BandPlan
from .receptive_field import Link, Range

aten = torch.ops.aten

Values = Mapping[fx.Node, Any]


@dataclass(frozen=True)
class Span:
    """The rows and columns of an operation's output to compute, and the plan they belong to.

    ``prepared`` holds the transformed weights of convolutions that use Winograd's algorithm.
    """

    rows: Range
    columns: Range
    plan: BandPlan
    prepared: Mapping[fx.Node, PreparedWeights] = field(default_factory=dict)

    @property
    def cut(self) -> tuple[int, ...]:
        """The sides cut to what is read: rows (0), and in a part of the width columns (1)."""
        return (0,) if self.plan.whole_width else (0, 1)

    def outputs(self, side: int) -> Range:
        return (self.rows, self.columns)[side]

    def length(self, source: fx.Node, side: int) -> int:
        """The full length of a source along a side (0 rows, 1 columns)."""
        return (self.plan.row_lengths, self.plan.column_lengths)[side][source]

    def padding(self, own: Any) -> list[int]:
        """The padding that the operation must still apply itself, (rows, columns)."""
        return [0, pair(own)[1] if self.plan.whole_width else 0]


def _convolution(link: Link, values: Values, constants: Values, span: Span) -> Tensor:
    given = arguments(link.node)
    maps, above, surplus = _padding_rows(link, values[link.sources[0]], span)
    convolution = Convolution(
        pair(given["stride"]),
        (above, span.padding(given["padding"])[1]),
        pair(given["dilation"]),
        given["groups"],
    )
    bias = None if given["bias"] is None else constants[given["bias"]]
    prepared = span.prepared.get(link.node)
    convolved = convolution(maps, constants[given["weight"]], bias, prepared)
    return convolved.narrow(2, surplus, span.rows[1] - span.rows[0])


def _padding_rows(link: Link, maps: Tensor, span: Span) -> tuple[Tensor, int, int]:
    """Pad a convolution above and below, by amounts that may differ at the photo's edges.

    Returns:
        The input, the padding for the convolution to apply at both ends, and the number of
        surplus outputs at the top.
    """
    reads = link.fields_hw[0]
    above, below = reads.padding(span.rows, span.length(link.sources[0], 0))
    surplus, rest = divmod(max(above, below) - above, reads.step)
    if rest or not maps.shape[2]:
        return functional.pad(maps, (0, 0, above, below)), 0, 0
    return maps, max(above, below), surplus


def _max_pool(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    given = arguments(link.node)
    return aten.max_pool2d.default(  # type: ignore[no-any-return]
        values[link.sources[0]],
        given["kernel_size"],
        given["stride"],
        span.padding(given["padding"]),
        given["dilation"],
        given["ceil_mode"],
    )


def _avg_pool(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    given = arguments(link.node)
    pooled: Tensor = aten.avg_pool2d.default(
        values[link.sources[0]],
        given["kernel_size"],
        given["stride"],
        span.padding(given["padding"]),
        given["ceil_mode"],
        given["count_include_pad"],
        given["divisor_override"],
    )
    if given["divisor_override"]:
        return pooled
    for side in span.cut:
        _count_anew(pooled, link, side, span)
    return pooled


def _count_anew(pooled: Tensor, link: Link, side: int, span: Span) -> None:
    """Correct averages in which explicit padding was counted as values."""
    given, reads = arguments(link.node), link.fields_hw[side]
    counted = pair(given["padding"])[side] if given["count_include_pad"] else 0
    length = span.length(link.sources[0], side)
    for index, output in enumerate(range(*span.outputs(side))):
        first, end = reads.first(output), reads.end(output)
        values = min(end, length + counted) - max(first, -counted)
        if values != reads.span:
            pooled.select(link.axes[side], index).mul_(reads.span / values)


def _pad(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    """Pad columns at full width, and channels; rows are padded already."""
    amounts = list(arguments(link.node)["pad"])
    rank = len(link.node.meta["layout"].letters)
    for axis in (link.axes[side] for side in span.cut):
        at = 2 * (rank - 1 - axis)
        amounts[at : at + 2] = [0, 0][: len(amounts) - at]
    if not any(amounts):
        return values[link.sources[0]]  # type: ignore[no-any-return]
    return aten.constant_pad_nd.default(values[link.sources[0]], amounts, link.fill)  # type: ignore[no-any-return]


def _slice(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    """Apply the step of a slice; cut sides already begin at its start."""
    given = arguments(link.node)
    axis = given["dim"] % len(link.node.meta["layout"].letters)
    done = axis in (link.axes[side] for side in span.cut)
    start, end = (0, None) if done else (given["start"], given["end"])
    return aten.slice.Tensor(values[link.sources[0]], axis, start, end, given["step"])  # type: ignore[no-any-return]


def _upsample(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    """Enlarge the input with its neighbours, and cut off what belongs to these."""
    given, source = arguments(link.node), link.sources[0]
    if operation(link.node) == "upsample_nearest2d":
        enlarged = aten.upsample_nearest2d.vec(values[source], None, given["scale_factors"])
    else:
        enlarged = aten.upsample_bilinear2d.vec(values[source], None, False, given["scale_factors"])
    for side in span.cut:
        reads, outputs = link.fields_hw[side], span.outputs(side)
        start = outputs[0] - reads.read(outputs, span.length(source, side))[0] * reads.repeat
        enlarged = enlarged.narrow(link.axes[side], start, outputs[1] - outputs[0])
    return enlarged  # type: ignore[no-any-return]


def local_statistic(part: BoxSide, link: Link, maps: Tensor, span: Span) -> Tensor:
    """A statistic over boxes along one side, of the part of its source that they read."""
    outputs, total = span.outputs(part.side), span.length(link.sources[0], part.side)
    first, _ = link.fields_hw[part.side].read(outputs, total)
    return part.part(maps, outputs, first, total)


WINDOWED: dict[str, Callable[[Link, Values, Values, Span], Tensor]] = {
    "conv2d": _convolution,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "slice": _slice,
    "upsample_nearest2d": _upsample,
    "upsample_bilinear2d": _upsample,
}
