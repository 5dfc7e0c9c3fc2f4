"""The vocabulary of the rules: where a tensor stands, and what a rule gets to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from .axes import slides
from .graph import arguments, shape


class Refusal(Exception):  # noqa: N818 - a signal between this file and the plan, not an error
    """Why a node cannot slide."""


@dataclass(frozen=True)
class Place:
    """Where a tensor stands: its letters (see axes.py), and in photo pixels the
    stride between neighbouring positions and the receptive field of one, (h, w)."""

    letters: str
    stride_hw: tuple[int, int] = (1, 1)
    field_hw: tuple[int, int] = (1, 1)


@dataclass
class Findings:
    """What the rules saw on their way."""

    whole_input: list[tuple[fx.Node, str]] = field(default_factory=list)
    padding: list[fx.Node] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """One node with the places of its photo-dependent inputs, as a rule reads it."""

    node: fx.Node
    places: dict[fx.Node, Place]
    findings: Findings

    @property
    def given(self) -> dict[str, Any]:
        return arguments(self.node)

    @property
    def source(self) -> fx.Node:
        """The first input that slides."""
        return next(
            n for n in self.node.all_input_nodes if n in self.places and slides(self.place_of(n))
        )

    def place_of(self, node: fx.Node) -> str:
        return self.places[node].letters if node in self.places else ""

    @property
    def place(self) -> Place:
        return self.places[self.source]

    def axes(self, dims: Any) -> list[int]:
        """Dimension numbers of the source, counted from the front; None is all."""
        rank = len(shape(self.source))
        if dims is None or dims == []:
            return list(range(rank))
        return [dim % rank for dim in ([dims] if isinstance(dims, int) else dims)]


Rule = Callable[[Step], Place]


RULES: dict[str, Rule] = {}


def rule(*operations: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return register
