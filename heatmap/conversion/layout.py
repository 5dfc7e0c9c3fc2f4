"""The layout of a tensor relative to the photo: its axes, stride and receptive field."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from torch import fx

from .axes import slides
from .graph import arguments, shape


class CannotSlide(Exception):  # noqa: N818 - a signal from rules.py to plan.py, not an error
    """Why a node cannot slide."""


@dataclass(frozen=True)
class Layout:
    """The layout of a tensor relative to the photo.

    Attributes:
        letters: one for each axis; see axes.py.
        stride_hw: distance between neighbouring positions, (down, across), photo px.
        receptive_field_hw: receptive field of one position, (height, width), photo px.
    """

    letters: str
    stride_hw: tuple[int, int] = (1, 1)
    receptive_field_hw: tuple[int, int] = (1, 1)

    def lettered(self, letters: str) -> Layout:
        """The same stride and receptive field under other axes."""
        return replace(self, letters=letters)

    def without(self, axes: Collection[int]) -> Layout:
        """The layout of the tensor without some of its axes, counted from the front."""
        return self.lettered("".join(c for axis, c in enumerate(self.letters) if axis not in axes))


@dataclass
class Caveats:
    """Why sliding differs from cropping, collected while layouts are computed.

    Attributes:
        whole_input: (node, reason) for each node that depends on the whole input (inexact).
        padding: nodes that pad, after which sliding differs from cropping.
    """

    whole_input: list[tuple[fx.Node, str]] = field(default_factory=list)
    padding: list[fx.Node] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """One call of an operation, with the layouts of the tensors before it, as a rule reads it."""

    node: fx.Node
    layouts: dict[fx.Node, Layout]
    caveats: Caveats

    @property
    def arguments(self) -> dict[str, Any]:
        """The node's arguments by name."""
        return arguments(self.node)

    @property
    def source(self) -> fx.Node:
        """The first input that slides."""
        return next(n for n in self.node.all_input_nodes if slides(self.letters_of(n)))

    @property
    def layout(self) -> Layout:
        """The layout of the source."""
        return self.layouts[self.source]

    @property
    def letters(self) -> str:
        """The axes of the source."""
        return self.layout.letters

    def letters_of(self, node: fx.Node) -> str:
        """The axes of an input; "" where it does not depend on the photo."""
        return self.layouts[node].letters if node in self.layouts else ""

    def axes(self, dims: Any) -> list[int]:
        """Dimension numbers of the source, counted from the front; None is all."""
        rank = len(shape(self.source))
        if dims is None or dims == []:
            return list(range(rank))
        return [dim % rank for dim in ([dims] if isinstance(dims, int) else dims)]
