"""A trunk with local statistics: over a box around each position instead of the whole input.

In the recorded graph each reduction over the whole input becomes two nodes (:class:`BoxSide`), and
what lies between reductions and the map that they rejoin becomes one (:class:`PooledPart`), which
takes the positions as a batch. All of them give maps that are aligned with their sources, so that
finer strides and bands need no more than the receptive field of a box.
"""

from __future__ import annotations

from math import inf, prod
from typing import Any

import torch
from torch import fx, nn

from ..errors import ConversionError
from .axes import SLIDING, slides
from .box import Box
from .box_statistics import MAP, BoxSide, Normalisation, Statistic
from .graph import arguments, describe, operation, pair, read_attribute, shape
from .layout import Layout
from .operation_facts import Fact, has
from .plan import Plan
from .pooled_part import PooledPart, not_local
from .subgraphs import copy_nodes, feature_of, trunk_of

aten = torch.ops.aten

_NORMALISATIONS = ("group_norm", "instance_norm")
_KINDS = {
    "adaptive_avg_pool2d": "mean",
    "adaptive_max_pool2d": "amax",
    "avg_pool2d": "mean",
    "max_pool2d": "amax",
    "linalg_vector_norm": "norm",
}
_POOLS = ("adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "max_pool2d")


def sliding_trunk_of(plan: Plan) -> fx.GraphModule:
    """The original trunk: (B, 3, H, W) -> feature map (B, C, h, w), for any size.

    Its statistics over the whole input are local where the plan says so.

    Raises:
        ConversionError: a statistic cannot be taken around each position; the error names its
            layer and the reason.
    """
    return _LocalTrunk(plan).made() if plan.statistics == "local" else trunk_of(plan)


class _LocalTrunk:
    """The trunk's graph while it is made."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.layouts = plan, plan.layouts
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module | torch.Tensor] = {}
        self.copies: dict[fx.Node, fx.Node] = {}
        # What gives a statistic as a map (B, K, h, w), by the pooled node that it stands for.
        self.statistics: dict[fx.Node, fx.Node] = {}
        self.parts: dict[tuple[fx.Node, str], fx.Node] = {}

    def made(self) -> fx.GraphModule:
        for node in self.plan.trunk:
            if node in self.plan.reductions:
                self._reduce(node)
            elif self._is_constant(node) or slides(self.layouts[node].letters):
                self._copy(node)
        self.graph.output(feature_of(self.plan, self.graph, self.copies[self.plan.feature]))
        # Constants of the pooled parts, which have their own.
        for node in [node for node in self.graph.nodes if node.op == "get_attr" and not node.users]:
            self.graph.erase_node(node)
        self.graph.lint()
        body = self.plan.traced.body
        targets = {str(node.target) for node in self.graph.nodes if node.op == "get_attr"}
        attributes = {t: read_attribute(body, t) for t in targets if t not in self.modules}
        return fx.GraphModule({**attributes, **self.modules}, self.graph)

    def _is_constant(self, node: fx.Node) -> bool:
        return node not in self.layouts and node not in self.copies

    def _copy(self, node: fx.Node) -> None:
        """Copy a node on maps; what it reads of pooled values becomes a map."""
        copied = dict(self.copies)
        for source in node.all_input_nodes:
            if source in self.layouts and not slides(self.layouts[source].letters):
                copied[source] = self._part(node, source)
        copies = copy_nodes(self.graph, [node], copied, self.layouts, sliding=True)
        self.copies[node] = copies[node]

    def _reduce(self, node: fx.Node) -> None:
        """Insert the statistic that a reduction becomes."""
        if operation(node) in _NORMALISATIONS:
            self._normalise(node)
            return
        source = node.all_input_nodes[0]
        statistic = statistic_of(node, self.layouts[source])
        result = _values_of(node)
        maps = self.copies[source]
        linear = _linear_after(result) if statistic.kind == "mean" else None
        if linear is not None and self.layouts[source].letters == "bchw":
            # The mean of a linear layer's outputs is its output of the mean, of fewer channels.
            maps = self._linear(linear, maps)
            channels = shape(maps)[1]
            statistic = Statistic("mean", MAP, channels, 1)
        self.statistics[linear or result] = self._boxes(node, maps, statistic)

    def _linear(self, node: fx.Node, maps: fx.Node) -> fx.Node:
        """A linear layer or 1 x 1 convolution of pooled values, on a map."""
        given = arguments(node)
        weight = self._constant(given["weight"])
        if len(shape(weight)) == 2:
            value = read_attribute(self.plan.traced.body, str(weight.target))
            kernel = value.detach()[:, :, None, None]
            name = f"{node.name}_kernel"
            weight = self.graph.get_attr(name)
            weight.meta = {"val": kernel}
            self.modules[name] = nn.Parameter(kernel, requires_grad=value.requires_grad)
        bias = given["bias"] and self._constant(given["bias"])
        args = (maps, weight, bias, [1, 1], [0, 0], [1, 1], 1)
        call = self.graph.call_function(aten.conv2d.default, args)
        batch, _, *sizes = shape(maps)
        value = maps.meta["val"].new_empty(batch, shape(weight)[0], *sizes)
        call.meta = {**node.meta, "val": value, "layout": maps.meta["layout"]}
        return call

    def _constant(self, node: fx.Node) -> fx.Node:
        if node not in self.copies:
            self._copy(node)
        return self.copies[node]

    def _boxes(self, node: fx.Node, source: fx.Node, statistic: Statistic) -> fx.Node:
        """The statistic of a map around each position, columns first."""
        layout: Layout = source.meta["layout"].lettered("bchw")
        lengths = shape(source)
        sizes = [lengths[source.meta["layout"].letters.index(letter)] for letter in "hw"]
        maps = source
        for side in (1, 0):
            part = BoxSide(statistic, Box(sizes[side]), side)
            maps = self._call(node, f"side{side}", part, maps)
            value = source.meta["val"].new_empty(lengths[0], statistic.given, *sizes)
            maps.meta |= {"val": value, "layout": layout}
        return maps

    def _call(self, node: fx.Node, what: str, module: nn.Module, *args: Any) -> fx.Node:
        name = f"{node.name}_{what}"
        self.modules[name] = module
        call = self.graph.call_module(name, args)
        call.meta = {"nn_module_stack": node.meta.get("nn_module_stack")}
        return call

    def _normalise(self, node: fx.Node) -> None:
        """GroupNorm and InstanceNorm: means and variances of the channels of each group."""
        given = arguments(node)
        source, letters = given["input"], self.layouts[given["input"]].letters
        if letters != "bchw":
            raise _refused(node, f"its input's axes are {letters}, not bchw")
        channels = shape(source)[1]
        groups = given.get("num_groups", channels)
        statistic = Statistic("moments", MAP, groups, channels // groups)
        moments = self._boxes(node, self.copies[source], statistic)
        constants = [self.copies[given[name]] if given[name] else None for name in _AFFINE]
        args = (self.copies[source], moments, *constants)
        normal = self._call(node, "normal", Normalisation(given["eps"]), *args)
        normal.meta |= {"val": node.meta["val"], "layout": self.layouts[node]}
        self.copies[node] = normal

    def _part(self, node: fx.Node, pooled: fx.Node) -> fx.Node:
        """Pooled values as a map that ``node`` can join with others."""
        letters = self.layouts[node].letters
        if (pooled, letters) not in self.parts:
            self._check_join(node, pooled)
            self.parts[pooled, letters] = self._new_part(node, pooled, letters)
        return self.parts[pooled, letters]

    def _new_part(self, node: fx.Node, pooled: fx.Node, letters: str) -> fx.Node:
        entries, between = self._between(pooled)
        first = self.statistics[entries[0]]
        for entry in entries[1:]:
            if not _aligned(first, self.statistics[entry]):
                raise _refused(pooled, "it joins statistics of maps of different sizes")
        if not _fits(first, node, self.layouts[node]):
            raise _refused(node, "it joins a statistic with a map of another size")
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        for entry in entries:
            copies[entry] = graph.placeholder(entry.name)
            copies[entry].meta = {"val": _value(entry)}
        copies = copy_nodes(graph, between, copies, self.layouts, sliding=False)
        graph.output(copies[pooled])
        graph.lint()
        body = fx.GraphModule(self.plan.traced.body, graph)
        shapes = [tuple(_value(entry).shape[1:]) for entry in entries]
        part = PooledPart(body, shapes, letters, describe(node))
        call = self._call(
            pooled, f"to_{node.name}", part, *(self.statistics[entry] for entry in entries)
        )
        lengths = list(shape(pooled))
        for side, letter in enumerate("hw"):
            lengths[letters.index(letter)] = shape(first)[2 + side]
        layout = first.meta["layout"].lettered(letters)
        call.meta |= {"val": _value(pooled).new_empty(lengths), "layout": layout}
        return call

    def _between(self, pooled: fx.Node) -> tuple[list[fx.Node], list[fx.Node]]:
        """The statistics that pooled values are computed from, and the nodes in between."""
        needed, waiting = {pooled}, [pooled]
        while waiting:
            node = waiting.pop()
            if node in self.statistics:
                continue
            fresh = [source for source in node.all_input_nodes if source not in needed]
            needed.update(fresh)
            waiting.extend(fresh)
        entries = [node for node in self.statistics if node in needed]
        between = [n for n in self.plan.trunk if n in needed and n not in self.statistics]
        return entries, between

    def _check_join(self, node: fx.Node, pooled: fx.Node) -> None:
        letters, lengths = self.layouts[node].letters, shape(pooled)
        if sorted(set(letters) & SLIDING) != ["h", "w"] or letters[0] != "b":
            raise _refused(node, f"it joins a statistic with a map of axes {letters}")
        if len(lengths) != len(letters) or lengths[0] != 1:
            raise _refused(node, f"it joins a statistic of shape {lengths} with a map {letters}")


_AFFINE = ("weight", "bias")


def statistic_of(node: fx.Node, layout: Layout) -> Statistic:
    """What a reduction over the whole of its input computes.

    Raises:
        ConversionError: it cannot be taken over a box around each position.
    """
    source, letters, name = node.all_input_nodes[0], layout.letters, operation(node)
    lengths, given = shape(source), arguments(node)
    if name in _POOLS:
        _check_pool(node)
        axes = [2, 3]
    else:
        dims = given.get("dim")
        dims = [dims] if isinstance(dims, int) else dims or range(len(lengths))
        axes = sorted(dim % len(lengths) for dim in dims)
    if sorted(set(letters) & SLIDING) != ["h", "w"] or letters[0] != "b":
        raise _refused(node, f"its input's axes are {letters}")
    moving = [letters.index("h"), letters.index("w")]
    still = [axis for axis in axes if axis not in moving]
    kept = [axis for axis in range(1, len(letters)) if axis not in axes]
    reduced, elements = (prod(lengths[axis] for axis in some) for some in (still, axes))
    power = given.get("ord", given.get("p"))
    power = 2.0 if power is None else float(power)
    if "norm" in name and power <= 0 and power != -inf:
        raise _refused(node, f"it is a norm of power {power:g}")
    correction = given.get("correction", 1 if given.get("unbiased", True) else 0)
    return Statistic(
        _KINDS.get(name, name),
        (0, *moving, *kept, *still),
        prod(lengths[axis] for axis in kept),
        reduced,
        power,
        float(1 if correction is None else correction),
        elements,
    )


def _check_pool(node: fx.Node) -> None:
    """Refuse pools that leave positions out, or give more than one value."""
    given = arguments(node)
    size = shape(node.all_input_nodes[0])[-2:]
    whole = shape(node)[-2:] == (1, 1)
    if "kernel_size" in given:
        plain = not any(pair(given["padding"])) and pair(given.get("dilation", 1)) == (1, 1)
        whole = plain and pair(given["kernel_size"]) == size and not given.get("divisor_override")
    if not whole:
        raise _refused(node, "it pools over a part of its input")


def _values_of(node: fx.Node) -> fx.Node:
    """The node of a reduction's values, where it gives their positions too."""
    if not isinstance(node.meta["val"], tuple | list):
        return node
    users = list(node.users)
    if len(users) > 1 or users[0].args[1] != 0:
        raise _refused(node, "the positions of the largest values are used")
    return users[0]


def _linear_after(pooled: fx.Node) -> fx.Node | None:
    """The linear layer that alone reads pooled values, and gives no more than it takes."""
    channels, node = shape(pooled)[1], pooled
    while len(node.users) == 1:
        (node,) = node.users
        if not has(node, Fact.REARRANGES | Fact.IDENTITY):
            break
        if [n for n in shape(node) if n != 1] != [n for n in (channels,) if n != 1]:
            return None
    if operation(node) not in ("linear", "conv2d"):
        return None
    given = arguments(node)
    weight = given["weight"]
    fits = weight.op == "get_attr" and shape(weight)[1:] in ((channels,), (channels, 1, 1))
    plain = operation(node) == "linear" or not any(pair(given["padding"]))
    axis = len(shape(given["input"])) - 1 if operation(node) == "linear" else 1
    aligned = shape(given["input"])[axis] == channels
    return node if fits and plain and aligned and shape(weight)[0] <= channels else None


def _value(node: fx.Node) -> torch.Tensor:
    value = node.meta["val"]
    assert isinstance(value, torch.Tensor)
    return value


def _aligned(first: fx.Node, second: fx.Node) -> bool:
    """Whether two maps have the same positions."""
    strides = {each.meta["layout"].stride_hw for each in (first, second)}
    return len(strides) == 1 and shape(first)[2:] == shape(second)[2:]


def _fits(statistic: fx.Node, node: fx.Node, layout: Layout) -> bool:
    """Whether a statistic has the positions of the map that a node gives."""
    sizes = tuple(shape(node)[layout.letters.index(letter)] for letter in "hw")
    return layout.stride_hw == statistic.meta["layout"].stride_hw and sizes == shape(statistic)[2:]


def _refused(node: fx.Node, reason: str) -> ConversionError:
    return not_local(describe(node), reason)
