"""Make an ONNX model compute some of its outputs only where a run asks for them.

ONNX Runtime computes every output of a model, asked for or not. So the layers that only one output
needs move into the branch of an `If`, whose condition is an input of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..prepared.session import request_of


def compute_on_request(model: Any, names: Sequence[str]) -> None:
    """Compute each of some outputs only if its request, a new boolean input, is true.

    An output that is not requested is an empty array of as many axes. The model is changed.

    Args:
        model: ``onnx_ir.Model``.
        names: the outputs, float32. What several outputs need is always computed.
    """
    outputs = {value.name: value for value in model.graph.outputs}
    needed = {name: _ancestors(value) for name, value in outputs.items()}
    model.graph.outputs.clear()
    for name, value in outputs.items():
        if name in names:
            others = set[Any]().union(*(needed[other] for other in outputs if other != name))
            value = _on_request(model.graph, value, needed[name] - others)
        model.graph.outputs.append(value)


def _ancestors(value: Any) -> set[Any]:
    """The nodes that compute a value."""
    found: set[Any] = set()
    values = [value]
    while values:
        node = values.pop().producer()
        if node is not None and node not in found:
            found.add(node)
            values += [each for each in node.inputs if each is not None]
    return found


def _on_request(graph: Any, value: Any, own: set[Any]) -> Any:
    """The output of an `If` that computes ``value`` by its ``own`` nodes, or nothing."""
    import onnx_ir

    name = value.name
    request = onnx_ir.val(request_of(name), onnx_ir.DataType.BOOL, [])
    graph.inputs.append(request)
    nodes = [node for node in graph if node in own]
    graph.remove(nodes)
    value.name = f"{name}_computed"
    empty = np.zeros((0,) * len(value.shape), np.float32)
    nothing = onnx_ir.node("Constant", [], {"value": onnx_ir.tensor(empty)}, name=f"{name}_empty")
    nothing.outputs[0].name = f"{name}_empty"
    branches = {
        "then_branch": onnx_ir.Graph([], [value], nodes=nodes, name=f"{name}_requested"),
        "else_branch": onnx_ir.Graph([], nothing.outputs, nodes=[nothing], name=f"{name}_left_out"),
    }
    chosen = onnx_ir.node("If", [request], branches, name=f"{name}_on_request")
    (output,) = chosen.outputs
    output.name, output.type, output.shape = name, value.type, value.shape
    graph.append(chosen)
    return output
