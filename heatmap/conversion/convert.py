"""Any classifier as a fully convolutional network."""

from __future__ import annotations

import torch
from torch import fx, nn

from ..errors import ConversionError, InexactError, Use, reason_of
from .check import check_against_original
from .dilation import NotByDilation, check_stride, densify
from .fuse import fuse as fuse_graph
from .heads import convert_head
from .network import FullyConvolutional
from .plan import Plan, plan_conversion
from .subgraphs import trunk_of
from .trace import recordable, trace


def convert(
    module: nn.Module,
    window: int = 224,
    stride: int | None = None,
    *,
    allow_inexact: bool = False,
    fuse: bool = True,
) -> FullyConvolutional:
    """Make a classifier fully convolutional; the module itself is left as it was.

    The head becomes convolutions over the trunk's feature map and equals the
    original head on every slice of it (checked here on a 2 x 2 grid, and on one
    window against the module itself).

    Args:
        module: float32 (B, 3, window, window) -> (B, K), in eval or training mode
            (converted as in eval mode).
        window: side of the classifier's input, px.
        stride: distance between windows, px: a divisor of the network's own (None).
            Finer ones are made by dilation; every k-th cell equals the native grid.
        allow_inexact: convert also a network whose scores depend on the whole
            input (squeeze-and-excitation, GroupNorm, GRN in the trunk).
        fuse: fold BatchNorm into convolutions and lay weights out for speed;
            without it every layer stands as in the original (``summary``).

    Raises:
        ConversionError: the network cannot slide; names the layer and the reason.
        InexactError: it can, but only inexactly.
        GeometryError: a stride that the network does not have.
    """
    # In inference mode the converted weights would keep no count of changes to them.
    with torch.inference_mode(False):
        return _converted(module, window, stride, allow_inexact, fuse)


def _converted(
    module: nn.Module, window: int, stride: int | None, allow_inexact: bool, fuse: bool
) -> FullyConvolutional:
    module = recordable(module)
    plan = plan_conversion(trace(module, window))
    stride = check_stride(stride, plan.native_stride_px)
    if plan.whole_input and not allow_inexact:
        raise InexactError(
            f"sliding would be inexact: {whole_input_reason(plan.whole_input)}",
            Use("engine", "crop"),
            Use("allow_inexact", True, "use {} to slide all the same"),
        )
    head, (trunk, stitched) = convert_head(plan), _trunk_at(plan, stride)
    if fuse:
        for part in (trunk, head):
            if isinstance(part, fx.GraphModule):
                fuse_graph(part)
    converted = FullyConvolutional(plan, trunk, head, stride, stitched=stitched).eval()
    try:
        check_against_original(module, plan, converted)
    except (RuntimeError, ValueError, IndexError) as error:
        side = window + plan.native_stride_px
        raise ConversionError(
            f"cannot slide: it does not run on {side} x {side} px ({reason_of(error)})",
            Use("engine", "crop"),
        ) from error
    return converted


def _trunk_at(plan: Plan, stride: int) -> tuple[fx.GraphModule, bool]:
    """The trunk at a stride, or the native one where its shifts must be stitched."""
    trunk = trunk_of(plan)
    if stride == plan.native_stride_px:
        return trunk, False
    # A mean over the whole input would count the positions in between too.
    if plan.whole_input:
        return trunk, True
    try:
        densify(trunk, stride)
    except NotByDilation:
        return trunk_of(plan), True
    return trunk, False


def whole_input_reason(whole_input: tuple[tuple[str, str], ...]) -> str:
    """Which layers look at the whole input, in words."""
    name, why = whole_input[0]
    others = len(whole_input) - 1
    more = f" and {others} more layer{'s' if others > 1 else ''}" if others else ""
    return f"{name} ({why}){more}"
