"""`HeadGraph`: a converted head under construction, with its layers and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

from .graph import arguments, layer, operation, pair, read_attribute, shape
from .layout import Call, CannotSlide, Caveats, Layout
from .plan import Plan
from .rules import layout_of

HeadForm = Literal["map", "flat", "cell"]


class NoConvolution(Exception):  # noqa: N818 - a signal to heads.py, not an error
    """The head has an operation without a convolutional form."""


@dataclass(frozen=True)
class HeadValue:
    """A converted tensor: its node (B, C, N, M), its form, and the order of a flat one."""

    node: fx.Node
    form: HeadForm
    order: str = ""


class HeadGraph:
    """The graph into which the nodes of a head are converted.

    ``pooled`` says whether pools are included, or left out and counted.
    """

    def __init__(self, plan: Plan, *, pooled: bool = True) -> None:
        self.plan = plan
        self.pooled = pooled
        self.pools_left_out = 0
        self.graph = fx.Graph()
        self.layers: dict[str, nn.Module] = {}
        # Letters inside a slice: like the plan's, but a pool to the size that the
        # map already has changes nothing here.
        self.layouts: dict[fx.Node, Layout] = {plan.feature: Layout(plan.letters)}
        entry = self.graph.placeholder("features")
        self.values: dict[fx.Node, HeadValue] = {plan.feature: HeadValue(entry, "map")}

    def lay_out(self, node: fx.Node) -> None:
        """Compute a node's layout inside a slice.

        Raises:
            NoConvolution: there is no rule for it.
        """
        try:
            self.layouts[node] = layout_of(Call(node, self.layouts, Caveats()))
        except (CannotSlide, IndexError) as error:
            raise NoConvolution from error
        if keeps_size(node, self.plan.map_hw):
            self.layouts[node] = self.layouts[node.all_input_nodes[0]]

    def call(self, function: Any, *args: Any) -> fx.Node:
        """A new node: a function of others."""
        return self.graph.call_function(function, args)

    def constant(self, node: fx.Node) -> torch.Tensor:
        """The parameter or buffer of the original that a node reads.

        Raises:
            NoConvolution: it is computed instead.
        """
        if node.op != "get_attr":
            raise NoConvolution
        return read_attribute(self.plan.traced.body, str(node.target))

    def add_layer(self, node: fx.Node, module: nn.Module, source: fx.Node) -> fx.Node:
        """A new node: a layer, under the path of the one that ``node`` came from."""
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
        parameter = nn.Parameter(value.detach(), requires_grad=value.requires_grad)
        holder.register_parameter("value", parameter)
        self.layers[f"constants.{name}"] = holder
        return self.graph.get_attr(f"constants.{name}.value")

    def per_channel(self, node: fx.Node, source: fx.Node, value: HeadValue) -> fx.Node:
        """A constant operand: one value, or one per channel, placed on the channel axis."""
        constant = self.constant(source)
        if constant.numel() == 1:
            return self.buffer(source.name, constant.reshape(()))
        if value.form == "flat":
            raise NoConvolution
        rank = len(shape(node))
        lengths = (1,) * (rank - constant.dim()) + tuple(constant.shape)
        letters = self.layouts[node].letters
        axis = letters.index("c") if value.form == "map" else channel_axis(node)
        if constant.numel() != lengths[axis] or set(letters) - set("bchwt"):
            raise NoConvolution
        return self.buffer(source.name, constant.reshape(-1, 1, 1))

    def finish(self, final: HeadValue) -> fx.GraphModule:
        """The converted head as a module with the output ``final``."""
        if final.form != "cell":
            raise NoConvolution
        self.graph.output(final.node)
        body = fx.GraphModule(nn.Module(), fx.Graph())
        for path, module in self.layers.items():
            body.add_submodule(path, module)
        body.graph = self.graph
        return body


def keeps_size(node: fx.Node, map_hw: tuple[int, int]) -> bool:
    """Whether a node is an adaptive pool to the size that the map of one window already has."""
    if operation(node) not in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        return False
    wanted = pair(arguments(node)["output_size"])
    return wanted == map_hw == shape(node.all_input_nodes[0])[-2:]


def channel_axis(node: fx.Node) -> int:
    """The one axis of a cell that holds its vector; all others have length 1."""
    lengths = shape(node)
    long = [axis for axis in range(1, len(lengths)) if lengths[axis] != 1]
    if len(long) > 1:
        raise NoConvolution
    return long[0] if long else 1
