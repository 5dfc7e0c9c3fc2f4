"""The plan of a conversion: where the trunk ends, and how it slides.

It is computed from the traced graph in letters and integers (axes.py, rules.py), without tensors,
so that a network on the "meta" device can be planned too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from torch import fx

from ..choices import Sliding, Statistics
from ..errors import ConversionError, Use
from .axes import slides
from .graph import arguments, describe, layer, operation, pair, shape
from .layout import Call, CannotSlide, Caveats, Layout
from .rules import layout_of
from .trace import Traced

# What a trunk consists of, beside pools; a photo that is only normalised is no feature map.
_WITH_WEIGHTS = ("conv2d", "linear")


@dataclass(frozen=True)
class Plan:
    """How a traced classifier slides.

    ``feature`` is the trunk's last node, the feature map of ``map_hw`` positions at one window,
    through which all of the output passes. ``whole_input`` lists the layers that make sliding
    inexact, with reasons; ``padded`` the layers after which sliding differs from cropping.
    ``reductions`` are the nodes of the former, and ``statistics`` says over what they are taken
    when the network slides; None where there are none. ``receptive_field_px`` is the
    receptive field of one position of the feature map.
    """

    traced: Traced
    layouts: dict[fx.Node, Layout]
    feature: fx.Node
    trunk: tuple[fx.Node, ...]
    head: tuple[fx.Node, ...]
    whole_input: tuple[tuple[str, str], ...]
    padded: tuple[str, ...]
    reductions: frozenset[fx.Node] = frozenset()
    statistics: Statistics | None = None

    @property
    def native_stride_px(self) -> int:
        return self.layouts[self.feature].stride_hw[0]

    @property
    def receptive_field_px(self) -> int:
        return max(self.layouts[self.feature].receptive_field_hw)

    @property
    def letters(self) -> str:
        """Axes of the feature map: "bchw" or "bhwc"."""
        return self.layouts[self.feature].letters

    @property
    def map_hw(self) -> tuple[int, int]:
        lengths = shape(self.feature)
        return lengths[self.letters.index("h")], lengths[self.letters.index("w")]

    def __deepcopy__(self, memo: object) -> Plan:
        """The plan itself: it is immutable, and recorded graphs cannot be copied."""
        return self

    @property
    def sliding(self) -> Sliding:
        return "inexact" if self.whole_input else "exact"


def plan_conversion(traced: Traced) -> Plan:
    """Find trunk, head and stride of a traced classifier.

    Raises:
        ConversionError: an operation cannot slide; the error names its layer and the reason.
    """
    dependent = _dependent(traced)
    layouts, caveats = _lay_out(dependent, traced)
    feature = _last_map(_cuts(dependent), layouts)
    trunk = _ancestors(feature)
    ordered = [node for node in traced.nodes if node.op != "output"]
    stride = layouts[feature].stride_hw
    if not any(operation(node) in _WITH_WEIGHTS for node in trunk) and stride == (1, 1):
        raise _refused(feature, "the network flattens the photo itself: there is no trunk to slide")
    if stride[0] != stride[1]:
        raise _refused(feature, f"its stride is {stride[0]} px down but {stride[1]} across")
    _check_trunk(feature, trunk, layouts, caveats)
    return Plan(
        traced=traced,
        layouts=layouts,
        feature=feature,
        trunk=tuple(node for node in ordered if node in trunk),
        head=tuple(node for node in ordered if node not in trunk),
        whole_input=_unique(
            (layer(node)[0], why) for node, why in caveats.whole_input if node in trunk
        ),
        padded=_unique(layer(node)[0] for node in caveats.padding if node in trunk),
        reductions=frozenset(node for node, _ in caveats.whole_input if node in trunk),
    )


def _refused(node: fx.Node, reason: str) -> ConversionError:
    return ConversionError(f"cannot slide at {describe(node)}: {reason}", Use("engine", "crop"))


def _check_trunk(
    feature: fx.Node, trunk: set[fx.Node], layouts: dict[fx.Node, Layout], caveats: Caveats
) -> None:
    """Refuse operations that only a head may have, and maps coarser than the feature map.

    A trunk slides at its coarsest stride: enlarging a map later gives no windows in between.
    """
    pooling = {node for node, _ in caveats.whole_input}
    native = layouts[feature].stride_hw
    for node in (node for node in layouts if node in trunk):
        stride = layouts[node].stride_hw
        if native[0] % stride[0] or native[1] % stride[1]:
            raise _refused(node, f"its stride is {stride[0]} px, enlarged to {native[0]} px later")
        sources = [source for source in node.all_input_nodes if source in layouts]
        if node not in pooling and any(_loses_rows(layouts[n], layouts[node]) for n in sources):
            raise _refused(node, "it flattens a map that is used again as a map")


def _loses_rows(before: Layout, after: Layout) -> bool:
    """Whether rows or columns slid before and do not any more."""
    return bool(set("hw") & (_moving(before) - _moving(after)))


def _moving(layout: Layout) -> set[str]:
    return set(layout.letters.replace("t", "hw"))


T = TypeVar("T")


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _dependent(traced: Traced) -> list[fx.Node]:
    """All nodes whose value depends on the photo, in order."""
    dependent: dict[fx.Node, None] = {}
    for node in traced.nodes:
        if node.op == "placeholder" or any(source in dependent for source in node.all_input_nodes):
            dependent[node] = None
    return [node for node in dependent if node.op != "output"]


def _lay_out(nodes: list[fx.Node], traced: Traced) -> tuple[dict[fx.Node, Layout], Caveats]:
    layouts: dict[fx.Node, Layout] = {}
    caveats = Caveats()
    for node in nodes:
        if node.op == "placeholder":
            layouts[node] = Layout("bchw")
            continue
        try:
            layouts[node] = layout_of(Call(node, layouts, caveats))
        except CannotSlide as reason:
            raise _refused(node, str(reason)) from reason
    return layouts, caveats


def _cuts(nodes: list[fx.Node]) -> list[fx.Node]:
    """Nodes through which every path from the photo to the output passes."""
    order = {node: position for position, node in enumerate(nodes)}
    cuts, furthest = [], 0
    for node in nodes:
        # No edge from an earlier node skips this one.
        if furthest <= order[node]:
            cuts.append(node)
        furthest = max([furthest, *(order.get(user, len(nodes)) for user in node.users)])
    return cuts


def _last_map(cuts: list[fx.Node], layouts: dict[fx.Node, Layout]) -> fx.Node:
    """The last map before positions are finally pooled, flattened or joined."""
    maps: list[fx.Node] = []
    for node in cuts:
        joined = bool(maps) and maps[-1].op != "placeholder" and joins_positions(node)
        if joined or not slides(layouts[node].letters):
            break
        # Slices are cut from maps with rows, columns and one axis of channels.
        if layouts[node].letters in ("bchw", "bhwc") and hasattr(node.meta["val"], "shape"):
            maps.append(node)
    return maps[-1]


def joins_positions(node: fx.Node) -> bool:
    """Whether a convolution has a kernel over all n x n positions (fc6 as a convolution)."""
    if operation(node) != "conv2d":
        return False
    given = arguments(node)
    kernel, before = shape(given["weight"])[2:], shape(given["input"])[2:]
    plain = given["groups"] == 1 and not any(pair(given["padding"]))
    return plain and kernel == before != (1, 1) and pair(given["dilation"]) == (1, 1)


def _ancestors(node: fx.Node) -> set[fx.Node]:
    ancestors, waiting = {node}, [node]
    while waiting:
        fresh = [source for source in waiting.pop().all_input_nodes if source not in ancestors]
        ancestors.update(fresh)
        waiting.extend(fresh)
    return ancestors
