"""A trunk as torch runs it fastest over a whole photo, with the kernels that bands use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional

from .graph import arguments, operation, pair, shape
from .kernels.convolution import Convolution
from .kernels.prepared import PreparedWeights


def one_pass_form(
    trunk: fx.GraphModule, prepared: Mapping[fx.Node, PreparedWeights]
) -> fx.GraphModule:
    """A copy of a trunk's graph, with the same parameters, whose convolutions take fast kernels.

    Args:
        trunk: photos (B, C, H, W) -> feature map (B, C, h, w); not changed.
        prepared: weights of its convolutions in another form, by node.
    """
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    graph.output(graph.graph_copy(trunk.graph, copies))
    form = fx.GraphModule(trunk, graph)
    for node, copy in copies.items():
        if operation(node) == "conv2d":
            _replace(form, copy, prepared.get(node))
    graph.eliminate_dead_code()
    form.recompile()
    return form


class _FastConvolution(nn.Module):
    """One convolution of the graph, and the uneven padding before it."""

    def __init__(
        self,
        convolution: Convolution,
        sides: tuple[int, int, int, int],
        prepared: PreparedWeights | None,
    ) -> None:
        super().__init__()
        self.convolution = convolution
        # Left, right, above and below, as functional.pad takes them.
        self.sides = sides
        self.prepared = prepared

    def forward(self, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if any(self.sides):
            # A copy of a few small kernels for one of a whole map.
            weight = functional.pad(weight, _lengthened(self.sides))
        return self.convolution(maps, weight, bias, self.prepared)


def _replace(form: fx.GraphModule, node: fx.Node, prepared: PreparedWeights | None) -> None:
    """Replace a conv2d by a :class:`_FastConvolution`."""
    given = arguments(node)
    source, padding = given["input"], pair(given["padding"])
    sides = _merged_sides(node)
    if any(sides):
        source = source.args[0]
        padding = (padding[0] + max(sides[2:]), padding[1] + max(sides[:2]))
    convolution = Convolution(
        pair(given["stride"]), padding, pair(given["dilation"]), given["groups"]
    )
    name = f"fast_{node.name}"
    form.add_submodule(name, _FastConvolution(convolution, sides, prepared))
    with form.graph.inserting_before(node):
        fast = form.graph.call_module(name, (source, given["weight"], given["bias"]))
    fast.meta = node.meta
    node.replace_all_uses_with(fast)
    form.graph.erase_node(node)


def _merged_sides(node: fx.Node) -> tuple[int, int, int, int]:
    """The zeros that a node before a depthwise convolution adds, where it can take them over.

    The kernel, lengthened by zeros, reads as far on both sides as on the longer one: with
    padding that oneDNN can apply, the same bits come without a copy of the whole map. It is
    more work in the kernel, which only depthwise convolutions do not notice: they wait for memory.
    """
    given = arguments(node)
    source: Any = given["input"]
    depthwise = given["groups"] > 1 and shape(given["weight"])[:2] == (given["groups"], 1)
    if operation(source) not in ("pad", "constant_pad_nd") or len(source.users) > 1:
        return (0, 0, 0, 0)
    pads = arguments(source)
    sides = [*pads["pad"], 0, 0][:4]
    zeros = pads.get("mode", "constant") == "constant" and not pads["value"]
    plain = len(pads["pad"]) <= 4 and min(sides) >= 0 and pair(given["dilation"]) == (1, 1)
    left, right, above, below = sides
    return (left, right, above, below) if depthwise and zeros and plain else (0, 0, 0, 0)


def _lengthened(sides: tuple[int, int, int, int]) -> list[int]:
    """Zeros to add to a kernel for padding that is longer on one side than on the other.

    >>> _lengthened((0, 1, 2, 1))
    [1, 0, 0, 1]
    """
    left, right, above, below = sides
    return [
        max(right - left, 0),
        max(left - right, 0),
        max(below - above, 0),
        max(above - below, 0),
    ]
