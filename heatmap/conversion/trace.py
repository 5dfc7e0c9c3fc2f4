"""Record a module as a flat graph of tensor operations, with shapes and layer names.

``torch.export`` runs the module once at one window and records about twenty kinds of ATen
operations, for any architecture. Here the record is normalised: no in-place operations, no guards,
one output, constant parts computed, and "same" padding replaced by numbers.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses import fake_tensor
from torch.fx import config as fx_config
from torch.fx.experimental import proxy_tensor
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from ..errors import ConversionError, Use, reason_of
from ..quiet import quiet
from .graph import arguments, describe, operation, read_attribute, shape
from .operation_facts import Fact, has
from .pools import join_pools

# torch's own limit, and ours: the largest tensor of constants whose values are known while a
# module is recorded.
_LIMIT = "CONSTANT_NUMEL_LIMIT"
_CONSTANT_ELEMENTS = 1024
# torch's setting that leaves out the calls behind each operation; older ones have none.
_CALLERS = "do_not_emit_stack_traces"
_RECORDING = threading.RLock()


@dataclass(frozen=True)
class Traced:
    """A classifier as a flat, functional graph, recorded at one window.

    ``body`` has one placeholder, (1, channels, window, window), and one
    output, (1, K). It shares its parameters with the traced module; ``used`` are the names of
    those that scoring uses (without those of an auxiliary head).
    """

    body: fx.GraphModule
    window_px: int
    channels: int
    classes: int
    used: frozenset[str]

    @property
    def nodes(self) -> list[fx.Node]:
        return list(self.body.graph.nodes)


def recordable(module: nn.Module) -> nn.Module:
    """The module itself, or a copy in eval mode if torch cannot record it as it is.

    That is so if any part is in training mode, or a tensor was made under
    ``torch.inference_mode()``. Must be called outside inference mode.
    """
    tensors = (*module.parameters(), *module.buffers())
    trains = any(part.training for part in module.modules())
    if trains or any(tensor.is_inference() for tensor in tensors):
        return copy.deepcopy(module).eval()
    return module


def trace(module: nn.Module, window: int, channels: int = 3) -> Traced:
    """Record a classifier at one window; the module is not changed.

    Args:
        module: a classifier (B, channels, window, window) -> (B, K).
        window: side of its input, px.
        channels: number of channels of its input.

    Raises:
        ConversionError: the module cannot run at this size or be recorded, or
            does not give (1, K).
    """
    module = recordable(module)
    tensor = next((p for p in [*module.parameters(), *module.buffers()]), torch.empty(0))
    dtype = tensor.dtype if tensor.is_floating_point() else torch.float32
    example = torch.zeros(1, channels, window, window, device=tensor.device, dtype=dtype)
    try:
        with _undisturbed(), torch.no_grad():
            body = torch.export.export(module, (example,), strict=False).module()
    except Exception as error:
        name, reason = type(module).__name__, _reason(error)
        raise ConversionError(
            f"{name} cannot be recorded at {window} x {window} px: {reason}"
        ) from error
    assert isinstance(body, fx.GraphModule)
    _check_flat(body)
    _single_output(body)
    _make_functional(body)
    _drop_guards(body)
    used = frozenset(str(node.target) for node in body.graph.nodes if node.op == "get_attr")
    _fold_constants(body)
    join_pools(body)
    _write_out_same_padding(body)
    body.graph.lint()
    body.recompile()
    return Traced(body, window, channels, shape(_result(body))[1], used)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Record in silence, and one module at a time, since what is set here holds for all threads."""
    # torch prints the part of the graph that it has when it fails.
    with _RECORDING, quiet(), redirect_stderr(io.StringIO()), _known_constants(), _no_callers():
        yield


@contextmanager
def _no_callers() -> Iterator[None]:
    """Do not note where each operation was called from: it takes a tenth longer."""
    before = getattr(fx_config, _CALLERS, None)
    if before is None:
        # This torch has no such setting.
        yield
        return
    setattr(fx_config, _CALLERS, True)
    try:
        yield
    finally:
        setattr(fx_config, _CALLERS, before)


@contextmanager
def _known_constants() -> Iterator[None]:
    """Let Python decide by tensors made of numbers, as torchvision's normalize does by its std.

    While torch records, it knows the values only of tensors of one element.
    """
    modules = [module for module in (fake_tensor, proxy_tensor) if hasattr(module, _LIMIT)]
    before = [getattr(module, _LIMIT) for module in modules]
    for module in modules:
        setattr(module, _LIMIT, _CONSTANT_ELEMENTS)
    try:
        yield
    finally:
        for module, limit in zip(modules, before, strict=True):
            setattr(module, _LIMIT, limit)


def _check_flat(body: fx.GraphModule) -> None:
    """Refuse parts that are recorded as graphs of their own, as what runs under torch.autocast."""
    parts = dict(body.named_modules())
    for node in body.graph.nodes:
        if node.op == "get_attr" and str(node.target) in parts:
            user = next(iter(node.users), node)
            raise ConversionError(
                f"cannot slide at {describe(user)}: it runs with settings of its own (autocast)",
                Use("engine", "crop"),
            )


def _reason(error: Exception) -> str:
    if isinstance(error, GuardOnDataDependentSymNode):
        return "it decides by values of the photo what to compute (data-dependent)"
    return reason_of(error)


def _result(body: fx.GraphModule) -> fx.Node:
    """The node whose value the graph returns."""
    output = next(node for node in body.graph.nodes if node.op == "output")
    value = output.args[0]
    assert isinstance(value, fx.Node)
    return value


def _single_output(body: fx.GraphModule) -> None:
    """Make the graph return its single tensor instead of a nested structure."""
    output = next(node for node in body.graph.nodes if node.op == "output")
    tensors = [
        node for node in output.all_input_nodes if isinstance(node.meta.get("val"), torch.Tensor)
    ]
    if len(tensors) != 1 or len(shape(tensors[0])) != 2 or shape(tensors[0])[0] != 1:
        shapes = ", ".join(str(shape(node)) for node in tensors) or "no tensor"
        raise ConversionError(
            f"the module gives {shapes} for one window; a classifier gives one tensor (1, classes)"
        )
    output.args = (tensors[0],)
    body.graph._codegen = fx.graph.CodeGen()


def _make_functional(body: fx.GraphModule) -> None:
    """Replace in-place operations, so that a node's value never changes later."""
    order = {node: position for position, node in enumerate(body.graph.nodes)}
    for node in list(body.graph.nodes):
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None or not schema.is_mutable:
            continue
        changed = node.args[0]
        name = operation(node).removesuffix("_")
        packet = getattr(torch.ops.aten, name, None)
        if packet is None or not isinstance(changed, fx.Node):
            raise ConversionError(
                f"{describe(node)} changes a tensor in place", Use("engine", "crop")
            )
        aliases = [n for n in _aliases(changed) if order[n] < order[node]]
        if any(order[user] > order[node] for alias in aliases for user in alias.users):
            raise ConversionError(
                f"{describe(node)} changes part of a tensor that is used again",
                Use("engine", "crop"),
            )
        node.target = getattr(packet, node.target._overloadname)
        for user in list(changed.users):
            if order[user] > order[node]:
                user.replace_input_with(changed, node)


def _aliases(changed: fx.Node) -> set[fx.Node]:
    """All other nodes that may share memory with a node: what it is a view of, and its views."""
    path = [changed]
    while has(path[-1], Fact.VIEW) and isinstance(path[-1].args[0], fx.Node):
        path.append(path[-1].args[0])
    aliases, waiting = {path[-1]}, [path[-1]]
    while waiting:
        source = waiting.pop()
        # Other parts of a tensor (chunk, split) are not changed.
        views = [
            user
            for user in source.users
            if has(user, Fact.VIEW)
            and not (operation(user) == "getitem" and source in path and user not in path)
        ]
        waiting += [view for view in views if view not in aliases]
        aliases.update(views)
    return aliases - {changed}


def _drop_guards(body: fx.GraphModule) -> None:
    """Remove checks of the recorded shape and all unused nodes."""
    for node in reversed(list(body.graph.nodes)):
        if node.op not in ("placeholder", "output") and not node.users:
            body.graph.erase_node(node)
    for name in [name for name, _ in body.named_children() if name.startswith("_guards")]:
        delattr(body, name)


def _fold_constants(body: fx.GraphModule) -> None:
    """Compute once what does not depend on the photo (for example standardised weights)."""
    values: dict[fx.Node, Any] = {}
    for node in list(body.graph.nodes):
        if node.op == "get_attr":
            values[node] = read_attribute(body, str(node.target))
            node.meta.setdefault("val", values[node])
        elif node.op == "call_function" and all(n in values for n in node.all_input_nodes):
            with torch.no_grad():
                args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = node.target(*args, **kwargs)
    for node, value in values.items():
        needed = any(user not in values for user in node.users)
        if node.op == "call_function" and needed and isinstance(value, torch.Tensor):
            _replace_by_constant(body, node, value)
    _drop_guards(body)


def _replace_by_constant(body: fx.GraphModule, node: fx.Node, value: torch.Tensor) -> None:
    """Replace a node by its constant value: a parameter if it was computed from one."""
    name = f"constant_{node.name}"
    parents = [p for p in _parents(body, node) if isinstance(p, nn.Parameter)]
    if parents:
        trainable = any(parent.requires_grad for parent in parents)
        body.register_parameter(name, nn.Parameter(value.detach(), requires_grad=trainable))
    else:
        body.register_buffer(name, value.detach())
    with body.graph.inserting_before(node):
        constant = body.graph.get_attr(name)
    constant.meta = dict(node.meta)
    node.replace_all_uses_with(constant)


def _parents(body: fx.GraphModule, node: fx.Node) -> list[torch.Tensor]:
    """All parameters and buffers that a node is computed from."""
    if node.op == "get_attr":
        return [read_attribute(body, str(node.target))]
    return [parent for source in node.all_input_nodes for parent in _parents(body, source)]


def _write_out_same_padding(body: fx.GraphModule) -> None:
    """Replace padding="same" of conv2d by numbers, with a separate pad where it is uneven."""
    for node in list(body.graph.nodes):
        if operation(node) != "conv2d" or not isinstance(arguments(node)["padding"], str):
            continue
        given = arguments(node)
        kernel = shape(given["weight"])[2:]
        totals = [0, 0]
        if given["padding"] == "same":
            totals = [d * (k - 1) for d, k in zip(given["dilation"], kernel, strict=True)]
        source, padding = given["input"], [total // 2 for total in totals]
        if any(total % 2 for total in totals):
            source = _insert_pad(body, node, totals)
            padding = [0, 0]
        node.target = torch.ops.aten.conv2d.default
        node.args = (source, given["weight"], given["bias"], given["stride"], padding)
        node.args += (given["dilation"], given["groups"])
        node.kwargs = {}


def _insert_pad(body: fx.GraphModule, node: fx.Node, totals: list[int]) -> fx.Node:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    down, across = totals
    sides = [across // 2, across - across // 2, down // 2, down - down // 2]
    with body.graph.inserting_before(node):
        pad = body.graph.call_function(torch.ops.aten.constant_pad_nd.default, (source, sides))
    pad.meta = {
        **node.meta,
        "val": torch.ops.aten.constant_pad_nd.default(source.meta["val"], sides),
    }
    return pad
