"""`convert`: any classifier as a fully convolutional network."""

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
    """Make a classifier fully convolutional, so that it scores all windows of a photo in one pass.

    The head becomes convolutions over the trunk's feature map (Long, Shelhamer and Darrell,
    "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 3.1) and equals
    the original head on every slice of it. That is checked here on 2 x 2 windows of noise, and
    on one window against the module itself, to 1e-3 of the largest score. The module is left as
    it was.

    >>> from heatmap import convert
    >>> pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> network = convert(nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), *pooled), window=32)
    >>> network(torch.zeros(1, 3, 40, 48)).shape
    torch.Size([1, 5, 3, 5])

    Args:
        module: (B, 3, window, window) -> (B, K), in any floating-point dtype; in training mode
            it is converted as in eval mode. On the "meta" device nothing is checked.
        window: side of the classifier's input, px.
        stride: distance between windows, px: a divisor of the network's own (None).
            Finer ones are made by dilation; every k-th cell equals the native grid.
        allow_inexact: convert also a network whose scores depend on the whole
            input (squeeze-and-excitation, GroupNorm, GRN in the trunk).
        fuse: fold BatchNorm into convolutions and lay weights out for speed;
            without it every layer stands as in the original.

    Returns:
        (B, 3, H, W) -> (B, K, N, M) with N = (H - window) // stride + 1, M alike from W, in eval
        mode; scores are what the module gives, mostly logits (``outputs`` says which).

    Raises:
        ConversionError: the network cannot slide; names the layer and the reason.
        InexactError: it can, but only inexactly; names the layers that look at the whole input.
        GeometryError: a stride that the network does not have; lists those it has.
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
    """Which layers look at the whole input, in words.

    >>> whole_input_reason((("se", "mean over the whole input"), ("norm", "group_norm")))
    'se (mean over the whole input) and 1 more layer'
    """
    name, why = whole_input[0]
    others = len(whole_input) - 1
    more = f" and {others} more layer{'s' if others > 1 else ''}" if others else ""
    return f"{name} ({why}){more}"
