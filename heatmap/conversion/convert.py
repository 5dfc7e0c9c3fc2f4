"""`convert`: any classifier as a fully convolutional network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn

from ..choices import Statistics, check_statistics
from ..errors import ConversionError, InexactError, ModelError, Use, reason_of
from ..geometry import window_side
from ..quiet import quiet
from ..strides import check_stride
from .check import check_against_original
from .dilation import NotByDilation, densify
from .fuse import fuse as fuse_graph
from .heads import convert_head
from .local_trunk import sliding_trunk_of
from .network import FullyConvolutional
from .plan import Plan, plan_conversion
from .pooled_part import PooledPart
from .trace import recordable, trace
from .usable import is_script, usable


def convert(
    module: nn.Module,
    window: int = 224,
    stride: int | None = None,
    *,
    statistics: Statistics | None = None,
    fuse: bool = True,
) -> FullyConvolutional:
    """Make a classifier fully convolutional, so that it scores all windows of a photo in one pass.

    The head becomes convolutions over the trunk's feature map (Long, Shelhamer and Darrell,
    "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 3.1) and equals
    the original head on every slice of it. This is checked on 2 x 2 windows of noise, and on one
    window against the module itself, to 1e-3 of the largest score. The module is not changed.

    >>> from heatmap import convert
    >>> pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> network = convert(nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), *pooled), window=32)
    >>> network(torch.zeros(1, 3, 40, 48)).shape
    torch.Size([1, 5, 3, 5])

    Args:
        module: a classifier (B, 3, window, window) -> (B, K), or (B, 1, window, window) in grey.
            Of what it gives the scores may also be ``.logits``, a key "logits" or "out", or the
            only element of a tuple. A copy is converted if it trains or has another precision
            than float32. On the "meta" device nothing is checked.
        window: side of the classifier's square input, px.
        stride: distance between windows, px: a divisor of the native stride; None is the native
            stride. Finer strides use dilation; every k-th cell equals the native grid.
        statistics: over what networks take statistics that look at their whole input
            (squeeze-and-excitation, GroupNorm, GRN): "local" over a window around each position,
            "whole" over the whole photo, both approximations; None refuses such networks.
        fuse: fold BatchNorm into convolutions and optimise the layout of weights; otherwise
            all layers are as in the original.

    Returns:
        A module (B, C, H, W) -> (B, K, N, M) in float32 and eval mode, with N = (H - window) //
        stride + 1 and M = (W - window) // stride + 1. Its scores are those of the module, logits
        or probabilities.

    Raises:
        ConversionError: the network cannot slide, or gives something else than scores (B, K);
            the error names the layer and the reason.
        InexactError: it can slide only inexactly; the error names the layers that depend on the
            whole input.
        GeometryError: the network cannot slide at this stride; the error lists those possible.
    """
    # In inference mode the converted weights would have no version counters.
    with torch.inference_mode(False):
        try:
            side = window_side(window)
            ready = usable(module, side, type(module).__name__)
        except ModelError as error:
            raise ConversionError(error.message, *error.ways) from error
        options: dict[str, Any] = {"statistics": check_statistics(statistics), "fuse": fuse}
        return convert_usable(ready.module, side, stride, channels=ready.channels, **options)


@quiet()
def convert_usable(
    module: nn.Module,
    window: int,
    stride: int | None = None,
    *,
    channels: int = 3,
    statistics: Statistics | None = None,
    fuse: bool = True,
) -> FullyConvolutional:
    """As :func:`convert`, for a module that is usable as it is, in any floating-point dtype."""
    module = recordable(module)
    if is_script(module):
        raise ConversionError(
            "TorchScript has no layers that can be read: give the nn.Module it was made from",
            Use("engine", "crop"),
        )
    plan = plan_conversion(trace(module, window, channels))
    stride = check_stride(stride, plan.native_stride_px)
    if plan.whole_input:
        if statistics is None:
            raise InexactError(
                f"sliding would be inexact: {whole_input_reason(plan.whole_input)}",
                Use("engine", "crop"),
                Use("statistics", "local", "use {} to slide anyway"),
            )
        plan = replace(plan, statistics=statistics)
    head, (trunk, stitched) = convert_head(plan), _trunk_at(plan, stride)
    if fuse:
        for part in (trunk, head):
            if isinstance(part, fx.GraphModule):
                fuse_graph(part)
        for part in trunk.modules():
            if isinstance(part, PooledPart):
                part.fuse()
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
    """The trunk at a stride, or the native trunk and True if shifted passes must be stitched."""
    trunk = sliding_trunk_of(plan)
    if stride == plan.native_stride_px:
        return trunk, False
    # A mean over the whole input would include the additional positions.
    if plan.statistics == "whole":
        return trunk, True
    try:
        densify(trunk, stride)
    except NotByDilation:
        return sliding_trunk_of(plan), True
    return trunk, False


def whole_input_reason(whole_input: tuple[tuple[str, str], ...]) -> str:
    """Which layers depend on the whole input, in words.

    >>> whole_input_reason((("se", "mean over the whole input"), ("norm", "group_norm")))
    'se (mean over the whole input) and 1 more layer'
    """
    name, why = whole_input[0]
    others = len(whole_input) - 1
    more = f" and {others} more layer{'s' if others > 1 else ''}" if others else ""
    return f"{name} ({why}){more}"
