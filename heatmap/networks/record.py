"""Record a network as a program for inputs of any size, for files that other runtimes read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.experimental import _config as tracing_config


def recorded(
    module: nn.Module, name: str, example: Tensor, sizes: dict[int, Any]
) -> ExportedProgram:
    """A module of one input recorded for inputs of many sizes.

    Args:
        module: the module.
        name: name of its input.
        example: an input; no size that may differ should be 1.
        sizes: the axes whose lengths may differ, as ``torch.export.Dim``.

    Returns:
        The program, without assertions about recorded sizes and paths of this machine.
    """
    # Otherwise a size of 1 (a window, a photo) would be treated as a special case.
    with tracing_config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        program = torch.export.export(
            module.eval(),
            (example,),
            dynamic_shapes={name: sizes},
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        # Assertions about recorded sizes need not hold for others; the written file is compared
        # with the network instead.
        if node.target is torch.ops.aten._assert_scalar.default:
            graph.erase_node(node)
        node.meta.pop("stack_trace", None)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    # Megabytes of zeros.
    program.example_inputs = None
    return program
