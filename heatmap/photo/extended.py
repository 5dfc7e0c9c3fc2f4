"""The photo resized, and extended to whole windows of a geometry, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GeometryError
from ..geometry import Geometry, size_text
from .photo import Photo
from .reduced import OpenPhoto
from .rows import READ_ROWS

Pixels: TypeAlias = npt.NDArray[np.uint8]


class ExtendedRows:
    """A photo resized, and extended or cut so that the windows of a geometry cover it exactly.

    Reflection is REFLECT_101, repeated where the photo is smaller than the border. Of a photo
    on disk only the rows needed for the strip, the reflection and the resize are in memory.

    Attributes:
        photo: the photo.

    Raises:
        GeometryError: the photo's size is not that of the geometry.
    """

    def __init__(self, photo: OpenPhoto, geometry: Geometry) -> None:
        if photo.hw != geometry.photo_hw:
            raise GeometryError(
                f"photo is {size_text(photo.hw)}, the geometry was planned for "
                f"{size_text(geometry.photo_hw)}: plan it again"
            )
        self.photo = photo
        self._scaled_hw = geometry.scaled_hw
        top, bottom, left, right = geometry.margins_tblr
        self._down = _Axis(top, geometry.scaled_hw[0] + min(0, bottom), geometry.extended_hw[0])
        self._across = _Axis(left, geometry.scaled_hw[1] + min(0, right), geometry.extended_hw[1])

    def strips(self, starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Pixels]:
        """Strips of the extended photo, from ``starts[i]`` to ``starts[i + 1]`` each.

        Of several the next is made in a thread while the caller uses this one.

        Args:
            starts: rows of the extended photo, px, strictly increasing.
            columns: first column and end (exclusive), px of the extended photo.

        Yields:
            uint8 (rows, columns, 3); may be read-only views of the photo.

        Raises:
            PhotoError: the file is damaged.
            GeometryError: the photo cannot be resized to this size.
        """
        strips = self._strips(starts, columns)
        return _one_ahead(strips) if len(starts) > 2 else strips

    def _strips(self, starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Pixels]:
        across = self._across.sources(*columns)
        down = self._down.sources(starts[0], starts[-1])
        # The first row that is still needed: the reflection at the bottom goes back up.
        needed = np.minimum.accumulate(down[::-1])[::-1]
        left = int(across.min())
        rows_held = self._held_rows(int(needed[0]), (left, int(across.max()) + 1))
        for start, stop in pairwise(starts):
            rows = down[start - starts[0] : stop - starts[0]]
            first = int(needed[start - starts[0]])
            held = rows_held.between(first, int(rows.max()) + 1)
            strip = self._down.take(held, first, start, stop, axis=0)
            yield self._across.take(strip, left, *columns, axis=1)
        if starts[-1] == self._down.total:
            # The rows below are cut off, but are read to detect damage.
            rows_held.drain()

    def _held_rows(self, first: int, columns: tuple[int, int]) -> _HeldRows:
        # A photo in memory is taken as one strip, to avoid copying.
        height = self._scaled_hw[0] if isinstance(self.photo, Photo) else READ_ROWS
        return _HeldRows(
            self.photo.strips(height, first=first, columns=columns, scaled_hw=self._scaled_hw),
            first,
        )


def extend(pixels: Pixels, geometry: Geometry) -> Pixels:
    """The whole extended photo, as :class:`ExtendedRows` gives it in strips.

    Args:
        pixels: photo of the size in ``geometry``, uint8 (H, W, 3); not changed.
        geometry: the geometry planned for it.

    Returns:
        A new contiguous uint8 array (*geometry.extended_hw, 3).

    Raises:
        GeometryError: the photo's size is not that of the geometry.
    """
    height, width = geometry.extended_hw
    rows = ExtendedRows(Photo(pixels), geometry)
    (extended,) = rows.strips((0, height), (0, width))
    shared = np.may_share_memory(extended, pixels)
    return extended.copy() if shared else np.ascontiguousarray(extended)


def reflected(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    """The source row (column) for each position from ``start`` to ``stop`` of an extended axis.

    Positions outside 0..length are reflected (OpenCV's REFLECT_101), repeatedly if needed; for
    a length of 1 the single row is repeated.

    >>> reflected(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    period = max(1, 2 * (length - 1))
    along = np.arange(start, stop) % period
    return np.minimum(along, period - along)


@dataclass(frozen=True)
class _Axis:
    """An axis of the extended photo: reflected rows, those of the photo, reflected rows."""

    before: int
    length: int
    total: int

    def sources(self, start: int, stop: int) -> npt.NDArray[np.intp]:
        """The row (column) of the photo at each row (column) of the extended photo."""
        return reflected(start - self.before, stop - self.before, self.length)

    def take(
        self, held: npt.NDArray[Any], first: int, start: int, stop: int, *, axis: int
    ) -> npt.NDArray[Any]:
        """Rows (columns) ``start`` to ``stop``, taken from ``held``, which begins at ``first``.

        A view if none of them is reflected.
        """
        index = self.sources(start, stop) - first
        low, high = np.clip((self.before, self.before + self.length), start, stop) - start
        photo = slice(index[low], index[high - 1] + 1) if low < high else slice(0)
        inner = held[(slice(None),) * axis + (photo,)]
        if low == 0 and high == len(index):
            return inner
        above, below = (held.take(part, axis=axis) for part in (index[:low], index[high:]))
        return np.concatenate((above, inner, below), axis=axis)


class _HeldRows:
    """A buffer of consecutive rows of a stream."""

    def __init__(self, strips: Iterator[Pixels], first: int) -> None:
        self._strips = strips
        self._first = first
        self._held: list[Pixels] = []

    def between(self, first: int, stop: int) -> Pixels:
        """Rows from ``first`` to at least ``stop``; rows above are dropped."""
        held = sum(map(len, self._held))
        while self._first + held < stop:
            strip = next(self._strips)
            held += len(strip)
            self._held.append(strip)
        rows = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        rows = rows[first - self._first :]
        self._first, self._held = first, [rows]
        return rows

    def drain(self) -> None:
        for _ in self._strips:
            pass


def _one_ahead(strips: Iterator[Pixels]) -> Iterator[Pixels]:
    """The same strips, with the next one made in a thread that ends with this iterator."""
    with ThreadPoolExecutor(1, "heatmap-rows") as thread:
        ahead = thread.submit(next, strips, None)
        while (strip := ahead.result()) is not None:
            ahead = thread.submit(next, strips, None)
            yield strip
