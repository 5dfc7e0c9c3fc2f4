"""Cut a traced graph into trunk and head, each able to take any batch and size.

torch.export records batch, height and width as constants in ``view`` and similar operations; here
they are replaced by the sizes of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from ..errors import ConversionError, Use
from .axes import slides
from .graph import arguments, describe, operation, shape
from .layout import Layout
from .plan import Plan

aten = torch.ops.aten


def trunk_of(plan: Plan) -> fx.GraphModule:
    """The original trunk: (B, 3, H, W) -> feature map (B, C, h, w), for any size."""
    graph = fx.Graph()
    copies = copy_nodes(graph, plan.trunk, {}, plan.layouts, sliding=True)
    graph.output(feature_of(plan, graph, copies[plan.feature]))
    return _module(plan, graph)


def feature_of(plan: Plan, graph: fx.Graph, feature: fx.Node) -> fx.Node:
    """The feature map with channels before rows and columns; ``feature`` is the trunk's last."""
    if plan.letters == "bchw":
        return feature
    value = plan.feature.meta["val"].permute(0, 3, 1, 2)
    permuted = graph.call_function(aten.permute.default, (feature, [0, 3, 1, 2]))
    permuted.meta = {"val": value, "layout": replace(plan.layouts[plan.feature], letters="bchw")}
    return permuted


def head_of(plan: Plan) -> fx.GraphModule:
    """The original head: slices (B, C, n, m), in the trunk's own axis order, -> (B, K)."""
    graph = fx.Graph()
    entry = graph.placeholder("slices")
    entry.meta = {"val": plan.feature.meta["val"]}
    copies = copy_nodes(graph, plan.head, {plan.feature: entry}, plan.layouts, sliding=False)
    graph.output(copies[result_of(plan)])
    return _module(plan, graph)


def result_of(plan: Plan) -> fx.Node:
    """The node whose value is the classifier's output."""
    output = next(node for node in plan.traced.nodes if node.op == "output")
    return output.all_input_nodes[0]


def _module(plan: Plan, graph: fx.Graph) -> fx.GraphModule:
    graph.lint()
    return fx.GraphModule(plan.traced.body, graph)


def copy_nodes(
    graph: fx.Graph,
    nodes: Iterable[fx.Node],
    copied: Mapping[fx.Node, fx.Node],
    layouts: Mapping[fx.Node, Layout],
    *,
    sliding: bool,
) -> dict[fx.Node, fx.Node]:
    """Copy nodes into ``graph`` with constant sizes made dynamic; ``copied`` has earlier copies.

    ``sliding`` says whether rows and columns may change too, or only the batch.
    """
    copies = dict(copied)
    for node in nodes:
        if operation(node) in _BAKED and node in layouts:
            copies[node] = _BAKED[operation(node)](_Copying(graph, node, copies, layouts, sliding))
        else:
            copies[node] = graph.node_copy(node, lambda source: copies[source])
        copies[node].meta = {**node.meta, "layout": layouts.get(node)}
    return copies


class _Copying:
    """One node while it is copied into a new graph."""

    def __init__(
        self,
        graph: fx.Graph,
        node: fx.Node,
        copies: Mapping[fx.Node, fx.Node],
        layouts: Mapping[fx.Node, Layout],
        sliding: bool,
    ) -> None:
        self.graph, self.node, self.copies, self.layouts = graph, node, copies, layouts
        self.sliding = sliding
        self.source: fx.Node = next(n for n in node.all_input_nodes if n in layouts)

    def length(self, letter: str) -> fx.Node:
        """A node for the length of an axis of the input, or of what the input was computed from."""
        source = self.source
        while letter not in self.layouts[source].letters:
            source = next(n for n in source.all_input_nodes if n in self.layouts)
        axis = self.layouts[source].letters.index(letter)
        return self.graph.call_function(aten.sym_size.int, (self.copies[source], axis))

    def sizes(self, letters: str, lengths: Iterable[int]) -> list[Any]:
        """Lengths in which those of batch, rows and columns are replaced by the input's."""
        sizes: list[Any] = []
        for letter, length in zip(letters, lengths, strict=True):
            if letter == "b" and length != 1:
                raise ConversionError(
                    f"{describe(self.node)} folds channels into the batch", Use("engine", "crop")
                )
            if letter == "t" and self.sliding:
                sizes.append(-1)
            elif letter == "b" or (letter in "hw" and self.sliding):
                sizes.append(self.length(letter))
            else:
                sizes.append(length)
        return sizes


def _copy_view(at: _Copying) -> fx.Node:
    sizes = at.sizes(at.layouts[at.node].letters, shape(at.node))
    return at.graph.call_function(aten.reshape.default, (at.copies[at.source], sizes))


def _copy_expand(at: _Copying) -> fx.Node:
    letters = at.layouts[at.node].letters
    sizes = at.sizes(letters, shape(at.node))
    return at.graph.call_function(aten.expand.default, (at.copies[at.source], sizes))


def _copy_slice(at: _Copying) -> fx.Node:
    given = arguments(at.node)
    axis = given["dim"] % len(shape(at.source))
    length, end = shape(at.source)[axis], given["end"]
    if end is not None and at.layouts[at.source].letters[axis] in "hw" and at.sliding:
        end = end - length if 0 <= end < length else (end if end < 0 else None)
    args = (at.copies[at.source], axis, given["start"], end, given["step"])
    return at.graph.call_function(aten.slice.Tensor, args)


def _copy_upsample(at: _Copying) -> fx.Node:
    old, new = shape(at.source)[-2:], shape(at.node)[-2:]
    if not slides(at.layouts[at.source].letters):
        return at.graph.node_copy(at.node, lambda source: at.copies[source])
    factors = [float(n // o) for n, o in zip(new, old, strict=True)]
    if operation(at.node) == "upsample_nearest2d":
        args: tuple[Any, ...] = (at.copies[at.source], None, factors)
        return at.graph.call_function(aten.upsample_nearest2d.vec, args)
    args = (at.copies[at.source], None, False, factors)
    return at.graph.call_function(aten.upsample_bilinear2d.vec, args)


_BAKED = {
    "view": _copy_view,
    "reshape": _copy_view,
    "_unsafe_view": _copy_view,
    "flatten": _copy_view,
    "unflatten": _copy_view,
    "expand": _copy_expand,
    "slice": _copy_slice,
    "upsample_nearest2d": _copy_upsample,
    "upsample_bilinear2d": _copy_upsample,
}
