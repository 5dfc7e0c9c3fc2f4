"""The layers of a new head, on the trunk of a network that was trained with another one."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from ..conversion.graph import arguments, operation, shape
from ..conversion.heads import convert_head
from ..conversion.layers import PoolOfOne, SlidingLinear
from ..conversion.plan import Plan, plan_conversion
from ..conversion.shapes import shapes_at
from ..conversion.subgraphs import trunk_of
from ..conversion.trace import trace
from ..errors import ModelError
from .adapted import HEADS, Adaptation, Adapted, Elementwise, HeadKind, SpatialPyramidPool

FC6 = ("reinitialised", "resampled")
# Past this a head over the whole map of VGG16 takes a terabyte.
LARGEST_PX = 8192


@dataclass(frozen=True)
class TrainedParts:
    """What the network brings: its trunk, and the layers behind its feature map.

    ``hidden`` are those before the one that gives the classes, which is ``last``;
    ``lost`` says what of its head no new one has: a maximum over positions, or an activation
    behind the last layer. ``window_px`` is the window it was trained on, ``kernel`` the side
    of the map that the first of these layers takes.
    """

    trunk: fx.GraphModule
    stride_px: int
    hidden: tuple[nn.Module, ...]
    last: SlidingLinear
    lost: str
    window_px: int
    kernel: int


def build_adapted(original: nn.Module, adaptation: Adaptation, classes: int) -> Adapted:
    """An adapted network again, with the trunk's weights as in ``original``, the head's on "meta".

    Raises:
        ModelError, ConversionError: see :func:`adapt`.
    """
    known = trained_parts(original, adaptation.trained_window_px, type(original).__name__)
    layers, _ = new_head(known, adaptation, classes, None, "reinitialised", kept=False)
    return assemble(known, layers, adaptation)


def assemble(known: TrainedParts, layers: nn.Sequential, adaptation: Adaptation) -> Adapted:
    """The known trunk with a new head, in eval mode, frozen as the adaptation says.

    Raises:
        ModelError: more layers to be frozen than there are.
    """
    module = Adapted(known.trunk, known.stride_px, layers, adaptation).eval()
    module.freeze()
    return module


def trained_parts(module: nn.Module, window: int, name: str) -> TrainedParts:
    plan = plan_conversion(trace(module, window))
    head = convert_head(plan)
    if isinstance(head, fx.GraphModule) and not _linears(head):
        plan = _before_last_convolution(plan, name)
        head = convert_head(plan)
    layers = _chain(head, name)
    linears = [position for position, part in enumerate(layers) if isinstance(part, SlidingLinear)]
    if not linears:
        raise _unusable(name, "no fully connected layer stands behind its feature map")
    first, last = layers[linears[0]], layers[linears[-1]]
    assert isinstance(first, SlidingLinear)
    assert isinstance(last, SlidingLinear)
    # The trunk has parameters of its own from here on: training must not change the original's.
    trunk = trunk_of(plan)
    for path, parameter in list(trunk.named_parameters()):
        owner, _, kind = path.rpartition(".")
        setattr(trunk.get_submodule(owner), kind, nn.Parameter(parameter.detach().clone()))
    lost = _lost(head, layers[linears[-1] + 1 :])
    return TrainedParts(
        trunk,
        plan.native_stride_px,
        tuple(layers[: linears[-1]]),
        last,
        lost,
        window,
        first.kernel_size[0],
    )


def _lost(head: nn.Module, behind: Sequence[nn.Module]) -> str:
    """What the converted head has, and no new head will have."""
    assert isinstance(head, fx.GraphModule)
    kinds = [operation(node) for node in head.graph.nodes]
    if any("max_pool" in kind for kind in kinds):
        return "a maximum over positions"
    names = [part.function for part in behind if isinstance(part, Elementwise)]
    return f"{names[0].overloadpacket.__name__} behind its last layer" if names else ""


def _unusable(name: str, why: str) -> ModelError:
    return ModelError(f"{name} cannot be adapted: {why}")


def _linears(head: nn.Module) -> list[nn.Module]:
    return [part for part in head.modules() if isinstance(part, SlidingLinear)]


def _before_last_convolution(plan: Plan, name: str) -> Plan:
    """The trunk without the convolution that gives the classes, where that stands in it."""
    node = plan.feature
    chain: list[fx.Node] = []
    while operation(node) != "conv2d" and len(node.all_input_nodes) == 1:
        chain.append(node)
        node = node.all_input_nodes[0]
    if operation(node) != "conv2d" or shape(arguments(node)["weight"])[2:] != (1, 1):
        raise _unusable(name, "no layer with weights gives its classes from the feature map")
    feature = arguments(node)["input"]
    behind = {node, *chain, *(one for one in node.all_input_nodes if one.op == "get_attr")}
    return replace(
        plan,
        feature=feature,
        trunk=tuple(one for one in plan.trunk if one not in behind),
        head=tuple(one for one in plan.trunk if one in behind) + plan.head,
    )


def _chain(head: nn.Module, name: str) -> list[nn.Module]:
    """The layers of a converted head, one behind the other, without its pools."""
    if not isinstance(head, fx.GraphModule):
        raise _unusable(name, "its head has an operation that has no convolutional form")
    layers: list[nn.Module] = []
    for node in head.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
        if len(sources) != 1 or len(node.all_input_nodes) != 1 or len(node.users) != 1:
            raise _unusable(name, "its head is no plain row of layers")
        kind = operation(node)
        if node.op == "call_module":
            part = head.get_submodule(str(node.target))
            if not isinstance(part, PoolOfOne):
                layers.append(part)
        elif kind == "dropout":
            layers.append(nn.Dropout(arguments(node)["p"]))
        elif "pool" not in kind:
            if node.args[0] is not sources[0] or sources[0] in node.args[1:]:
                raise _unusable(name, f"its head has {kind}, which is no layer of one input")
            layers.append(Elementwise(node.target, tuple(node.args[1:]), dict(node.kwargs)))
    return layers


def plan_head(
    known: TrainedParts, window: int, name: str, head: HeadKind | None, levels: Sequence[int]
) -> Adaptation:
    """The head that was asked for, checked against the feature map at one window."""
    if head not in (None, *HEADS):
        raise ModelError(f"head is {head!r}: choose one of {', '.join(HEADS)}")
    if window > LARGEST_PX:
        raise ModelError(f"window is {window} px: give {LARGEST_PX} px or less")
    chosen = head or ("fc" if known.kernel > 1 else "pool")
    try:
        shapes = shapes_at(known.trunk, (1, 3, window, window))
    except (RuntimeError, ValueError) as error:
        raise _unusable(name, f"a window of {window} px is too small for its trunk") from error
    output = next(node for node in known.trunk.graph.nodes if node.op == "output")
    height, width = shapes[output.all_input_nodes[0]][2:]
    if height != width or height < 1:
        raise _unusable(name, f"its feature map at {window} px is {height} x {width}, not square")
    if chosen != "spp":
        return Adaptation(chosen, window, known.window_px, height)
    wanted = tuple(levels)
    if not wanted or any(not 1 <= level <= height for level in wanted):
        raise ModelError(
            f"levels are {', '.join(map(str, wanted)) or 'none'}: give grids of 1 to {height} "
            f"bins a side, the feature map at {window} px is {height} x {height}"
        )
    return Adaptation(chosen, window, known.window_px, height, wanted)


def new_head(
    known: TrainedParts,
    adaptation: Adaptation,
    classes: int,
    noise: torch.Generator | None,
    fc6: str,
    *,
    kept: bool,
) -> tuple[nn.Sequential, str]:
    """The layers of the new head, and in words what is new; without ``noise`` no values."""
    if fc6 not in FC6:
        raise ModelError(f"fc6 is {fc6!r}: choose one of {', '.join(FC6)}")
    pool, side, factor = _pooling(known, adaptation)
    rows = (*known.hidden, known.last)
    start = next(place for place, part in enumerate(rows) if isinstance(part, SlidingLinear))
    layers: list[nn.Module] = [] if pool is None else [pool]
    # Copies: training must not change the original's norms.
    before = [copy.deepcopy(part) for part in rows[:start]]
    # Such a norm knows the map's channels, not those of all bins.
    layers = [*before, *layers] if factor > 1 else [*layers, *before]
    words: list[str] = []
    for place, part in enumerate(rows[start:]):
        if not isinstance(part, SlidingLinear):
            layers.append(copy.deepcopy(part))
            continue
        last = part is known.last
        made = _empty(
            part.in_channels * (1 if place else factor),
            classes if last else part.out_channels,
            1 if place else side,
            bias=part.bias is not None or last,
        )
        layers.append(made)
        if noise is None:
            continue
        made.to_empty(device="cpu")
        if made.weight.shape == part.weight.shape and (kept or not last):
            _copy(made, part.weight, part.bias)
        elif fc6 == "resampled" and not (place or last) and factor == 1:
            _copy(made, _resampled(part.weight, side), part.bias)
            words.append(f"{_shape(made)} resampled from {known.kernel} x {known.kernel}")
        else:
            _draw(made, noise, gain=1.0 if last else 2.0)
            words.append(f"{_shape(made)} re-initialised")
    return nn.Sequential(*layers), f"{adaptation.head} head, {', '.join(words) or 'all kept'}"


def _empty(inputs: int, outputs: int, kernel: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=bias, device="meta")


def _pooling(known: TrainedParts, adaptation: Adaptation) -> tuple[nn.Module | None, int, int]:
    """What stands before the first layer, that layer's kernel, and how many bins a channel."""
    if adaptation.head == "fc":
        return None, adaptation.map_side, 1
    if adaptation.head == "pool":
        return nn.AdaptiveAvgPool2d(known.kernel), known.kernel, 1
    bins = sum(level**2 for level in adaptation.levels)
    return SpatialPyramidPool(adaptation.levels), 1, bins


def _shape(made: nn.Conv2d) -> str:
    n, m = made.kernel_size
    return f"{n} x {m} x {made.in_channels} x {made.out_channels}"


def _copy(made: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        made.weight.copy_(weight)
        if made.bias is not None:
            made.bias.zero_() if bias is None else made.bias.copy_(bias)


def _draw(made: nn.Conv2d, noise: torch.Generator, gain: float) -> None:
    fan_in = math.prod(made.weight.shape[1:])
    with torch.no_grad():
        made.weight.normal_(0, math.sqrt(gain / fan_in), generator=noise)
        if made.bias is not None:
            made.bias.zero_()


def _resampled(weight: Tensor, side: int) -> Tensor:
    """Weights (K, C, n, n) for a map of another side: as if that were averaged to n x n first.

    The bins are those of an adaptive average pool, so the layer gives what the trained one
    gives behind such a pool, the head "pool".
    """
    # (side, n): what each position of the map adds to each bin.
    shares = functional.adaptive_avg_pool1d(torch.eye(side)[None], weight.shape[2])[0]
    return torch.einsum("yi,xj,kcij->kcyx", shares, shares, weight)
