"""The head as convolutions: what stands behind the trunk, rewritten to slide.

Every tensor of the original head belongs to one slice of the feature map. In
the converted head it is one map (B, C, N, M) for all slices at once, in one of
three forms:

    map   (C, n, m) positions of the slice, not yet pooled: the feature map itself
    flat  the same, flattened, waiting for its fully connected layer
    cell  one vector a slice: pooled, or given out by a fully connected layer

A linear layer on a flat form becomes an n x m convolution, on a cell a 1 x 1
one; a pool over the whole slice becomes a pool of stride 1. A head with an
operation that has no such form runs slice by slice instead (SliceHead).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

from .axes import slides
from .layers import ChannelLayerNorm, SliceHead, SlidingLinear
from .placing import Findings, Place, Refusal, Step, is_elementwise, pair
from .planning import Plan
from .rules import place_node
from .subgraphs import head_of, result_of
from .tracing import IDENTITIES, arguments, layer, operation, read_attribute, shape

aten = torch.ops.aten
Form = Literal["map", "flat", "cell"]


class _NoConvolution(Exception):  # noqa: N818 - a signal inside this file, not an error
    """This head has an operation without a convolutional form."""


def convert_head(plan: Plan) -> nn.Module:
    """A module (B, C, h, w) -> (B, K, h - n + 1, w - m + 1) equal to the head on slices."""
    try:
        return _Conversion(plan).run()
    except _NoConvolution:
        return SliceHead(head_of(plan), plan.map_hw, plan.letters)


@dataclass(frozen=True)
class _Value:
    """A converted tensor: its node (B, C, N, M), its form, and the order of a flat one."""

    node: fx.Node
    form: Form
    order: str = ""


class _Conversion:
    """One pass over the head's nodes, building the converted graph."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph = fx.Graph()
        self.layers: dict[str, nn.Module] = {}
        # Letters inside a slice: like the plan's, but a pool to the size that the
        # map already has changes nothing here.
        self.places: dict[fx.Node, Place] = {plan.feature: Place(plan.letters)}
        entry = self.graph.placeholder("features")
        self.values: dict[fx.Node, _Value] = {plan.feature: _Value(entry, "map")}

    def run(self) -> fx.GraphModule:
        for node in self.plan.head:
            if any(source in self.values for source in node.all_input_nodes):
                self._place(node)
                self.values[node] = self._convert(node)
                self.values[node].node.meta.setdefault(
                    "nn_module_stack", node.meta.get("nn_module_stack")
                )
        final = self.values[result_of(self.plan)]
        if final.form != "cell":
            raise _NoConvolution
        self.graph.output(final.node)
        root = nn.Module()
        body = fx.GraphModule(root, fx.Graph())
        for path, module in self.layers.items():
            body.add_submodule(path, module)
        body.graph = self.graph
        return body

    def _place(self, node: fx.Node) -> None:
        try:
            self.places[node] = place_node(Step(node, self.places, Findings()))
        except (Refusal, IndexError) as error:
            raise _NoConvolution from error
        if _keeps_size(node, self.plan.map_hw):
            self.places[node] = self.places[node.all_input_nodes[0]]

    def _convert(self, node: fx.Node) -> _Value:
        name = operation(node)
        source = self.values[next(n for n in node.all_input_nodes if n in self.values)]
        if name in ("contiguous", "clone", "alias", "detach") or _keeps_size(
            node, self.plan.map_hw
        ):
            return source
        if name == "getitem" and node.args[1] == 0 and source.form == "cell":
            # The values of a max pool, not the places they came from.
            return source
        letters = self.places[node].letters
        if source.form == "map" and slides(letters) and letters.count("c") != 1:
            # Channels cut up (a shuffle): a map has them in one axis.
            raise _NoConvolution
        if name in _MOVES:
            return self._moved(node, source)
        if name in _CONVERTERS:
            return _CONVERTERS[name](self, node, source)
        if is_elementwise(node):
            return self._elementwise(node)
        raise _NoConvolution

    def _moved(self, node: fx.Node, source: _Value) -> _Value:
        """A view or permutation: bookkeeping only, since maps keep their one layout."""
        letters = self.places[node].letters
        if source.form == "map" and not slides(letters):
            before = self.places[node.all_input_nodes[0]].letters[1:].replace("t", "hw")
            if len(shape(node)) != 2 or before not in ("chw", "hwc"):
                raise _NoConvolution
            return _Value(source.node, "flat", before)
        if source.form == "flat" and len(shape(node)) != 2:
            raise _NoConvolution
        if source.form == "cell":
            _channel_axis(node)
        return source

    def call(self, function: Any, *args: Any) -> fx.Node:
        return self.graph.call_function(function, args)

    def constant(self, node: fx.Node) -> torch.Tensor:
        if node.op != "get_attr":
            raise _NoConvolution
        return read_attribute(self.plan.traced.body, str(node.target))

    def add_layer(self, node: fx.Node, module: nn.Module, source: fx.Node) -> fx.Node:
        path = layer(node)[0]
        while path in self.layers:
            path += "_again"
        self.layers[path] = module
        return self.graph.call_module(path, (source,))

    def fill(self, module: nn.Module, given: dict[str, Any], names: tuple[str, ...]) -> None:
        """Give a layer the original's tensors; what was trainable stays so."""
        for name in names:
            value = None if given[name] is None else self.constant(given[name])
            if isinstance(value, nn.Parameter):
                value = nn.Parameter(value.detach(), requires_grad=value.requires_grad)
            setattr(module, name, value)

    def buffer(self, name: str, value: torch.Tensor) -> fx.Node:
        """A constant of the converted head, as a layer that holds it."""
        holder = nn.Module()
        kept = value.detach()
        holder.register_parameter("value", nn.Parameter(kept, requires_grad=value.requires_grad))
        self.layers[f"constants.{name}"] = holder
        return self.graph.get_attr(f"constants.{name}.value")

    def _elementwise(self, node: fx.Node) -> _Value:
        operands = [self.values[n] for n in node.all_input_nodes if n in self.values]
        if len({(value.form, value.order) for value in operands}) > 1:
            raise _NoConvolution
        form = operands[0]
        if form.form == "cell":
            _check_aligned(node, [n for n in node.all_input_nodes if n in self.values])
        if operation(node) in IDENTITIES - {"dropout"}:
            raise _NoConvolution
        copies: dict[fx.Node, fx.Node] = {}
        for source in node.all_input_nodes:
            if source in self.values:
                copies[source] = self.values[source].node
            else:
                copies[source] = self._per_channel(node, source, form)
        made = self.graph.node_copy(node, copies.__getitem__)
        return _Value(made, form.form, form.order)

    def _per_channel(self, node: fx.Node, source: fx.Node, value: _Value) -> fx.Node:
        """A constant beside a map: one value, or one a channel, put on the channel axis."""
        constant = self.constant(source)
        if constant.numel() == 1:
            return self.buffer(source.name, constant.reshape(()))
        if value.form == "flat":
            raise _NoConvolution
        rank = len(shape(node))
        lengths = (1,) * (rank - constant.dim()) + tuple(constant.shape)
        letters = self.places[node].letters
        axis = letters.index("c") if value.form == "map" else _channel_axis(node)
        if constant.numel() != lengths[axis] or set(letters) - set("bchwt"):
            raise _NoConvolution
        return self.buffer(source.name, constant.reshape(-1, 1, 1))


def _keeps_size(node: fx.Node, map_hw: tuple[int, int]) -> bool:
    """An adaptive pool to the size that the map of one window already has."""
    if operation(node) not in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return False
    wanted = pair(arguments(node)["output_size"])
    return wanted == map_hw == shape(node.all_input_nodes[0])[-2:]


def _channel_axis(node: fx.Node) -> int:
    """The one axis of a cell that holds its vector; all others have length 1."""
    lengths = shape(node)
    long = [axis for axis in range(1, len(lengths)) if lengths[axis] != 1]
    if len(long) > 1:
        raise _NoConvolution
    return long[0] if long else 1


def _check_aligned(node: fx.Node, operands: list[fx.Node]) -> None:
    """Cells may meet value by value, or as one number for all: not as an outer product."""
    behind = len(shape(node)) - _channel_axis(node)
    for operand in operands:
        single = all(length == 1 for length in shape(operand))
        if not single and len(shape(operand)) - _channel_axis(operand) != behind:
            raise _NoConvolution


def _convert_linear(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    given = arguments(node)
    weight = at.constant(given["weight"])
    bias = at.constant(given["bias"]) if given["bias"] is not None else None
    if source.form == "map":
        raise _NoConvolution
    n, m = at.plan.map_hw if source.form == "flat" else (1, 1)
    if source.form == "cell" and _channel_axis(given["input"]) != len(shape(given["input"])) - 1:
        raise _NoConvolution
    if source.order == "hwc":
        kernel = weight.view(weight.shape[0], n, m, -1).permute(0, 3, 1, 2)
    else:
        kernel = weight.view(weight.shape[0], -1, n, m)
    made = at.add_layer(node, SlidingLinear.from_weights(kernel, bias), source.node)
    return _Value(made, "cell")


def _convert_convolution(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    given = arguments(node)
    weight = at.constant(given["weight"])
    plain = shape(given["weight"])[2:] == (1, 1) and not any(pair(given["padding"]))
    if not plain or given["groups"] != 1 or source.form == "flat":
        raise _NoConvolution
    bias = at.constant(given["bias"]) if given["bias"] is not None else None
    made = at.add_layer(node, SlidingLinear.from_weights(weight, bias), source.node)
    return _Value(made, source.form)


def _convert_pool(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    """A pool over the whole slice: the same pool sliding by one position."""
    name = operation(node)
    n, m = at.plan.map_hw
    if _reduces_channels(at, node, source):
        raise _NoConvolution
    if source.form == "cell" and shape(node.all_input_nodes[0])[-2:] == (1, 1):
        return source
    if source.form != "map" or slides(at.places[node].letters):
        raise _NoConvolution
    given = arguments(node)
    whole = all(length == 1 for length in shape(node)[2:]) or name in ("mean", "amax")
    kernel = pair(given["kernel_size"]) if "kernel_size" in given else (n, m)
    if (
        not whole
        or kernel != (n, m)
        or given.get("divisor_override")
        or any(pair(given.get("padding", 0)))
    ):
        raise _NoConvolution
    pool = aten.avg_pool2d if "avg" in name or name == "mean" else aten.max_pool2d
    return _Value(at.call(pool.default, source.node, [n, m], [1, 1]), "cell")


def _reduces_channels(at: _Conversion, node: fx.Node, source: _Value) -> bool:
    """Whether a reduction (mean, amax) goes over more than positions."""
    given, before = arguments(node), node.all_input_nodes[0]
    if "dim" not in given:
        return False
    rank = len(shape(before))
    axes = [axis % rank for axis in given["dim"] or range(rank)]
    if source.form == "map":
        return any(at.places[before].letters[axis] in "bc" for axis in axes)
    return 0 in axes or _channel_axis(before) in axes


def _convert_batch_norm(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    if source.form == "cell" and _channel_axis(node) != 1:
        raise _NoConvolution
    if source.form == "flat" or (source.form == "map" and at.places[node].letters != "bchw"):
        raise _NoConvolution
    given = arguments(node)
    module = nn.BatchNorm2d(shape(node)[1], eps=given["eps"], device="meta").eval()
    at.fill(module, given, ("weight", "bias", "running_mean", "running_var"))
    return _Value(at.add_layer(node, module, source.node), source.form)


def _convert_layer_norm(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    """LayerNorm over the channels of every cell or position."""
    given = arguments(node)
    last_is_channel = at.places[node].letters[-1] == "c" if source.form == "map" else True
    channels = list(given["normalized_shape"])
    if source.form == "cell":
        last_is_channel = _channel_axis(node) == len(shape(node)) - 1
    if source.form == "flat" or len(channels) != 1 or not last_is_channel:
        raise _NoConvolution
    module = ChannelLayerNorm(channels, eps=given["eps"], device="meta")
    at.fill(module, given, ("weight", "bias"))
    return _Value(at.add_layer(node, module, source.node), source.form)


def _convert_softmax(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    axis = arguments(node)["dim"] % len(shape(node))
    if source.form != "cell" or axis != _channel_axis(node):
        raise _NoConvolution
    function = aten.log_softmax.int if "log" in operation(node) else aten.softmax.int
    return _Value(at.call(function, source.node, 1), "cell")


def _convert_cat(at: _Conversion, node: fx.Node, source: _Value) -> _Value:
    given = arguments(node)
    parts = [at.values.get(tensor) for tensor in given["tensors"]]
    axis = given["dim"] % len(shape(node))
    if source.form != "cell" or axis != _channel_axis(node):
        raise _NoConvolution
    if any(part is None or part.form != "cell" for part in parts):
        raise _NoConvolution
    return _Value(at.call(aten.cat.default, [part.node for part in parts if part], 1), "cell")


_MOVES = frozenset(
    {"view", "reshape", "flatten", "unflatten", "_unsafe_view", "squeeze", "unsqueeze"}
    | {"permute", "transpose"}
)
_CONVERTERS: dict[str, Callable[[_Conversion, fx.Node, _Value], _Value]] = {
    "linear": _convert_linear,
    "conv2d": _convert_convolution,
    "mean": _convert_pool,
    "amax": _convert_pool,
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
