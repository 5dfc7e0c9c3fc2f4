"""Run a trunk over a photo in bands, as planned in plan.py.

Rows are streamed as in a line-buffered filter. The closest published method, with overlapping
tiles, is Pinckaers, van Ginneken and Litjens, "Streaming convolutional neural networks" (arXiv
1911.04432).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from ...conversion.box_statistics import BoxSide
from ...conversion.graph import operation, read_attribute
from ...conversion.kernels.prepared import PreparedWeights
from .operations import WINDOWED, Span, local_statistic
from .plan import BandPlan, BandStep
from .receptive_field import Link, Range


class Roller:
    """One pass of a part of a photo through a trunk.

    ``rows_made`` counts the rows computed by each operation: at the end exactly the planned ones.
    """

    def __init__(
        self,
        trunk: fx.GraphModule,
        plan: BandPlan,
        prepared: Mapping[fx.Node, PreparedWeights] = {},
    ) -> None:
        self.plan = plan
        self.prepared = prepared
        self.rows_made: Counter[fx.Node] = Counter()
        self._constants = {
            node: read_attribute(trunk, str(node.target))
            for node in trunk.graph.nodes
            if node.op == "get_attr"
        }
        self._axes = {link.node: link.axes for link in plan.links}
        self._last_readers = plan.last_readers
        # The first row and the tensor held for each node.
        self._held: dict[fx.Node, tuple[int, Any]] = {}

    def roll(self, bands: Iterable[Tensor], starts: Sequence[int]) -> Iterator[Tensor]:
        """Push bands of the photo through; yields the feature rows that each completes.

        Args:
            bands: (B, 3, rows, columns) each: photo rows from ``starts[i]`` to
                ``starts[i + 1]``, with the columns of the plan.
            starts: rows from :meth:`BandPlan.starts`, or any increasing rows with the same
                first and last.

        Yields:
            Rows of the feature map from top to bottom, (B, C, rows, columns), never empty.
        """
        incoming = iter(bands)
        for step in self.plan.steps(starts):
            for link in self.plan.links:
                first, end = step.rows[link.node]
                if first < end:
                    self.rows_made[link.node] += end - first
                    # Not bound to a name, which would keep the tensor alive after its last use.
                    if link.node is self.plan.photo:
                        self._hold(link, first, next(incoming))
                    else:
                        self._hold(link, *self._run(link, (first, end)))
                for source in self._last_readers.get(link.node, ()):
                    self._let_go(source, step)
            if self.plan.feature in self._held:
                yield self._held.pop(self.plan.feature)[1]

    def _hold(self, link: Link, first: int, fresh: Any) -> None:
        """Append rows, which begin at ``first``, to those that are held already."""
        held = self._held.get(link.node)
        if held is not None:
            first, fresh = held[0], torch.cat([held[1], fresh], dim=link.axes[0])
        self._held[link.node] = (first, fresh)

    def _let_go(self, node: fx.Node, step: BandStep) -> None:
        """Drop the rows that no later output needs."""
        if node not in self._held:
            return
        first, tensor = self._held.pop(node)
        start, end = step.kept_from[node], step.rows[node][1]
        if start < end:
            kept = tensor.narrow(self._axes[node][0], start - first, end - start)
            # A copy, since a view would keep the whole band in memory.
            self._held[node] = (start, kept.clone() if start > first else tensor)

    def _run(self, link: Link, outputs: Range) -> tuple[int, Any]:
        """The first row and the rows ``outputs`` of an operation's output, or more of them."""
        columns = self.plan.columns[link.node]
        values = {source: self._block(link, source, outputs, columns) for source in link.sources}
        span = Span(outputs, columns, self.plan, self.prepared)
        if isinstance(link.module, BoxSide):
            maps = values[link.sources[0]]
            return outputs[0], local_statistic(link.module, link, maps, span)
        if operation(link.node) in WINDOWED:
            return outputs[0], WINDOWED[operation(link.node)](link, values, self._constants, span)

        def value(node: fx.Node) -> Any:
            if operation(node) == "sym_size":
                return self._length(node, outputs, columns)
            return values[node] if node in values else self._constants[node]

        args, kwargs = fx.map_arg((link.node.args, link.node.kwargs), value)
        if link.node in self._held and _out_form(link.node) is not None:
            return self._append(link, args, kwargs)
        run: Any = link.module or link.node.target
        return outputs[0], run(*args, **kwargs)

    def _append(self, link: Link, args: Any, kwargs: Any) -> tuple[int, Tensor]:
        """Compute rows where they belong, behind those that are held.

        In-place operations followed by a join would go over all rows twice.
        """
        axis = link.axes[0]
        first, held = self._held.pop(link.node)
        shape = list(args[0].shape)
        shape[axis] += held.shape[axis]
        last = torch.channels_last if link.axes == (2, 3) else torch.contiguous_format
        joined = torch.empty(shape, dtype=held.dtype, device=held.device, memory_format=last)
        joined.narrow(axis, 0, held.shape[axis]).copy_(held)
        behind = joined.narrow(axis, held.shape[axis], args[0].shape[axis])
        _out_form(link.node)(*args, **kwargs, out=behind)
        return first, joined

    def _length(self, node: fx.Node, outputs: Range, columns: Range) -> int:
        """The value of a recorded size in this part: its rows or columns, or the batch size."""
        source, axis = node.args
        assert isinstance(source, fx.Node)
        letter = source.meta["layout"].letters[axis]
        if letter == "h":
            return outputs[1] - outputs[0]
        if letter == "w":
            return columns[1] - columns[0]
        return int(self._held[source][1].shape[axis])

    def _block(self, link: Link, source: fx.Node, outputs: Range, columns: Range) -> Any:
        """The part of a source that an operation reads for these outputs, with explicit padding."""
        first, held = self._held[source]
        if not isinstance(held, Tensor):
            return tuple(self._read(link, source, first, part, outputs, columns) for part in held)
        return self._read(link, source, first, held, outputs, columns)

    def _read(
        self, link: Link, source: fx.Node, first: int, held: Tensor, outputs: Range, columns: Range
    ) -> Tensor:
        rows_axis, columns_axis = self._axes[source]
        down, across = link.fields_hw
        rows, width = self.plan.row_lengths[source], self.plan.column_lengths[source]
        start, end = down.read(outputs, rows)
        block = held.narrow(rows_axis, start - first, end - start)
        margins = {rows_axis: down.padding(outputs, rows)}
        if not self.plan.whole_width:
            left = self.plan.columns[source][0]
            start, end = across.read(columns, width)
            block = block.narrow(columns_axis, start - left, end - start)
            margins[columns_axis] = across.padding(columns, width)
        if link.pads_rows:
            del margins[rows_axis]
        return block if link.enlarges else _with_margins(block, margins, link.fill)


def _out_form(node: fx.Node) -> Any:
    """The form of an in-place operation that writes elsewhere, or None."""
    name = operation(node)
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
    return getattr(packet, "out", None) if name.endswith("_") else None


def _with_margins(block: Tensor, margins: dict[int, Range], fill: float) -> Tensor:
    if not any(any(ends) for ends in margins.values()):
        return block
    sides = [0] * (2 * block.dim())
    for axis, (before, after) in margins.items():
        # torch counts them from the last axis.
        at = 2 * (block.dim() - 1 - axis)
        sides[at : at + 2] = [before, after]
    return functional.pad(block, sides, value=fill)
