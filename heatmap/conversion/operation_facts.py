"""The table of facts about ATen operations: which copy, view, are element-wise, linear, ...

What an operation does to axes is in rules.py, its conversion in a head in heads.py, at a finer
stride in dilation.py, and for any size in subgraphs.py.
"""

from __future__ import annotations

from enum import Flag, auto

import torch
from torch import fx

from .graph import operation


class Fact(Flag):
    """Facts that hold for an operation whatever its arguments."""

    # Returns its input's values, possibly in other memory.
    COPY = auto()
    # Returns its input's values, possibly in another dtype or on another device.
    CAST = auto()
    # Returns its input's values unless in training.
    DROPOUT = auto()
    # Any of these three.
    IDENTITY = COPY | CAST | DROPOUT
    # Every output value comes from the input values at its own position only. Most such
    # operations carry torch's own tag for it; ask `is_elementwise`.
    ELEMENTWISE = auto()
    # Its output is a view of its input's memory.
    VIEW = auto()
    # Only regroups or reorders axes.
    REARRANGES = auto()
    # Linear (or affine): commutes with a mean.
    LINEAR = auto()
    # Linear if only one of its operands depends on the photo.
    ARITHMETIC = auto()
    # Its output is new memory, which the next operation may overwrite.
    FRESH = auto()
    # Has an in-place form that is worth using.
    OVERWRITES = auto()
    # Gives the same bits with its two operands swapped.
    SWAPS = auto()


# Operations that only move axes, without copying.
_MOVED = Fact.VIEW | Fact.REARRANGES | Fact.LINEAR
# Arithmetic of two operands, into new memory or that of the first.
_COMPUTED = Fact.ARITHMETIC | Fact.FRESH | Fact.OVERWRITES

OPERATIONS: dict[str, Fact] = {
    "_to_copy": Fact.CAST,
    "_unsafe_view": Fact.REARRANGES | Fact.LINEAR,
    "add": _COMPUTED | Fact.SWAPS,
    "alias": Fact.COPY,
    "alpha_dropout": Fact.DROPOUT,
    "avg_pool2d": Fact.FRESH,
    "batch_norm": Fact.LINEAR | Fact.FRESH,
    "cat": Fact.LINEAR | Fact.FRESH,
    "chunk": Fact.VIEW,
    "clone": Fact.COPY,
    "contiguous": Fact.COPY,
    "conv2d": Fact.LINEAR | Fact.FRESH,
    "detach": Fact.COPY,
    "div": _COMPUTED,
    "dropout": Fact.DROPOUT | Fact.ELEMENTWISE,
    "elu": Fact.OVERWRITES,
    "expand": Fact.VIEW,
    "expand_as": Fact.VIEW,
    "feature_dropout": Fact.DROPOUT,
    "flatten": _MOVED,
    "gelu": Fact.OVERWRITES,
    "getitem": Fact.VIEW | Fact.LINEAR,
    "hardswish": Fact.OVERWRITES | Fact.ELEMENTWISE,
    "hardsigmoid": Fact.OVERWRITES | Fact.ELEMENTWISE,
    "hardtanh": Fact.OVERWRITES,
    "layer_norm": Fact.FRESH,
    "leaky_relu": Fact.OVERWRITES,
    "lift_fresh_copy": Fact.CAST,
    "linear": Fact.LINEAR | Fact.FRESH,
    "max_pool2d": Fact.FRESH,
    "mish": Fact.OVERWRITES,
    "movedim": Fact.VIEW,
    "mul": _COMPUTED | Fact.SWAPS,
    "narrow": Fact.VIEW,
    "permute": _MOVED,
    "relu": Fact.OVERWRITES,
    "relu6": Fact.OVERWRITES,
    "reshape": _MOVED,
    "reshape_as": Fact.VIEW,
    "select": Fact.VIEW,
    "sigmoid": Fact.OVERWRITES,
    "silu": Fact.OVERWRITES,
    "slice": Fact.VIEW,
    "split": Fact.VIEW,
    "split_with_sizes": Fact.VIEW,
    "squeeze": _MOVED,
    "sub": _COMPUTED,
    "tanh": Fact.OVERWRITES,
    "to": Fact.CAST,
    "transpose": _MOVED,
    "unbind": Fact.VIEW,
    "unflatten": _MOVED,
    "unsqueeze": _MOVED,
    "view": _MOVED,
    "view_as": Fact.VIEW,
}


def has(node: fx.Node, facts: Fact) -> bool:
    """Whether any of these facts is true of a node's operation."""
    return bool(OPERATIONS.get(operation(node), Fact(0)) & facts)


def is_elementwise(node: fx.Node) -> bool:
    """Whether every output value depends on the input values at its own position only."""
    tags = getattr(node.target, "tags", ())
    return torch.Tag.pointwise in tags or has(node, Fact.ELEMENTWISE)


def shares_memory(node: fx.Node) -> bool:
    """Whether a node's output is its input's memory: a view, or overwritten in place."""
    return has(node, Fact.VIEW) or operation(node).endswith("_")
