"""Markdown tables, and targets beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A Markdown table: the first column to the left, numbers to the right."""
    print()
    for line in (head, ["---", *["---:"] * (len(head) - 1)], *rows):
        print(f"| {' | '.join(line)} |")


@dataclass(frozen=True)
class Target:
    """What was aimed at: ``measured`` at least, or else at most, ``wanted``."""

    what: str
    measured: float
    wanted: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        if self.at_least:
            return self.measured >= self.wanted
        return self.measured <= self.wanted


def print_targets(targets: Iterable[Target]) -> None:
    """One row a target; a target that is missed says so."""
    print_table(
        ("target", "wanted", "measured", "result"),
        [
            (
                target.what,
                f"{'≥' if target.at_least else '≤'} {target.wanted:g}",
                f"{target.measured:.2f}",
                "PASS" if target.met else "short of it",
            )
            for target in targets
        ],
    )
