"""Windowed operations on a part of their input whose padding is written out already.

Rows are always cut to what is read, with padding only past the photo's own edges. Columns
are so too in a part of the width; at full width the operation pads them itself. Convolutions
pad rows themselves too: written out, a thin margin would copy a whole band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from ...conversion.graph import arguments, operation, pair
from ...conversion.kernels.prepared import WINOGRAD_OUTPUTS, PreparedWeights
from ...conversion.kernels.winograd import TransformedWeights, convolve
from .plan import BandPlan
from .receptive_field import Link, Range

aten = torch.ops.aten

Values = Mapping[fx.Node, Any]


@dataclass(frozen=True)
class Span:
    """Which rows and columns of an operation's output are made, under which plan.

    ``prepared`` holds the weights of convolutions that go by Winograd's form.
    """

    rows: Range
    columns: Range
    plan: BandPlan
    prepared: Mapping[fx.Node, PreparedWeights] = field(default_factory=dict)

    @property
    def cut(self) -> tuple[int, ...]:
        """Which sides are cut to what is read: 0 for rows, 1 for columns too in a part of them."""
        return (0,) if self.plan.whole_width else (0, 1)

    def outputs(self, side: int) -> Range:
        return (self.rows, self.columns)[side]

    def length(self, source: fx.Node, side: int) -> int:
        """The whole length of a source along a side."""
        return (self.plan.row_lengths, self.plan.column_lengths)[side][source]

    def padding(self, own: Any) -> list[int]:
        """What the operation must still pad by itself."""
        return [0, pair(own)[1] if self.plan.whole_width else 0]


def _convolution(link: Link, values: Values, constants: Values, span: Span) -> Tensor:
    given = arguments(link.node)
    maps, above, surplus = _padding_rows(link, values[link.sources[0]], span)
    padding = [above, span.padding(given["padding"])[1]]
    convolved = _convolved(link, maps, padding, constants, span)
    return convolved.narrow(2, surplus, span.rows[1] - span.rows[0])


def _padding_rows(link: Link, maps: Tensor, span: Span) -> tuple[Tensor, int, int]:
    """How a convolution gets its padding above and below, which may differ at a photo's edges.

    Returns the input, the padding for both ends, and how many of the first outputs are then
    surplus.
    """
    reads = link.fields_hw[0]
    above, below = reads.padding(span.rows, span.length(link.sources[0], 0))
    surplus, rest = divmod(max(above, below) - above, reads.step)
    if rest or not maps.shape[2]:
        return functional.pad(maps, (0, 0, above, below)), 0, 0
    return maps, max(above, below), surplus


def _convolved(
    link: Link, maps: Tensor, padding: list[int], constants: Values, span: Span
) -> Tensor:
    given = arguments(link.node)
    weight = constants[given["weight"]]
    bias = None if given["bias"] is None else constants[given["bias"]]
    outputs = math.prod(end - first for first, end in (span.rows, span.columns))
    dilation = pair(given["dilation"])[0]
    if link.node in span.prepared and outputs >= WINOGRAD_OUTPUTS * dilation**2:
        form = span.prepared[link.node].form(weight, maps, outputs)
        if isinstance(form, TransformedWeights):
            return convolve(maps, form, bias, (padding[0], padding[1]), dilation)
    stride, *others = given["stride"], given["dilation"], given["groups"]
    if _wants_onednn(maps, weight):
        return aten.mkldnn_convolution.default(maps, weight, bias, padding, stride, *others)  # type: ignore[no-any-return]
    return aten.conv2d.default(maps, weight, bias, stride, padding, *others)  # type: ignore[no-any-return]


def _wants_onednn(maps: Tensor, weight: Tensor) -> bool:
    """Whether torch would not take oneDNN although it is there, and faster.

    On one thread it computes 1 x 1 convolutions as plain matrix products, image by image.
    """
    return (
        torch.get_num_threads() == 1
        and weight.shape[2:] == (1, 1)
        and maps.device.type == "cpu"
        and maps.dtype == weight.dtype == torch.float32
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


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
    """Divide by the values that count, where padding written out was counted as values."""
    given, reads = arguments(link.node), link.fields_hw[side]
    counted = pair(given["padding"])[side] if given["count_include_pad"] else 0
    length = span.length(link.sources[0], side)
    for index, output in enumerate(range(*span.outputs(side))):
        first, end = reads.first(output), reads.end(output)
        values = min(end, length + counted) - max(first, -counted)
        if values != reads.span:
            pooled.select(link.axes[side], index).mul_(reads.span / values)


def _pad(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    """Rows are padded already; what is left are columns at full width, and channels."""
    amounts = list(arguments(link.node)["pad"])
    rank = len(link.node.meta["layout"].letters)
    for axis in (link.axes[side] for side in span.cut):
        at = 2 * (rank - 1 - axis)
        amounts[at : at + 2] = [0, 0][: len(amounts) - at]
    if not any(amounts):
        return values[link.sources[0]]  # type: ignore[no-any-return]
    return aten.constant_pad_nd.default(values[link.sources[0]], amounts, link.fill)  # type: ignore[no-any-return]


def _slice(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    """Rows begin where the slice does already; its step is left."""
    given = arguments(link.node)
    axis = given["dim"] % len(link.node.meta["layout"].letters)
    done = axis in (link.axes[side] for side in span.cut)
    start, end = (0, None) if done else (given["start"], given["end"])
    return aten.slice.Tensor(values[link.sources[0]], axis, start, end, given["step"])  # type: ignore[no-any-return]


def _upsample(link: Link, values: Values, _: Values, span: Span) -> Tensor:
    """Enlarge what is there of the neighbours too, and cut them off."""
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
