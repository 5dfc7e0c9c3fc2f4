"""`convert_head`: the head rewritten as convolutions that slide.

Every tensor of the original head belongs to one slice of the feature map. In
the converted head it is one map (B, C, N, M) for all slices at once, in one of
three forms:

    map   (C, n, m) positions of the slice, not yet pooled: the feature map itself
    flat  the same, flattened, waiting for its fully connected layer
    cell  one vector per slice: pooled, or the output of a fully connected layer

A linear layer on a flat form becomes an n x m convolution, on a cell a 1 x 1
one; a pool over the whole slice becomes a pool of stride 1. A head with an
operation that has no such form runs slice by slice instead (SliceHead).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn

from .axes import slides
from .graph import arguments, operation, pair, shape
from .head_graph import HeadGraph, HeadValue, NoConvolution, channel_axis, keeps_size
from .layers import (
    ChannelLayerNorm,
    LogSumExpOfWindow,
    MeanOfWindow,
    PoolOfOne,
    SliceHead,
    SlidingLinear,
)
from .operation_facts import Fact, has, is_elementwise
from .plan import Plan, joins_positions
from .subgraphs import head_of, result_of

aten = torch.ops.aten

# Reductions over given axes, beside the mean.
_OVER_AXES = ("amax", "logsumexp")


class NoPool(Exception):  # noqa: N818 - a signal to position_network.py, not an error
    """The scores of windows are no means over their positions; its text says why."""


def convert_head(plan: Plan, *, pooled: bool = True) -> nn.Module:
    """A module (B, C, h, w) -> (B, K, h - n + 1, w - m + 1) equal to the head on slices.

    With ``pooled=False`` the global average pool is left out: (B, C, h, w) -> (B, K, h, w).

    Raises:
        NoPool: ``pooled`` is False, and the head has no such pool, or operations after it that
            are not linear, so that its scores are not means over positions.
    """
    at = HeadGraph(plan, pooled=pooled)
    try:
        for node in plan.head:
            if any(source in at.values for source in node.all_input_nodes):
                at.lay_out(node)
                at.values[node] = convert_node(at, node)
                meta = at.values[node].node.meta
                meta.setdefault("nn_module_stack", node.meta.get("nn_module_stack"))
        head = at.finish(at.values[result_of(plan)])
    except NoConvolution:
        if not pooled:
            raise NoPool from None
        return SliceHead(head_of(plan), plan.map_hw, plan.letters)
    if not pooled and at.pools_left_out != 1:
        raise NoPool
    return head


def convert_node(at: HeadGraph, node: fx.Node) -> HeadValue:
    """The converted value of one node of the head, whose sources are converted.

    Raises:
        NoConvolution: it has none of the three forms.
    """
    name = operation(node)
    source = at.values[next(n for n in node.all_input_nodes if n in at.values)]
    if has(node, Fact.COPY) or keeps_size(node, at.plan.map_hw):
        return source
    if source.form == "cell" and _drops_nothing(node):
        return source
    if at.pools_left_out and not is_linear(at, node):
        raise NoConvolution
    letters = at.layouts[node].letters
    if source.form == "map" and slides(letters) and letters.count("c") != 1:
        # Channels cut up (a shuffle): a map has them in one axis.
        raise NoConvolution
    if has(node, Fact.REARRANGES):
        return _moved(at, node, source)
    if name in _CONVERTERS:
        return _CONVERTERS[name](at, node, source)
    if is_elementwise(node):
        return _elementwise(at, node)
    raise NoConvolution


def _drops_nothing(node: fx.Node) -> bool:
    """Whether a node only takes from a cell what is all of it."""
    if operation(node) == "getitem":
        # The values of a max pool, not where they were.
        return bool(node.args[1] == 0)
    if operation(node) != "select":
        return False
    before = node.all_input_nodes[0]
    axis = arguments(node)["dim"] % len(shape(before))
    return shape(before)[axis] == 1 and axis not in (0, channel_axis(before))


def is_linear(at: HeadGraph, node: fx.Node) -> bool:
    """Whether an operation on cells is linear, so that it commutes with the mean over positions."""
    if has(node, Fact.ARITHMETIC):
        # One value and numbers: the product of two values is not linear.
        return sum(source in at.values for source in node.all_input_nodes) == 1
    return has(node, Fact.LINEAR | Fact.IDENTITY)


def _moved(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    """A view or permutation, which changes only the form: maps always have the same layout."""
    letters = at.layouts[node].letters
    if source.form == "map" and not slides(letters):
        before = at.layouts[node.all_input_nodes[0]].letters[1:].replace("t", "hw")
        if len(shape(node)) != 2 or before not in ("chw", "hwc"):
            raise NoConvolution
        return HeadValue(source.node, "flat", before)
    if source.form == "flat" and len(shape(node)) != 2:
        raise NoConvolution
    if source.form == "cell":
        channel_axis(node)
    return source


def _elementwise(at: HeadGraph, node: fx.Node) -> HeadValue:
    operands = [at.values[n] for n in node.all_input_nodes if n in at.values]
    if len({(value.form, value.order) for value in operands}) > 1:
        raise NoConvolution
    first = operands[0]
    if first.form == "cell":
        _check_aligned(node, [n for n in node.all_input_nodes if n in at.values])
    copies: dict[fx.Node, fx.Node] = {}
    for source in node.all_input_nodes:
        if source in at.values:
            copies[source] = at.values[source].node
        else:
            copies[source] = at.per_channel(node, source, first)
    return HeadValue(at.graph.node_copy(node, copies.__getitem__), first.form, first.order)


def _check_aligned(node: fx.Node, operands: list[fx.Node]) -> None:
    """Refuse outer products: cells must be combined value by value, or with a single number."""
    behind = len(shape(node)) - channel_axis(node)
    for operand in operands:
        single = all(length == 1 for length in shape(operand))
        if not single and len(shape(operand)) - channel_axis(operand) != behind:
            raise NoConvolution


def _convert_linear(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    given = arguments(node)
    weight = at.constant(given["weight"])
    bias = at.constant(given["bias"]) if given["bias"] is not None else None
    if source.form == "map":
        raise NoConvolution
    n, m = at.plan.map_hw if source.form == "flat" else (1, 1)
    if source.form == "cell" and channel_axis(given["input"]) != len(shape(given["input"])) - 1:
        raise NoConvolution
    if source.order == "hwc":
        kernel = weight.view(weight.shape[0], n, m, -1).permute(0, 3, 1, 2)
    else:
        kernel = weight.view(weight.shape[0], -1, n, m)
    layer = SlidingLinear.from_weights(kernel, bias)
    return HeadValue(at.add_layer(node, layer, source.node), "cell")


def _convert_convolution(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    """A 1 x 1 convolution, or one over all n x n positions (fc6 written as a convolution)."""
    given = arguments(node)
    joins = source.form == "map" and joins_positions(node)
    plain = shape(given["weight"])[2:] == (1, 1) and not any(pair(given["padding"]))
    if not (plain or joins) or given["groups"] != 1 or source.form == "flat":
        raise NoConvolution
    weight = at.constant(given["weight"])
    bias = at.constant(given["bias"]) if given["bias"] is not None else None
    layer = at.add_layer(node, SlidingLinear.from_weights(weight, bias), source.node)
    return HeadValue(layer, "cell" if joins else source.form)


def check_pool(at: HeadGraph, node: fx.Node, source: HeadValue) -> str:
    """What a pool over all positions of a slice takes: "mean", "max" or "logsumexp".

    Raises:
        NoConvolution: it is another one.
    """
    if source.form != "map" or slides(at.layouts[node].letters):
        raise NoConvolution
    name, given = operation(node), arguments(node)
    n, m = at.plan.map_hw
    whole = all(length == 1 for length in shape(node)[2:]) or name in ("mean", *_OVER_AXES)
    kernel = pair(given["kernel_size"]) if "kernel_size" in given else (n, m)
    if (
        not whole
        or kernel != (n, m)
        or given.get("divisor_override")
        or any(pair(given.get("padding", 0)))
    ):
        raise NoConvolution
    if name == "logsumexp":
        return name
    return "mean" if "avg" in name or name == "mean" else "max"


def _convert_pool(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    """A pool over the whole slice: the same pool sliding by one position."""
    n, m = at.plan.map_hw
    if _reduces_channels(at, node, source):
        raise NoConvolution
    if source.form == "cell" and shape(node.all_input_nodes[0])[-2:] == (1, 1):
        return HeadValue(at.add_layer(node, PoolOfOne(operation(node)), source.node), "cell")
    kind = check_pool(at, node, source)
    if not at.pooled:
        if kind != "mean":
            raise NoConvolution
        at.pools_left_out += 1
        return HeadValue(source.node, "cell")
    if kind == "mean":
        return HeadValue(at.add_layer(node, MeanOfWindow((n, m)), source.node), "cell")
    if kind == "logsumexp":
        return HeadValue(at.add_layer(node, LogSumExpOfWindow((n, m)), source.node), "cell")
    return HeadValue(at.call(aten.max_pool2d.default, source.node, [n, m], [1, 1]), "cell")


def _reduces_channels(at: HeadGraph, node: fx.Node, source: HeadValue) -> bool:
    """Whether a reduction (mean, amax) is over more than positions."""
    given, before = arguments(node), node.all_input_nodes[0]
    if "dim" not in given:
        return False
    rank = len(shape(before))
    axes = [axis % rank for axis in given["dim"] or range(rank)]
    if source.form == "map":
        return any(at.layouts[before].letters[axis] in "bc" for axis in axes)
    return 0 in axes or channel_axis(before) in axes


def _convert_batch_norm(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    if source.form == "cell" and channel_axis(node) != 1:
        raise NoConvolution
    if source.form == "flat" or (source.form == "map" and at.layouts[node].letters != "bchw"):
        raise NoConvolution
    given = arguments(node)
    module = nn.BatchNorm2d(shape(node)[1], eps=given["eps"], device="meta").eval()
    at.fill(module, given, ("weight", "bias", "running_mean", "running_var"))
    # Counts batches of training; there is none.
    module.num_batches_tracked = None
    return HeadValue(at.add_layer(node, module, source.node), source.form)


def _convert_layer_norm(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    """LayerNorm over the channels of every cell or position."""
    given = arguments(node)
    last_is_channel = at.layouts[node].letters[-1] == "c" if source.form == "map" else True
    channels = list(given["normalized_shape"])
    if source.form == "cell":
        last_is_channel = channel_axis(node) == len(shape(node)) - 1
    if source.form == "flat" or len(channels) != 1 or not last_is_channel:
        raise NoConvolution
    module = ChannelLayerNorm(channels, eps=given["eps"], device="meta")
    at.fill(module, given, ("weight", "bias"))
    return HeadValue(at.add_layer(node, module, source.node), source.form)


def _convert_softmax(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    axis = arguments(node)["dim"] % len(shape(node))
    if source.form != "cell" or axis != channel_axis(node):
        raise NoConvolution
    function = aten.log_softmax.int if "log" in operation(node) else aten.softmax.int
    return HeadValue(at.call(function, source.node, 1), "cell")


def _convert_cat(at: HeadGraph, node: fx.Node, source: HeadValue) -> HeadValue:
    given = arguments(node)
    parts = [at.values.get(tensor) for tensor in given["tensors"]]
    axis = given["dim"] % len(shape(node))
    if source.form != "cell" or axis != channel_axis(node):
        raise NoConvolution
    if any(part is None or part.form != "cell" for part in parts):
        raise NoConvolution
    return HeadValue(at.call(aten.cat.default, [part.node for part in parts if part], 1), "cell")


_CONVERTERS: dict[str, Callable[[HeadGraph, fx.Node, HeadValue], HeadValue]] = {
    "linear": _convert_linear,
    "conv2d": _convert_convolution,
    "mean": _convert_pool,
    "amax": _convert_pool,
    "logsumexp": _convert_pool,
    "adaptive_avg_pool2d": _convert_pool,
    "adaptive_max_pool2d": _convert_pool,
    "avg_pool2d": _convert_pool,
    "max_pool2d": _convert_pool,
    "batch_norm": _convert_batch_norm,
    "layer_norm": _convert_layer_norm,
    "softmax": _convert_softmax,
    "log_softmax": _convert_softmax,
    "cat": _convert_cat,
}
