"""Plans of passes in bands: which rows of each tensor are computed when, and which are kept.

A photo goes through the trunk a few full-width rows at a time. Each operation computes each output
row once, as soon as its inputs are available; of each tensor only the rows that later outputs need
are kept. Integers only: roller.py executes the plan with tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile

from torch import fx

from .receptive_field import Link, Range

Ranges = dict[fx.Node, Range]
Lengths = Mapping[fx.Node, int]
# The end row of each tensor.
Ends = Mapping[fx.Node, int]


def needed(links: Sequence[Link], lengths: Lengths, wanted: Range, axis: int) -> Ranges:
    """The range of each tensor that a range of the last one depends on.

    Args:
        links: operations of the trunk, in order.
        lengths: length of every tensor along this axis, for the whole photo.
        wanted: (first, end) of the feature map.
        axis: 0 for rows, 1 for columns.
    """
    ranges: Ranges = {links[-1].node: wanted}
    for link in reversed(links):
        outputs = ranges.setdefault(link.node, (0, 0))
        repeat = link.fields_hw[axis].repeat
        outputs = (outputs[0] // repeat * repeat, -(-outputs[1] // repeat) * repeat)
        ranges[link.node] = outputs
        for source in link.sources:
            read = link.fields_hw[axis].read(outputs, lengths[source])
            ranges[source] = _both(ranges.get(source, (0, 0)), read)
    return ranges


def _both(first: Range, second: Range) -> Range:
    """The smallest range that contains both; empty ranges are ignored."""
    if first[0] >= first[1]:
        return second
    if second[0] >= second[1]:
        return first
    return min(first[0], second[0]), max(first[1], second[1])


@dataclass(frozen=True)
class BandStep:
    """One band: for each tensor the rows computed now, and the first row kept afterwards."""

    rows: Ranges
    kept_from: dict[fx.Node, int]


@dataclass(frozen=True)
class BandPlan:
    """How a part of a photo goes through a trunk in bands.

    ``rows`` and ``columns`` are the ranges of each tensor that the wanted part of the feature map
    depends on; ``row_lengths`` and ``column_lengths`` are the full lengths for the whole photo.
    """

    links: tuple[Link, ...]
    row_lengths: Lengths
    column_lengths: Lengths
    rows: Ranges
    columns: Ranges

    @classmethod
    def of(
        cls,
        links: tuple[Link, ...],
        shapes: Mapping[fx.Node, tuple[int, ...]],
        wanted_rows: Range,
        wanted_columns: Range,
    ) -> BandPlan:
        """Plan for a part of the feature map; ``shapes`` are those for the whole photo."""
        down: dict[fx.Node, int] = {}
        across: dict[fx.Node, int] = {}
        for link in links:
            # An operation with several outputs (chunk) has the height and width of its source.
            shaped = link.node if link.node in shapes else link.sources[0]
            down[link.node] = shapes[shaped][link.axes[0]]
            across[link.node] = shapes[shaped][link.axes[1]]
        rows = needed(links, down, wanted_rows, 0)
        if wanted_columns == (0, across[links[-1].node]):
            columns = {node: (0, length) for node, length in across.items()}
        else:
            columns = needed(links, across, wanted_columns, 1)
        return cls(links, down, across, rows, columns)

    @cached_property
    def whole_width(self) -> bool:
        """Whether every tensor has its full width: operations then pad columns themselves."""
        return all(self.columns[n] == (0, length) for n, length in self.column_lengths.items())

    @property
    def photo(self) -> fx.Node:
        return self.links[0].node

    @property
    def feature(self) -> fx.Node:
        return self.links[-1].node

    def starts(self, band_px: int) -> list[int]:
        """Photo rows at which bands of ``band_px`` rows begin, and the end of the last band."""
        first, end = self.rows[self.photo]
        return [*range(first, end, band_px), end]

    def available(
        self, photo_end: int, before: Ends | None = None, most: Mapping[fx.Node, int] = {}
    ) -> dict[fx.Node, int]:
        """The end row of each tensor computable from the photo up to row ``photo_end``.

        With the end rows of ``before``, each tensor gets at most so many more rows.
        """
        ends: dict[fx.Node, int] = {self.photo: photo_end}
        for link in self.links[1:]:
            first, end = self.rows[link.node]
            determined = end
            for source in link.sources:
                if ends[source] <= self.rows[source][0]:
                    # Rows that read only padding wait for the first row of the source.
                    determined = first
                elif ends[source] < self.rows[source][1]:
                    field, total = link.fields_hw[0], self.row_lengths[source]
                    determined = min(determined, field.determined(ends[source], total))
            if before is not None:
                determined = min(determined, before[link.node] + most[link.node])
            ends[link.node] = max(first, determined)
        return ends

    def steps(self, starts: Sequence[int]) -> Iterator[BandStep]:
        """The steps, from first to last: one a band of the photo, and then without more of it.

        Many rows can be computed at once where the photo ends, and where a local statistic has the
        first whole box: layers below wait for half a window each. They are computed as many at a
        time as a band brings elsewhere, or they would take much more memory than it does.
        """
        for before, after in pairwise(self._ends(starts)):
            yield self.step(before, after)

    def _ends(self, starts: Sequence[int]) -> Iterator[Ends]:
        """The end row of each tensor before the first step, and after each."""
        heights = (end - start for start, end in pairwise(starts))
        most = self._rows_of_band(max(heights, default=1))
        ends = self.available(starts[0])
        yield ends
        for end in starts[1:]:
            ends = self.available(end, ends, most)
            yield ends
        while (after := self.available(starts[-1], ends, most)) != ends:
            ends = after
            yield ends

    def _rows_of_band(self, band_px: int) -> dict[fx.Node, int]:
        """How many rows of each tensor a band of the photo brings, in its middle."""
        rows = {}
        for link in self.links:
            share = self.row_lengths[link.node] / self.row_lengths[self.photo]
            repeat = link.fields_hw[0].repeat
            rows[link.node] = max(1, math.ceil(band_px * share / repeat)) * repeat
        return rows

    def step(self, before: Ends, after: Ends) -> BandStep:
        rows = {node: (before[node], after[node]) for node in before}
        kept = dict(after)
        for link in self.links:
            if after[link.node] < self.rows[link.node][1]:
                for source in link.sources:
                    total = self.row_lengths[source]
                    reads_from = link.fields_hw[0].first_after(after[link.node], total)
                    first, end = self.rows[source]
                    # Its last row stays for outputs that read nothing but padding below it.
                    kept[source] = min(kept[source], max(min(reads_from, end - 1), first))
        return BandStep(rows, kept)

    def peak_bytes(self, starts: Sequence[int], row_bytes: Mapping[fx.Node, float]) -> int:
        """The peak of bytes in all tensors, over the steps at the top, middle and bottom.

        Steps in the middle, when all tensors have begun and the photo has not ended, are all alike.
        ``row_bytes`` are the bytes of one row of each tensor over the columns of this plan.
        """
        steps = list(pairwise(self._ends(starts)))
        begun = sum(1 for _ in takewhile(lambda step: not self._all_begun(step[0]), steps))
        middle, bottom = len(steps) // 2, len(starts) - 3
        looked_at = {*range(begun + 2), middle - 1, middle, *range(bottom, len(steps))}
        chosen = (steps[n] for n in looked_at if 0 <= n < len(steps))
        return math.ceil(max(self._bytes_in(before, after, row_bytes) for before, after in chosen))

    def _all_begun(self, ends: Ends) -> bool:
        return all(ends[node] > first for node, (first, end) in self.rows.items() if first < end)

    def _bytes_in(
        self,
        before: Ends,
        after: Ends,
        row_bytes: Mapping[fx.Node, float],
    ) -> float:
        """The peak of bytes during one band, computed in the order of roller.py."""
        step = self.step(before, after)
        kept_before = self.step(before, before).kept_from
        held = {n: (before[n] - kept_before[n]) * row_bytes[n] for n in before}
        alive = most = sum(held.values())
        for link in self.links:
            first, end = step.rows[link.node]
            made = (end - first) * row_bytes[link.node]
            fresh = 0.0 if link.shares_memory else made
            # Kept rows are joined with new ones: for a moment both exist twice.
            joined = held[link.node] + made if held[link.node] else 0.0
            most = max(most, alive + fresh + max(joined, link.passing * fresh))
            alive += fresh
            held[link.node] += fresh
            for node in self.last_readers.get(link.node, ()):
                kept = (after[node] - step.kept_from[node]) * row_bytes[node]
                freed, held[node] = held[node] - kept, kept
                if link.shares_memory and node is link.sources[0]:
                    held[link.node] += freed
                else:
                    alive -= freed
        return most

    @cached_property
    def last_readers(self) -> dict[fx.Node, list[fx.Node]]:
        """For each operation, the tensors that no later operation of a step reads."""
        reader = {source: link.node for link in self.links for source in link.sources}
        sources: dict[fx.Node, list[fx.Node]] = {}
        for source, node in reader.items():
            sources.setdefault(node, []).append(source)
        return sources
