"""The sizes of the tensors of a graph: shapes for a photo size, and the peak of memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from ..quiet import quiet
from .operation_facts import shares_memory


def shapes_at(body: fx.GraphModule, input_shape: tuple[int, ...]) -> dict[fx.Node, tuple[int, ...]]:
    """Shape of each node's tensor for an input of this shape, without computing values."""
    weights = next(body.parameters(), torch.empty(0))
    fake = torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)
    with quiet(), fake, torch.no_grad():
        photo = torch.empty(input_shape, dtype=weights.dtype, device=weights.device)
        return run_with_shapes(body, photo)[1]


def run_with_shapes(
    body: fx.GraphModule, photo: torch.Tensor
) -> tuple[torch.Tensor, dict[fx.Node, tuple[int, ...]]]:
    """What a graph gives for an input, and the shape of each node's tensor."""
    shapes: dict[fx.Node, tuple[int, ...]] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:
            result = super().run_node(node)
            if isinstance(result, torch.Tensor) and node.op != "output":
                shapes[node] = tuple(result.shape)
            return result

    return Recorder(body).run(photo), shapes


def peak_bytes(body: fx.GraphModule, shapes: Mapping[fx.Node, tuple[int, ...]]) -> int:
    """Peak of bytes of float32 activations, without weights.

    A tensor lives from the node that makes it to the last node that reads it; views and in-place
    operations take no memory.
    """
    order = {node: index for index, node in enumerate(body.graph.nodes)}
    owner: dict[fx.Node, fx.Node] = {}
    death: dict[fx.Node, int] = {}
    for node in body.graph.nodes:
        if node.op == "get_attr" or node not in shapes:
            continue
        source = next((n for n in node.all_input_nodes if n in owner), None)
        owner[node] = owner[source] if source is not None and shares_memory(node) else node
        last = max((order[user] for user in node.users), default=order[node])
        death[owner[node]] = max(last, death.get(owner[node], 0))
    changes: dict[int, int] = {}
    for node, last in death.items():
        size = 4 * math.prod(shapes[node])
        changes[order[node]] = changes.get(order[node], 0) + size
        changes[last + 1] = changes.get(last + 1, 0) - size
    alive = peak = 0
    for index in sorted(changes):
        alive += changes[index]
        peak = max(peak, alive)
    return peak
