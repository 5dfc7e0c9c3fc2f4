"""A new head on the trunk of a trained network: planned, built, and given its first weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..conversion.graph import photo_channels
from ..conversion.layers import SlidingLinear
from ..conversion.shapes import shapes_at
from ..conversion.usable import usable
from ..errors import ModelError
from .adapted import HEADS, Adaptation, Adapted, HeadKind, SpatialPyramidPool
from .trained_parts import TrainedParts, trained_parts, unusable

# How a first layer is initialised if its size is not that of the trained one.
Fc6Start = Literal["reinitialised", "resampled"]
# Above this, a head over the whole feature map of VGG16 takes a terabyte.
LARGEST_PX = 8192


@dataclass(frozen=True)
class NewHead:
    """The layers of a new head.

    ``pairs`` has each convolution with the trained layer that it replaces, in order; the last gives
    the classes. ``bins`` is the number of values that each channel is pooled to, for ``spp``;
    otherwise 1.
    """

    layers: nn.Sequential
    pairs: tuple[tuple[nn.Conv2d, SlidingLinear], ...]
    bins: int


def build_adapted(original: nn.Module, adaptation: Adaptation, num_classes: int) -> Adapted:
    """Rebuild an adapted network, with the trunk's weights of ``original`` and the head on "meta".

    Raises:
        ModelError, ConversionError: see :func:`adapt`.
    """
    name, window = type(original).__name__, adaptation.trained_window_px
    ready = usable(original, window, name)
    parts = trained_parts(ready.module, window, name, ready.channels)
    return assemble(parts, empty_head(parts, adaptation, num_classes), adaptation)


def assemble(parts: TrainedParts, head: NewHead, adaptation: Adaptation) -> Adapted:
    """The trained trunk with a new head, in eval mode, frozen as the adaptation says.

    Raises:
        ModelError: there are not as many layers as should be frozen.
    """
    module = Adapted(parts.trunk, parts.stride_px, head.layers, adaptation).eval()
    module.freeze()
    return module


def plan_head(
    parts: TrainedParts, window: int, head: HeadKind | None, levels: Sequence[int]
) -> Adaptation:
    """Plan the requested head, and check it against the feature map at one window.

    Args:
        parts: of the trained network.
        window: side of the new window, px.
        head, levels: as :func:`heatmap.adapt` takes them.

    Raises:
        ModelError: the head is unknown, the window is too small or too large, or the levels do
            not fit the feature map.
    """
    if head not in (None, *HEADS):
        raise ModelError(f"head is {head!r}: choose one of {', '.join(HEADS)}")
    if window > LARGEST_PX:
        raise ModelError(f"window is {window} px: give {LARGEST_PX} px or less")
    kind = head or ("fc" if parts.kernel_side > 1 else "pool")
    side = _map_side(parts, window)
    if kind != "spp":
        return Adaptation(kind, window, parts.window_px, side)
    if not levels or any(not 1 <= level <= side for level in levels):
        raise ModelError(
            f"levels are {', '.join(map(str, levels)) or 'none'}: give grids of 1 to {side} "
            f"bins a side, the feature map at {window} px is {side} x {side}"
        )
    return Adaptation(kind, window, parts.window_px, side, tuple(levels))


def _map_side(parts: TrainedParts, window: int) -> int:
    """Side of the feature map at one window, in positions."""
    try:
        shapes = shapes_at(parts.trunk, (1, photo_channels(parts.trunk), window, window))
    except (RuntimeError, ValueError) as error:
        reason = f"a window of {window} px is too small for its trunk"
        raise unusable(parts.name, reason) from error
    output = next(node for node in parts.trunk.graph.nodes if node.op == "output")
    height, width = shapes[output.all_input_nodes[0]][2:]
    if height != width or height < 1:
        reason = f"its feature map at {window} px is {width} wide and {height} high, not square"
        raise unusable(parts.name, reason)
    return height


def empty_head(parts: TrainedParts, adaptation: Adaptation, num_classes: int) -> NewHead:
    """The layers of a planned head; its convolutions have no values ("meta")."""
    pool, side, bins = _pooling(parts, adaptation)
    rows = (*parts.hidden, parts.last)
    start = next(index for index, layer in enumerate(rows) if isinstance(layer, SlidingLinear))
    # Copies: training must not change the original's norms.
    norms = [copy.deepcopy(layer) for layer in rows[:start]]
    pools = [] if pool is None else [pool]
    # A norm before the first layer has the channels of the feature map, not of all bins.
    layers: list[nn.Module] = [*norms, *pools] if bins > 1 else [*pools, *norms]
    pairs: list[tuple[nn.Conv2d, SlidingLinear]] = []
    for layer in rows[start:]:
        if not isinstance(layer, SlidingLinear):
            layers.append(copy.deepcopy(layer))
            continue
        on_map = not pairs
        convolution = nn.Conv2d(
            layer.in_channels * (bins if on_map else 1),
            num_classes if layer is parts.last else layer.out_channels,
            side if on_map else 1,
            bias=layer.bias is not None or layer is parts.last,
            device="meta",
        )
        layers.append(convolution)
        pairs.append((convolution, layer))
    return NewHead(nn.Sequential(*layers), tuple(pairs), bins)


def _pooling(parts: TrainedParts, adaptation: Adaptation) -> tuple[nn.Module | None, int, int]:
    """The pool before the first layer, that layer's kernel size, and the bins per channel."""
    if adaptation.head == "fc":
        return None, adaptation.map_side, 1
    if adaptation.head == "pool":
        return nn.AdaptiveAvgPool2d(parts.kernel_side), parts.kernel_side, 1
    bins = sum(level**2 for level in adaptation.levels)
    return SpatialPyramidPool(adaptation.levels), 1, bins


def initialise(
    head: NewHead, noise: torch.Generator, fc6: Fc6Start, *, keep_classes: bool
) -> tuple[str, ...]:
    """Initialise an empty head, with trained weights where the shape is the same.

    Args:
        head: the head; its convolutions are allocated here.
        noise: random generator for re-initialised layers.
        fc6: how a first layer of another size is initialised.
        keep_classes: whether the last layer keeps its trained weights too.

    Returns:
        Which layers do not have their trained weights, in words.

    Raises:
        ModelError: ``fc6`` is unknown.
    """
    if fc6 not in get_args(Fc6Start):
        raise ModelError(f"fc6 is {fc6!r}: choose one of {', '.join(get_args(Fc6Start))}")
    changes = []
    for convolution, trained in head.pairs:
        convolution.to_empty(device="cpu")
        first, last = (trained is head.pairs[end][1] for end in (0, -1))
        if convolution.weight.shape == trained.weight.shape and (keep_classes or not last):
            _copy(convolution, trained.weight, trained.bias)
        elif fc6 == "resampled" and first and not last and head.bins == 1:
            side = convolution.kernel_size[0]
            _copy(convolution, _resampled(trained.weight, side), trained.bias)
            n, m = trained.kernel_size
            changes.append(f"{_shape(convolution)} resampled from {n} x {m}")
        else:
            _draw(convolution, noise, gain=1.0 if last else 2.0)
            changes.append(f"{_shape(convolution)} re-initialised")
    return tuple(changes)


def _shape(convolution: nn.Conv2d) -> str:
    n, m = convolution.kernel_size
    return f"{n} x {m} x {convolution.in_channels} x {convolution.out_channels}"


def _copy(convolution: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        convolution.weight.copy_(weight)
        if convolution.bias is not None:
            convolution.bias.zero_() if bias is None else convolution.bias.copy_(bias)


def _draw(convolution: nn.Conv2d, noise: torch.Generator, gain: float) -> None:
    fan_in = math.prod(convolution.weight.shape[1:])
    with torch.no_grad():
        convolution.weight.normal_(0, math.sqrt(gain / fan_in), generator=noise)
        if convolution.bias is not None:
            convolution.bias.zero_()


def _resampled(weight: Tensor, side: int) -> Tensor:
    """Weights (K, C, n, n) resampled for a feature map of another side.

    The layer gives the same as the trained one after an adaptive average pool to n x n, which is
    the head "pool".
    """
    # (side, n): the contribution of each position of the feature map to each bin.
    shares = functional.adaptive_avg_pool1d(torch.eye(side)[None], weight.shape[2])[0]
    return torch.einsum("yi,xj,kcij->kcyx", shares, shares, weight)
