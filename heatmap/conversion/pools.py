"""Pools over several axes in one form, however a network spells them.

``x.mean(3).mean(2)``, ``x.max(3)[0].max(2)[0]`` and ``einsum("bchw->bc", x)`` become mean, amax and
sum over both axes at once: what rules and heads know.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from .graph import arguments, operation, shape

aten = torch.ops.aten

# Reductions over one axis after another that equal the one over all of them.
_JOINABLE: dict[str, Callable[..., Any]] = {
    "mean": aten.mean.dim,
    "sum": aten.sum.dim_IntList,
    "amax": aten.amax.default,
    "amin": aten.amin.default,
    "logsumexp": aten.logsumexp.default,
}
_WITH_INDICES = {"max": aten.amax.default, "min": aten.amin.default}


def join_pools(body: fx.GraphModule) -> None:
    """Rewrite the pools of a recorded graph in place."""
    for node in list(body.graph.nodes):
        if operation(node) in _WITH_INDICES and "dim" in _given(node):
            _leave_out_indices(node)
        elif operation(node) == "einsum":
            _write_as_sum(node)
    for node in list(body.graph.nodes):
        if _reduces(node) and _reduces(node.args[0]) and _are_joined(node):
            _join(node)


def _given(node: fx.Node) -> dict[str, Any]:
    return arguments(node) if isinstance(node.target, torch._ops.OpOverload) else {}


def _call(before: fx.Node, function: Any, *args: Any) -> fx.Node:
    """A new node before another one, from the same layer."""
    with before.graph.inserting_before(before):
        node = before.graph.call_function(function, args)
    shapes = fx.map_arg(args, lambda source: source.meta["val"])
    node.meta = {**before.meta, "val": function(*shapes)}
    return node


def _replace(node: fx.Node, by: fx.Node) -> None:
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)


def _leave_out_indices(node: fx.Node) -> None:
    """The largest or smallest values alone, where nothing reads at which positions they are."""
    values = list(node.users)
    if any(user.target is not operator.getitem or user.args[1] != 0 for user in values):
        return
    given = arguments(node)
    axes = [given["dim"] % len(shape(given["self"]))]
    reduced = _call(node, _WITH_INDICES[operation(node)], given["self"], axes, given["keepdim"])
    for user in values:
        _replace(user, reduced)
    node.graph.erase_node(node)


def _write_as_sum(node: fx.Node) -> None:
    """An einsum of one tensor that only leaves axes out."""
    given = arguments(node)
    before, arrow, after = given["equation"].replace(" ", "").partition("->")
    kept = "".join(letter for letter in before if letter in after)
    plain = before.isalpha() and len(set(before)) == len(before)
    if not arrow or len(given["tensors"]) != 1 or not plain or kept != after or before == after:
        return
    axes = [axis for axis, letter in enumerate(before) if letter not in after]
    _replace(node, _call(node, aten.sum.dim_IntList, given["tensors"][0], axes))


def _reduces(node: Any) -> bool:
    """Whether a node is a reduction over given axes that can be joined with another."""
    if not isinstance(node, fx.Node) or node.target not in _JOINABLE.values():
        return False
    given = arguments(node)
    return bool(given["dim"]) and given.get("dtype") is None


def _are_joined(node: fx.Node) -> bool:
    """Whether a reduction is of the same kind as its source, which nothing else reads."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return source.target is node.target and len(source.users) == 1


def _join(node: fx.Node) -> None:
    source, outer = node.args[0], arguments(node)
    assert isinstance(source, fx.Node)
    inner = arguments(source)
    rank = len(shape(inner["self"]))
    first = {axis % rank for axis in inner["dim"]}
    left = [axis for axis in range(rank) if inner["keepdim"] or axis not in first]
    second = {left[axis % len(left)] for axis in outer["dim"]}
    dropped = set() if inner["keepdim"] else first
    dropped = dropped if outer["keepdim"] else dropped | second
    axes, keeps = sorted(first | second), dropped != first | second
    joined = _call(node, node.target, inner["self"], axes, keeps)
    if keeps and dropped:
        joined = _call(node, aten.squeeze.dims, joined, sorted(dropped))
    _replace(node, joined)
    source.graph.erase_node(source)
