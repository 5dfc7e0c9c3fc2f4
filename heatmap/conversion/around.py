"""What the head of single positions reads: the feature map, and pools of the window around each.

A window's pooled values are a mixture of those of its positions. In a head that is not linear
behind the pool, what a position adds to the scores of a window depends on the rest of the window;
here on the rest of the window *around* the position, with the box of local statistics (box.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, fx, nn

from .box import Box
from .box_statistics import MAP, BoxSide, Statistic
from .graph import shape
from .slopes import Slope

aten = torch.ops.aten

# The statistic that each kind of pool needs.
STATISTICS = {"mean": "mean", "max": "ties", "logsumexp": "logsumexp"}


class WindowAround(nn.Module):
    """A feature map, and behind it statistics of the window around each position, as channels.

    (B, C, h, w) -> (B, C + D, h, w), D channels of statistics.

    Args:
        kinds: kinds of pools, keys of ``STATISTICS``.
        channels: C.
        map_hw: rows and columns of positions in a window.
        k: native stride / stride of the feature map.
    """

    def __init__(
        self, kinds: Sequence[str], channels: int, map_hw: tuple[int, int], k: int
    ) -> None:
        super().__init__()
        self.sides = nn.ModuleDict()
        for kind in kinds:
            statistic = Statistic(STATISTICS[kind], MAP, channels, 1)
            boxes = (BoxSide(statistic, Box(map_hw[side], k), side) for side in (1, 0))
            self.sides[kind] = nn.Sequential(*boxes)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps, *(sides(maps) for sides in self.sides.values())], 1)

    def after(self, trunk: fx.GraphModule) -> fx.GraphModule:
        """A copy of a trunk, with the same weights, that gives what this gives of its output."""
        graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
        maps = cast(fx.Node, graph.graph_copy(trunk.graph, copies))
        body = fx.GraphModule(trunk, graph)
        value, layout = maps.meta["val"], maps.meta["layout"].lettered("bchw")
        parts = [maps]
        for kind, sides in self.sides.items():
            boxes = maps
            for side in cast(nn.Sequential, sides):
                assert isinstance(side, BoxSide)
                name = f"around_{kind}_{side.side}"
                body.add_submodule(name, side)
                boxes = graph.call_module(name, (boxes,))
                sizes = (value.shape[0], side.statistic.given, *value.shape[2:])
                boxes.meta = {"val": value.new_empty(sizes), "layout": layout}
            parts.append(boxes)
        whole = graph.call_function(aten.cat.default, (parts, 1))
        channels = sum(shape(part)[1] for part in parts)
        sizes = (value.shape[0], channels, *value.shape[2:])
        whole.meta = {"val": value.new_empty(sizes), "layout": layout}
        graph.output(whole)
        graph.lint()
        body.recompile()
        return body


class MaxShare(nn.Module):
    """What positions have in the maximum of a window.

    Maps, means and maxima with how many values are as large, (B, C, h, w) twice and (B, 2 C, h, w)
    -> (B, C, h, w), whose mean over the positions of a window is its maximum: their own values, and
    in addition, shared by those that have the maximum, all that it exceeds the mean by.
    """

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.positions = positions

    def forward(self, maps: Tensor, mean: Tensor, ties: Tensor) -> Tensor:
        largest, count = ties.chunk(2, 1)
        return maps + (maps == largest) * ((largest - mean) * (self.positions / count))


class LogSumExpShare(nn.Module):
    """What positions have in the log-sum-exp of a window.

    Maps, means and L = log sum exp x, (B, C, h, w) each -> (B, C, h, w), whose mean over the n
    positions of a window is L: their own values, and in addition, shared by the weights exp(x - L),
    which sum to 1, all that the log-mean-exp L - log n exceeds the mean by; log n is added to each.
    (Pools of this kind: Pinheiro and Collobert, "From Image-level to Pixel-level Labeling with
    Convolutional Networks", CVPR 2015. The weights are the pool's derivatives.)
    """

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.positions = positions

    def forward(self, maps: Tensor, mean: Tensor, whole: Tensor) -> Tensor:
        constant = math.log(self.positions)
        excess = whole - constant - mean
        return maps + constant + self.positions * torch.exp(maps - whole) * excess


class FirstOrder(nn.Module):
    """An activation f of positions, to first order at the value z of the window around them.

    x, z and f(z), (B, C, h, w) each -> f(z) + f'(z) (x - z): where the mean of x over a window
    is z, the mean of these is f(z).
    """

    def __init__(self, slope: Slope) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, maps: Tensor, around: Tensor, bent: Tensor) -> Tensor:
        beyond = maps - around
        # In the precision of the maps: comparisons give none.
        steps = self.slope(around).to(maps.dtype) * beyond
        # A root is infinitely steep at 0; a position that has no more than its window gets no more.
        return bent + torch.where(beyond == 0, beyond, steps)


class LayerNormOfWindow(nn.LayerNorm):
    """LayerNorm of positions with the standard deviation of the window around them.

    x and z, (B, C, h, w) both -> (x - mean x) / sqrt(var z + eps) * weight + bias, with means and
    variances over the channels: where the mean of x over a window is z, the mean of these is the
    LayerNorm of z. (The rule for LayerNorm of A. Ali et al., "XAI for Transformers: Better
    Explanations through Conservative Propagation", ICML 2022, arXiv 2202.07304.)
    """

    def forward(self, maps: Tensor, around: Tensor) -> Tensor:  # type: ignore[override]
        spread = around.var(1, keepdim=True, correction=0)
        normal = (maps - maps.mean(1, keepdim=True)) * torch.rsqrt(spread + self.eps)
        if self.weight is not None:
            normal = normal * self.weight[:, None, None]
        return normal if self.bias is None else normal + self.bias[:, None, None]
