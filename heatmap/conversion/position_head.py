"""`position_head`: a head that scores single positions in the window around each.

Every tensor of the head behind a pool becomes two maps: z, the original's value of the window
around each position, and x, what the position has in it, so that the mean of x over the positions
of one window is z. Linear operations keep that; for the others around.py has forms that do. So the
mean of the scores of a window's positions, each as a part of that window, is the window's score.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import fx, nn

from .around import STATISTICS, FirstOrder, LayerNormOfWindow, LogSumExpShare, MaxShare
from .graph import arguments, describe, operation, shape
from .head_graph import HeadGraph, HeadValue, NoConvolution, channel_axis
from .heads import NoPool, check_pool, convert_node, is_linear
from .operation_facts import Fact, has, is_elementwise
from .plan import Plan
from .slopes import slope_of
from .subgraphs import result_of

aten = torch.ops.aten

_POOLS = (
    *("mean", "amax", "logsumexp", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    *("avg_pool2d", "max_pool2d"),
)
# How many channels a statistic has for each of the map's.
_GIVEN = {"mean": 1, "max": 2, "logsumexp": 1}


def position_head(plan: Plan, *, ended: bool = True) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """The head on single positions and on the windows around them.

    Args:
        plan: the plan of the conversion.
        ended: whether an activation that ends the head (a softmax, say) is included. It is
            applied to positions and windows alike, so that means are of what comes before it.

    Returns:
        A module (B, C + D, h, w) -> (B, 2 K, h, w): from the feature map and statistics behind it
        (:class:`around.WindowAround`), the scores of positions and behind them those of windows;
        and the kinds of the statistics.

    Raises:
        NoPool: scores of positions have no meaning; the error says why.
    """
    made = _PositionGraph(plan)
    end = _ending(plan)
    for node in plan.head:
        if any(source in made.at.values for source in node.all_input_nodes):
            if node is end and not ended:
                return made.finish(node.all_input_nodes[0])
            try:
                made.add(node, ends=node is end)
            except NoConvolution:
                raise NoPool(f"{describe(node)} has no form for single positions") from None
    return made.finish(result_of(plan))


def _ending(plan: Plan) -> fx.Node | None:
    """The activation whose values are the output, if there is one."""
    node = result_of(plan)
    while has(node, Fact.IDENTITY | Fact.REARRANGES) and node in plan.head:
        node = node.all_input_nodes[0]
    curved = is_elementwise(node) and not has(node, Fact.LINEAR | Fact.ARITHMETIC | Fact.IDENTITY)
    ends = operation(node) in ("softmax", "log_softmax") or curved
    return node if ends and node in plan.head and len(node.all_input_nodes) == 1 else None


class _PositionGraph:
    """The head's graph while it is made; ``at`` has the values of windows, ``own`` of positions."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.at = HeadGraph(plan)
        self.entry = self.at.values[plan.feature].node
        lengths = shape(plan.feature)
        self.channels = lengths[plan.letters.index("c")]
        self.positions = plan.map_hw[0] * plan.map_hw[1]
        # Where each statistic begins among the channels, in order.
        self.starts: dict[str, int] = {}
        self.end = self.channels
        first = HeadValue(self._channels(0, self.channels), "map")
        self.at.values[plan.feature] = first
        self.own = {plan.feature: first}

    def add(self, node: fx.Node, *, ends: bool) -> None:
        """Convert a node, whose sources are converted.

        Raises:
            NoConvolution, NoPool: it has no form for single positions.
        """
        at, sources = self.at, [n for n in node.all_input_nodes if n in self.at.values]
        at.lay_out(node)
        first = at.values[sources[0]]
        if operation(node) in _POOLS and first.form == "map":
            self._pool(node, first)
            return
        around = convert_node(at, node)
        if around.form == "flat" or (around.form == "cell" and first.form != "cell"):
            raise NoPool(f"{describe(node)} tells the positions of a window apart")
        if around.form == "map":
            own = around
        elif around is first or _is_one(node):
            around, own = first, self.own[sources[0]]
        elif ends or is_linear(at, node) or operation(node) in ("add", "sub"):
            with self._own_values():
                own = convert_node(at, node)
        else:
            own = HeadValue(self._curved(node, sources, around), "cell")
        at.values[node], self.own[node] = around, own

    def finish(self, result: fx.Node) -> tuple[fx.GraphModule, tuple[str, ...]]:
        own, around = self.own[result], self.at.values[result]
        if around.form != "cell":
            raise NoPool("its scores are not pooled")
        both = self.at.call(aten.cat.default, [own.node, around.node], 1)
        return self.at.finish(HeadValue(both, "cell")), tuple(self.starts)

    def _pool(self, node: fx.Node, source: HeadValue) -> None:
        kind = check_pool(self.at, node, source)
        maps = self.at.values[self.plan.feature].node
        if source.node is not maps:
            raise NoPool(f"{describe(node)} pools a branch of the feature map")
        around = mean = self._statistic("mean")
        if kind == "mean":
            own = maps
        elif kind == "max":
            ties = self._statistic(kind)
            around = self.at.call(aten.slice.Tensor, ties, 1, 0, self.channels)
            own = self._layer(node, MaxShare(self.positions), maps, mean, ties)
        else:
            around = self._statistic(kind)
            own = self._layer(node, LogSumExpShare(self.positions), maps, mean, around)
        self.at.values[node] = HeadValue(around, "cell")
        self.own[node] = HeadValue(own, "cell")

    def _curved(self, node: fx.Node, sources: list[fx.Node], around: HeadValue) -> fx.Node:
        """What a position has in the value of an operation that is not linear."""
        before, own = (values[sources[0]].node for values in (self.at.values, self.own))
        if operation(node) == "layer_norm":
            # Its axis is the channels: that of the window was converted.
            given = arguments(node)
            channels = list(given["normalized_shape"])
            norm = LayerNormOfWindow(channels, eps=given["eps"], device="meta")
            self.at.fill(norm, given, ("weight", "bias"))
            return self._layer(node, norm, own, before)
        slope = slope_of(node) if len(node.all_input_nodes) == 1 else None
        if slope is None:
            raise NoPool(f"{describe(node)} after the pool is not linear")
        return self._layer(node, FirstOrder(slope), own, before, around.node)

    def _statistic(self, kind: str) -> fx.Node:
        """The channels of a statistic of the feature map."""
        assert kind in STATISTICS
        if kind not in self.starts:
            self.starts[kind] = self.end
            self.end += _GIVEN[kind] * self.channels
        start = self.starts[kind]
        return self._channels(start, start + _GIVEN[kind] * self.channels)

    def _channels(self, start: int, end: int) -> fx.Node:
        return self.at.call(aten.slice.Tensor, self.entry, 1, start, end)

    def _layer(self, node: fx.Node, module: nn.Module, *sources: fx.Node) -> fx.Node:
        # Not by the path of the original's layer, which may hold others.
        path = f"positions.{node.name}"
        self.at.layers[path] = module
        return self.at.graph.call_module(path, sources)

    @contextmanager
    def _own_values(self) -> Iterator[None]:
        """What is converted meanwhile reads the values of positions."""
        around = self.at.values
        self.at.values = self.own
        try:
            yield
        finally:
            self.at.values = around


def _is_one(node: fx.Node) -> bool:
    """Whether a node pools the single position that a window has left."""
    if operation(node) not in _POOLS:
        return False
    channel_axis(node)
    return True
