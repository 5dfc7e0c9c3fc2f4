"""Access to nodes of a recorded graph: operation, arguments, shape and layer."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn


def operation(node: fx.Node) -> str:
    """Name of a node's ATen operation ("conv2d"), or "" if it has none."""
    if node.target is operator.getitem:
        return "getitem"
    packet = getattr(node.target, "overloadpacket", None)
    return packet.__name__ if packet is not None else ""


def arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of a node by name, with the operation's defaults filled in."""
    assert isinstance(node.target, torch._ops.OpOverload)
    values: dict[str, Any] = {}
    for index, argument in enumerate(node.target._schema.arguments):
        if index < len(node.args):
            values[argument.name] = node.args[index]
        else:
            values[argument.name] = node.kwargs.get(argument.name, argument.default_value)
    return values


def shape(node: fx.Node) -> tuple[int, ...]:
    """Shape of a node's tensor (the first of several) at one window."""
    value = node.meta["val"]
    tensor = value[0] if isinstance(value, (tuple, list)) else value
    return tuple(int(length) for length in tensor.shape)


def photo_channels(body: fx.GraphModule) -> int:
    """How many channels the photos have that a recorded graph takes."""
    return shape(next(node for node in body.graph.nodes if node.op == "placeholder"))[1]


def layer(node: fx.Node) -> tuple[str, str]:
    """Path and class of the layer a node came from ("layer1.0.conv1", "Conv2d")."""
    stack = node.meta.get("nn_module_stack") or {}
    if not stack:
        return node.name, ""
    path, kind = list(stack.values())[-1]
    kind_name = kind if isinstance(kind, str) else kind.__name__
    return path or node.name, kind_name.rsplit(".", 1)[-1]


def describe(node: fx.Node) -> str:
    """Name of a node for error messages: "layer1.0.conv1 (conv2d)"."""
    return f"{layer(node)[0]} ({operation(node) or node.target})"


def read_attribute(body: nn.Module, path: str) -> torch.Tensor:
    """The parameter or buffer at a dotted path."""
    owner, _, name = path.rpartition(".")
    value = getattr(body.get_submodule(owner), name)
    assert isinstance(value, torch.Tensor)
    return value


def pair(value: Any) -> tuple[int, int]:
    """An int, [n] or [n, m] as (n, m)."""
    numbers = [value] if isinstance(value, int) else list(value)
    return (numbers[0], numbers[-1])
