"""Take a trained network apart: its trunk, and the layers after the feature map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import fx, nn

from ..conversion.graph import arguments, operation, shape
from ..conversion.heads import convert_head
from ..conversion.layers import MeanOfWindow, PoolOfOne, SlidingLinear
from ..conversion.plan import Plan, plan_conversion
from ..conversion.subgraphs import trunk_of
from ..conversion.trace import trace
from ..errors import ModelError
from .adapted import Elementwise


@dataclass(frozen=True)
class TrainedParts:
    """A trained network taken apart.

    Attributes:
        name: name of the network, for error messages.
        trunk: photos (B, 3, H, W) -> feature map (B, C, h, w), with copies of the parameters.
        stride_px: stride of the feature map, in px of the photo.
        hidden: the layers between the feature map and ``last``, without pools.
        last: the layer that gives the classes.
        lost: a part of the head that no new head has (a maximum over positions, or an activation
            after the last layer), or "".
        window_px: side of the window that it was trained on, px.
        kernel_side: side of the input of its first fully connected layer, in positions.
    """

    name: str
    trunk: fx.GraphModule
    stride_px: int
    hidden: tuple[nn.Module, ...]
    last: SlidingLinear
    lost: str
    window_px: int
    kernel_side: int


def trained_parts(module: nn.Module, window: int, name: str, channels: int = 3) -> TrainedParts:
    """Take a network apart; ``module`` is not changed.

    Args:
        module: the network, in eval mode.
        window: side of the window that it was trained on, px.
        name: its name in error messages.
        channels: number of channels of its input.

    Raises:
        ModelError: its head is not a sequence of layers that ends in the classes.
        ConversionError: it has no trunk that slides.
    """
    plan = plan_conversion(trace(module, window, channels))
    head = convert_head(plan)
    if isinstance(head, fx.GraphModule) and not _has_linears(head):
        plan = _before_last_convolution(plan, name)
        head = convert_head(plan)
    layers = _row_of_layers(head, name)
    linears = [index for index, layer in enumerate(layers) if isinstance(layer, SlidingLinear)]
    if not linears:
        raise unusable(name, "it has no fully connected layer after its feature map")
    first, last = layers[linears[0]], layers[linears[-1]]
    assert isinstance(first, SlidingLinear)
    assert isinstance(last, SlidingLinear)
    return TrainedParts(
        name=name,
        trunk=_own_trunk(plan),
        stride_px=plan.native_stride_px,
        hidden=tuple(layers[: linears[-1]]),
        last=last,
        lost=_lost(head, layers[linears[-1] + 1 :]),
        window_px=window,
        kernel_side=first.kernel_size[0],
    )


def unusable(name: str, reason: str) -> ModelError:
    """The error for a network that cannot be given another head."""
    return ModelError(f"{name} cannot be adapted: {reason}")


def _own_trunk(plan: Plan) -> fx.GraphModule:
    """The trunk with copies of the parameters, so that training does not change the original."""
    trunk = trunk_of(plan)
    for path, parameter in list(trunk.named_parameters()):
        owner, _, kind = path.rpartition(".")
        setattr(trunk.get_submodule(owner), kind, nn.Parameter(parameter.detach().clone()))
    return trunk


def _lost(head: nn.Module, behind_last: Sequence[nn.Module]) -> str:
    """A part of the converted head that no new head has, or ""."""
    assert isinstance(head, fx.GraphModule)
    if any("max_pool" in operation(node) for node in head.graph.nodes):
        return "a maximum over positions"
    functions = [layer.function for layer in behind_last if isinstance(layer, Elementwise)]
    return f"{functions[0].overloadpacket.__name__} after its last layer" if functions else ""


def _has_linears(head: nn.Module) -> bool:
    return any(isinstance(part, SlidingLinear) for part in head.modules())


def _before_last_convolution(plan: Plan, name: str) -> Plan:
    """The plan with the convolution that gives the classes moved from the trunk to the head."""
    node = plan.feature
    behind: set[fx.Node] = set()
    while operation(node) != "conv2d" and len(node.all_input_nodes) == 1:
        behind.add(node)
        node = node.all_input_nodes[0]
    if operation(node) != "conv2d" or shape(arguments(node)["weight"])[2:] != (1, 1):
        raise unusable(name, "no layer with weights gives its classes from the feature map")
    behind |= {node, *(source for source in node.all_input_nodes if source.op == "get_attr")}
    return replace(
        plan,
        feature=arguments(node)["input"],
        trunk=tuple(node for node in plan.trunk if node not in behind),
        head=tuple(node for node in plan.trunk if node in behind) + plan.head,
    )


def _row_of_layers(head: nn.Module, name: str) -> list[nn.Module]:
    """The layers of a converted head in sequence, without its pools."""
    if not isinstance(head, fx.GraphModule):
        raise unusable(name, "its head has an operation that has no convolutional form")
    nodes = [node for node in head.graph.nodes if node.op not in ("placeholder", "output")]
    layers = [_layer(head, node, name) for node in nodes]
    return [layer for layer in layers if layer is not None]


def _layer(head: fx.GraphModule, node: fx.Node, name: str) -> nn.Module | None:
    """One step of a converted head as a module; None for a pool."""
    sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
    if len(sources) != 1 or len(node.all_input_nodes) != 1 or len(node.users) != 1:
        raise unusable(name, "its head is not a plain sequence of layers")
    kind = operation(node)
    if node.op == "call_module":
        part = head.get_submodule(str(node.target))
        return None if isinstance(part, PoolOfOne | MeanOfWindow) else part
    if kind == "dropout":
        return nn.Dropout(arguments(node)["p"])
    if "pool" in kind:
        return None
    if node.args[0] is not sources[0] or sources[0] in node.args[1:]:
        raise unusable(name, f"its head has {kind}, which is not a layer with one input")
    return Elementwise(node.target, tuple(node.args[1:]), dict(node.kwargs))
