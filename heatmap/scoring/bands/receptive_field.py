"""The receptive field of each operation of a trunk: which rows and columns an output reads.

Along an axis, each output of an operation reads a range of its source that moves by ``step`` from
one output to the next (:class:`ReceptiveField`). Integers only; no tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import fx, nn

from ...conversion.box import Box
from ...conversion.box_statistics import BoxSide
from ...conversion.graph import arguments, operation, pair, shape
from ...conversion.operation_facts import shares_memory
from ...conversion.pooled_part import PooledPart

Range = tuple[int, int]

_ENLARGING = ("upsample_nearest2d", "upsample_bilinear2d")


class NotInBands(Exception):  # noqa: N818 - a signal to the scorer, not an error
    """The trunk has an operation that needs the whole feature map at once."""


@dataclass(frozen=True)
class ReceptiveField:
    """The source positions that an output of one operation reads, along one axis.

    Output i reads ``span`` positions from i // repeat * step - before on; positions outside the
    source are padding. ``repeat`` is above 1 for operations that enlarge.
    """

    step: int = 1
    before: int = 0
    span: int = 1
    repeat: int = 1

    def first(self, output: int) -> int:
        """First source position that an output reads; negative if it is padding."""
        return output // self.repeat * self.step - self.before

    def end(self, output: int) -> int:
        """One past the last source position that an output reads."""
        return self.first(output) + self.span

    def first_after(self, output: int, total: int) -> int:
        """First position of a source of length ``total`` that an output or any later one reads."""
        return self.first(output)

    def determined(self, available: int, total: int) -> int:
        """How many outputs depend only on the first ``available`` of ``total`` source positions."""
        groups = (available + self.before - self.span) // self.step + 1
        return max(0, groups) * self.repeat

    def read(self, outputs: Range, total: int) -> Range:
        """The source positions that a range of outputs reads, within 0..total."""
        first, end = outputs
        if first >= end:
            return (0, 0)
        start = min(max(self.first(first), 0), total)
        return start, min(max(self.end(end - 1), start), total)

    def padding(self, outputs: Range, total: int) -> Range:
        """How much padding a range of outputs reads before and after the source 0..total."""
        start, end = self.read(outputs, total)
        first, last = self.first(outputs[0]), self.end(outputs[1] - 1)
        return (last - first, 0) if start == end else (start - first, last - end)


@dataclass(frozen=True)
class BoxField(ReceptiveField):
    """The receptive field of a local statistic: a box that never leaves the source."""

    box: Box = field(default_factory=lambda: Box(1))

    def read(self, outputs: Range, total: int) -> Range:
        return self.box.read(*outputs, total) if outputs[0] < outputs[1] else (0, 0)

    def padding(self, outputs: Range, total: int) -> Range:
        return (0, 0)

    def first_after(self, output: int, total: int) -> int:
        return self.box.read(output, total, total)[0]

    def determined(self, available: int, total: int) -> int:
        return self.box.determined(available, total)


# Output i reads only position i.
SAME_POSITION = ReceptiveField()


@dataclass(frozen=True)
class Link:
    """One operation of a trunk: its sources, and its receptive field along rows and columns.

    ``axes`` are the dimensions of rows and columns in its output; ``fill`` is the value of its
    padding. ``module`` is what computes it, if it is no ATen operation.
    """

    node: fx.Node
    sources: tuple[fx.Node, ...]
    axes: Range
    fields_hw: tuple[ReceptiveField, ReceptiveField] = (SAME_POSITION, SAME_POSITION)
    fill: float = 0.0
    module: nn.Module | None = None

    @property
    def shares_memory(self) -> bool:
        """Whether the output uses the memory of the first source, as a view or in place."""
        return shares_memory(self.node)

    @property
    def passing(self) -> float:
        """Temporary bytes while it runs, per byte of its output."""
        if isinstance(self.module, PooledPart):
            return self.module.passing
        if isinstance(self.module, BoxSide):
            # Its pieces, before they are joined.
            return 1
        # The indices of the largest values: 64-bit integers beside the 32-bit values.
        return 2 if operation(self.node) == "max_pool2d" else 0

    @property
    def pads_rows(self) -> bool:
        """Whether the operation applies padding above and below itself."""
        return operation(self.node) == "conv2d"

    @property
    def enlarges(self) -> bool:
        """Whether the operation enlarges, if only by 1; it handles the photo's edges itself."""
        return operation(self.node) in _ENLARGING


def links_of(trunk: fx.GraphModule) -> tuple[Link, ...]:
    """All operations of a trunk whose outputs have rows and columns, in order; first the photo.

    Raises:
        NotInBands: an operation depends on the photo but has no rows and columns.
    """
    links: dict[fx.Node, Link] = {}
    for node in trunk.graph.nodes:
        if node.op in ("get_attr", "output") or operation(node) == "sym_size":
            continue
        sources = tuple(source for source in node.all_input_nodes if source in links)
        if sources or node.op == "placeholder":
            module = trunk.get_submodule(str(node.target)) if node.op == "call_module" else None
            links[node] = _link(node, sources, module)
    return tuple(links.values())


def _link(node: fx.Node, sources: tuple[fx.Node, ...], module: nn.Module | None) -> Link:
    letters = node.meta["layout"].letters
    if letters.count("h") != 1 or letters.count("w") != 1:
        raise NotInBands
    axes = (letters.index("h"), letters.index("w"))
    if isinstance(module, BoxSide):
        reads = BoxField(box=module.box)
        down, across = (reads if side == module.side else SAME_POSITION for side in (0, 1))
        return Link(node, sources, axes, (down, across), module=module)
    name = operation(node)
    if name in ("conv2d", "max_pool2d", "avg_pool2d"):
        return Link(node, sources, axes, _window(node), -math.inf if "max" in name else 0.0)
    if name in ("pad", "constant_pad_nd"):
        return _pad(node, sources, axes)
    if name == "slice":
        return Link(node, sources, axes, _slice(node, axes))
    if name in _ENLARGING:
        return Link(node, sources, axes, _upsample(node))
    return Link(node, sources, axes, module=module)


def _window(node: fx.Node) -> tuple[ReceptiveField, ReceptiveField]:
    given = arguments(node)
    size = shape(given["weight"])[2:] if "weight" in given else pair(given["kernel_size"])
    stride = pair(given["stride"] or size)
    padding, dilation = pair(given["padding"]), pair(given.get("dilation", 1))
    down, across = (
        ReceptiveField(s, p, d * (k - 1) + 1)
        for k, s, p, d in zip(size, stride, padding, dilation, strict=True)
    )
    return down, across


def _pad(node: fx.Node, sources: tuple[fx.Node, ...], axes: Range) -> Link:
    given = arguments(node)
    if given.get("mode", "constant") != "constant":
        raise NotInBands
    amounts = list(given["pad"]) + [0] * 8
    rank = len(node.meta["layout"].letters)
    down, across = (ReceptiveField(before=amounts[2 * (rank - 1 - axis)]) for axis in axes)
    return Link(node, sources, axes, (down, across), given["value"] or 0.0)


def _slice(node: fx.Node, axes: Range) -> tuple[ReceptiveField, ReceptiveField]:
    given = arguments(node)
    field = ReceptiveField(given["step"], -(given["start"] or 0))
    rank = len(node.meta["layout"].letters)
    down, across = (field if given["dim"] % rank == axis else SAME_POSITION for axis in axes)
    return down, across


def _upsample(node: fx.Node) -> tuple[ReceptiveField, ReceptiveField]:
    factors = [round(factor) for factor in arguments(node)["scale_factors"]]
    between = operation(node) == "upsample_bilinear2d"
    before, span = (1, 3) if between else (0, 1)
    down, across = (ReceptiveField(before=before, span=span, repeat=n) for n in factors)
    return down, across
