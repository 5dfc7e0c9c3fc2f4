"""The trunk at a finer stride, by dilation.

Where an operation's stride would make the distance between neighbouring positions
larger than wanted, its stride is reduced, and the dilation and padding of every later
operation are multiplied accordingly. Every k-th position then
equals the native map; between them lie the maps of the shifted photos (Long, Shelhamer
and Darrell, CVPR 2015, section 3.2: the filter rarefaction that gives what shift-and-stitch
gives; the "a trous" algorithm). Computed in integers from the layouts of the plan.

Strides: at a wanted stride T, the positions of a tensor with stride S get the stride gcd(S, T),
and its *rate* is S / gcd(S, T), by which it becomes denser along each axis.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd, inf
from typing import Any

import torch
from torch import fx

from .box_statistics import BoxSide
from .graph import arguments, operation, pair, shape
from .layout import Layout

aten = torch.ops.aten


class NotByDilation(Exception):  # noqa: N818 - a signal to convert.py, not an error
    """The trunk has an operation that dilation cannot make denser."""


def densify(trunk: fx.GraphModule, stride_px: int) -> None:
    """Rewrite a trunk in place so that its map is ``stride_px`` apart.

    Raises:
        NotByDilation: the trunk enlarges a map or pads by reflection, so that values depend on
            where the photo begins.
    """
    _widen_boxes(trunk, stride_px)
    sizes = _Sizes(trunk)
    for node in list(trunk.graph.nodes):
        if operation(node) in _DENSER and node.meta.get("layout"):
            at = _Denser(trunk, node, stride_px)
            if at.changes:
                _DENSER[operation(node)](at)
        sizes.know(node.all_input_nodes)
        if len(_maps(node)) > 1:
            _cut_to_smallest(trunk.graph, node, sizes)
        sizes.know([node])
    trunk.graph.lint()
    trunk.recompile()


def _widen_boxes(trunk: fx.GraphModule, stride_px: int) -> None:
    """Take the boxes of local statistics over positions that are as far apart as before."""
    for node in trunk.graph.nodes:
        part = trunk.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(part, BoxSide):
            native = node.meta["layout"].stride_hw[part.side]
            trunk.set_submodule(str(node.target), part.at_rate(native // gcd(native, stride_px)))


class _Sizes:
    """Shapes of all tensors at one window, computed while the graph is changed."""

    def __init__(self, trunk: fx.GraphModule) -> None:
        self.values: dict[fx.Node, Any] = {}
        self.mode = torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)
        self.runner = fx.Interpreter(trunk)

    def know(self, nodes: list[fx.Node]) -> None:
        """Compute the shapes of these nodes and of nodes inserted before them."""
        for node in nodes:
            if node in self.values or node.op == "output":
                continue
            self.know(node.all_input_nodes)
            with self.mode, torch.no_grad():
                if node.op == "placeholder":
                    self.values[node] = torch.empty(shape(node))
                    continue
                args, kwargs = fx.map_arg((node.args, node.kwargs), self.values.__getitem__)
                self.values[node] = getattr(self.runner, node.op)(node.target, args, kwargs)


def _maps(node: fx.Node) -> list[fx.Node]:
    """The inputs of a node that depend on the photo."""
    return [n for n in node.all_input_nodes if n.meta.get("layout") and operation(n) != "sym_size"]


def _cut_to_smallest(graph: fx.Graph, node: fx.Node, sizes: _Sizes) -> None:
    """Cut the inputs of a join to the same size.

    Maps of equal size at the native stride may differ by up to one native stride when denser,
    since smaller kernels leave more positions after the last native one.
    """
    for letter in "hw":
        axes = {n: n.meta["layout"].letters.find(letter) for n in _maps(node)}
        lengths = {n: sizes.values[n].shape[axis] for n, axis in axes.items() if axis >= 0}
        for source, length in lengths.items():
            if length > min(lengths.values()) > 1:
                less = min(lengths.values()) - length
                with graph.inserting_before(node):
                    args = (source, axes[source], 0, less, 1)
                    cut = graph.call_function(aten.slice.Tensor, args)
                cut.meta = {"layout": source.meta["layout"]}
                node.replace_input_with(source, cut)
                sizes.know([cut])


class _Denser:
    """One node while it is rewritten for a finer stride."""

    def __init__(self, trunk: fx.GraphModule, node: fx.Node, stride_px: int) -> None:
        self.trunk, self.graph, self.node, self.stride_px = trunk, trunk.graph, node, stride_px
        self.source: fx.Node = next(n for n in node.all_input_nodes if n.meta.get("layout"))
        self.rate = self._rate(self.source)
        self.given = arguments(node)

    def _rate(self, node: fx.Node) -> tuple[int, int]:
        layout: Layout = node.meta["layout"]
        down, across = (native // gcd(native, self.stride_px) for native in layout.stride_hw)
        return down, across

    @property
    def changes(self) -> bool:
        return (*self.rate, *self._rate(self.node)) != (1, 1, 1, 1)

    @property
    def step(self) -> tuple[int, int]:
        """The remaining stride of this node, in positions of its source."""
        before, after = self.source.meta["layout"].stride_hw, self.node.meta["layout"].stride_hw
        return (
            gcd(after[0], self.stride_px) // gcd(before[0], self.stride_px),
            gcd(after[1], self.stride_px) // gcd(before[1], self.stride_px),
        )

    def wider(self, value: Any) -> tuple[int, int]:
        """A number of positions (dilation, padding) multiplied by the source's rate."""
        down, across = pair(value)
        return down * self.rate[0], across * self.rate[1]

    def call(self, function: Any, *args: Any, like: fx.Node | None = None) -> fx.Node:
        """Insert a node before this one, with the layout of ``like`` (by default the source)."""
        with self.graph.inserting_before(self.node):
            node = self.graph.call_function(function, args)
        node.meta = {"layout": (like or self.source).meta["layout"]}
        return node

    def constant(self, name: str, value: torch.Tensor) -> fx.Node:
        path = f"{self.node.name}_{name}"
        self.trunk.register_buffer(path, value)
        with self.graph.inserting_before(self.node):
            node = self.graph.get_attr(path)
        node.meta = {"val": value}
        return node

    def becomes(self, function: Any, *args: Any) -> None:
        self.node.target = function
        self.node.args = args
        self.node.kwargs = {}


def _convolution(at: _Denser) -> None:
    given = at.given
    at.becomes(
        aten.conv2d.default,
        *(given["input"], given["weight"], given["bias"], list(at.step)),
        *(list(at.wider(given["padding"])), list(at.wider(given["dilation"])), given["groups"]),
    )


def _margins(at: _Denser, kernel: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding of a pool before and after its source along each axis, at its rate.

    With ``ceil_mode`` the pool may extend further after the source: as far as at one window.
    """
    padding, stride = pair(at.given["padding"]), pair(at.given["stride"] or at.given["kernel_size"])
    lengths = zip(shape(at.source)[-2:], shape(at.node)[-2:], kernel, stride, padding, strict=True)
    after = [max(p, (out - 1) * s + k - p - length) for length, out, k, s, p in lengths]
    return at.wider(list(padding)), at.wider(after)


def _padded(at: _Denser, before: tuple[int, int], after: tuple[int, int], value: float) -> fx.Node:
    sides = [before[1], after[1], before[0], after[0]]
    if not any(sides):
        return at.source
    return at.call(aten.constant_pad_nd.default, at.source, sides, value)


def _max_pool(at: _Denser) -> None:
    """Rewrite a max pool; padding is applied first, as max_pool2d limits it to half a kernel."""
    size, dilation = pair(at.given["kernel_size"]), pair(at.given["dilation"])
    kernel = (dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1)
    padded = _padded(at, *_margins(at, kernel), -inf)
    wider = list(at.wider(list(dilation)))
    at.becomes(aten.max_pool2d.default, padded, list(size), list(at.step), [0, 0], wider)


def _avg_pool(at: _Denser) -> None:
    """Rewrite an average pool, which has no dilation, as a depthwise convolution and a division.

    Padding counts as the pool says; what ``ceil_mode`` adds beyond it never counts.
    """
    kernel = pair(at.given["kernel_size"])
    before, after = _margins(at, kernel)
    dilation = list(at.wider(1))
    channels = shape(at.node)[1]
    like = next(at.trunk.parameters(), torch.empty(0))
    ones = like.new_ones(channels, 1, *kernel)

    def total(maps: fx.Node, weight: torch.Tensor, name: str) -> fx.Node:
        args = (at.constant(name, weight), None, list(at.step), [0, 0], dilation, len(weight))
        return at.call(aten.conv2d.default, maps, *args, like=at.node)

    summed = total(_padded(at, before, after, 0.0), ones, "ones")
    padding = at.wider(at.given["padding"])
    plain = at.given["divisor_override"] or (kernel[0] * kernel[1])
    counted = at.given["count_include_pad"] and after == padding
    if at.given["divisor_override"] or counted or not any((*before, *after)):
        at.becomes(aten.div.Tensor, summed, plain)
        return
    first = at.call(aten.slice.Tensor, at.source, 1, 0, 1)
    marks = at.call(aten.ones_like.default, first)
    if at.given["count_include_pad"]:
        inside = [padding[1], padding[1], padding[0], padding[0]]
        marks = at.call(aten.constant_pad_nd.default, marks, inside, 1.0)
        before = (0, 0)
        after = (after[0] - padding[0], after[1] - padding[1])
    if any((*before, *after)):
        sides = [before[1], after[1], before[0], after[0]]
        marks = at.call(aten.constant_pad_nd.default, marks, sides, 0.0)
    at.becomes(aten.div.Tensor, summed, total(marks, ones[:1], "one"))


def _pad(at: _Denser) -> None:
    if at.given.get("mode", "constant") != "constant":
        raise NotByDilation
    letters = at.source.meta["layout"].letters
    rates = {"h": at.rate[0], "w": at.rate[1]}
    amounts = [
        amount * rates.get(letters[-1 - position // 2], 1)
        for position, amount in enumerate(at.given["pad"])
    ]
    at.becomes(aten.constant_pad_nd.default, at.source, amounts, at.given["value"] or 0.0)


def _slice(at: _Denser) -> None:
    given = at.given
    axis = given["dim"] % len(shape(at.source))
    letter = at.source.meta["layout"].letters[axis]
    if letter not in "hw":
        return
    side = "hw".index(letter)
    start, end = (None if n is None else n * at.rate[side] for n in (given["start"], given["end"]))
    # A copied slice ends nowhere or counts from the end (subgraphs.py).
    at.becomes(aten.slice.Tensor, given["self"], axis, start, end, at.step[side])


def _refuse(_: _Denser) -> None:
    raise NotByDilation


_DENSER: dict[str, Callable[[_Denser], None]] = {
    "conv2d": _convolution,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "slice": _slice,
    "upsample_nearest2d": _refuse,
    "upsample_bilinear2d": _refuse,
}
