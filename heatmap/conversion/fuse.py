"""Optimise a converted network for inference without changing what it computes."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .graph import arguments, operation, read_attribute, shape
from .operation_facts import Fact, has

aten = torch.ops.aten


def fuse(body: fx.GraphModule) -> None:
    """Fold BatchNorm into convolutions, use in-place operations, and lay weights out channels_last.

    Changes the graph ``body`` in place; its tensors are replaced, never written to.
    """
    _fold_batch_norm(body)
    _overwrite(body)
    _channels_last(body)
    body.graph.eliminate_dead_code()
    body.delete_all_unused_submodules()
    body.graph.lint()
    body.recompile()


def _fold_batch_norm(body: fx.GraphModule) -> None:
    """Fold BatchNorm, in eval mode a scale and a shift, into the convolution before it."""
    for node in list(body.graph.nodes):
        if operation(node) != "batch_norm":
            continue
        norm = arguments(node)
        source = norm["input"]
        if operation(source) != "conv2d" or len(source.users) > 1:
            continue
        conv = arguments(source)
        tensors = [conv["weight"], conv["bias"], norm["running_mean"], norm["running_var"]]
        weight, bias, mean, var, scale, shift = (
            _value(body, n) for n in [*tensors, norm["weight"], norm["bias"]]
        )
        assert weight is not None
        assert mean is not None
        assert var is not None
        folded = fuse_conv_bn_weights(weight, bias, mean, var, norm["eps"], scale, shift)
        args = list(source.args) + [None] * (3 - len(source.args))
        args[1:3] = [
            _register(body, source, kind, p)
            for kind, p in zip(("weight", "bias"), folded, strict=True)
        ]
        source.args = tuple(args)
        source.kwargs = {k: v for k, v in source.kwargs.items() if k not in ("weight", "bias")}
        node.replace_all_uses_with(source)
        body.graph.erase_node(node)


def _value(body: fx.GraphModule, node: fx.Node | None) -> torch.Tensor | None:
    return None if node is None else read_attribute(body, str(node.target)).detach()


def _register(body: fx.GraphModule, conv: fx.Node, kind: str, value: torch.Tensor) -> fx.Node:
    name = f"folded_{conv.name}_{kind}"
    body.register_parameter(name, nn.Parameter(value.detach(), requires_grad=False))
    with body.graph.inserting_before(conv):
        constant = body.graph.get_attr(name)
    constant.meta["val"] = value
    return constant


def _overwrite(body: fx.GraphModule) -> None:
    """Use the in-place form of operations whose input is new memory that nothing else reads."""
    for node in body.graph.nodes:
        if not has(node, Fact.OVERWRITES):
            continue
        _put_dying_first(node)
        packet = getattr(aten, operation(node) + "_", None)
        overload = getattr(node.target, "_overloadname", "")
        if _can_overwrite(node, node.args[0]) and overload in getattr(packet, "overloads", list)():
            node.target = getattr(packet, overload)


def _put_dying_first(node: fx.Node) -> None:
    """Swap the operands of a sum or product if only the second may be overwritten."""
    first, second, *_ = (*node.args, None, None)
    swaps = has(node, Fact.SWAPS) and len(node.args) == 2 and not node.kwargs
    if swaps and not _can_overwrite(node, first) and _can_overwrite(node, second):
        node.args = (second, first)


def _can_overwrite(node: fx.Node, source: object) -> bool:
    """Whether an operation's output may take the place of one of its inputs in memory."""
    return (
        isinstance(source, fx.Node)
        and _dies(source)
        # Once by this node, and not as its other operand too.
        and list(source.users) == [node]
        and [*node.args, *node.kwargs.values()].count(source) == 1
        # Nodes made for the head were not recorded and have no shape.
        and "val" in source.meta
        and "val" in node.meta
        and shape(source) == shape(node)
        and source.meta["val"].dtype == node.meta["val"].dtype
    )


def _dies(node: fx.Node) -> bool:
    """Whether a tensor lies in memory that was made for it and is read through it only."""
    while has(node, Fact.VIEW) and has(node, Fact.REARRANGES):
        source = node.args[0]
        if not isinstance(source, fx.Node) or len(source.users) > 1:
            return False
        node = source
    # In-place forms come from this module only, so what they overwrite is their own.
    return operation(node).endswith("_") or has(node, Fact.FRESH | Fact.OVERWRITES)


def _channels_last(body: fx.GraphModule) -> None:
    """Lay convolution weights out channels_last, like the feature maps."""
    # The caller's module shares these Parameters: put new ones in their place.
    for path, parameter in list(body.named_parameters()):
        if parameter.dim() != 4:
            continue
        owner, _, name = path.rpartition(".")
        kept = parameter.detach().contiguous(memory_format=torch.channels_last)
        setattr(
            body.get_submodule(owner),
            name,
            nn.Parameter(kept, requires_grad=parameter.requires_grad),
        )
