"""The photo as the windows see it: resized and extended for a geometry, row by row."""

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
from .photo_file import PhotoFile
from .rows import READ_ROWS

Pixels: TypeAlias = npt.NDArray[np.uint8]


class ExtendedRows:
    """A photo resized, and extended or cut, so that the windows of a geometry tile it.

    Reflection is REFLECT_101, repeated where the photo is smaller than the border. No
    more of a photo on disk is held than the strip, the reflection and the resize need.

    Raises:
        GeometryError: a photo of another height or width than the geometry's.
    """

    def __init__(self, photo: Photo | PhotoFile, geometry: Geometry) -> None:
        if photo.hw != geometry.photo_hw:
            raise GeometryError(
                f"photo is {size_text(photo.hw)}, the geometry was planned for "
                f"{size_text(geometry.photo_hw)}: plan it anew"
            )
        self._photo = photo
        self._scaled_hw = geometry.scaled_hw
        top, bottom, left, right = geometry.margins_tblr
        self._down = _Axis(top, geometry.scaled_hw[0] + min(0, bottom), geometry.extended_hw[0])
        self._across = _Axis(left, geometry.scaled_hw[1] + min(0, right), geometry.extended_hw[1])

    @property
    def path(self) -> str:
        """Of the photo, as given; "" of an array."""
        return self._photo.path

    def strips(self, starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Pixels]:
        """Rows ``starts[i]`` to ``starts[i + 1]`` of the extended photo, one strip after the other.

        ``starts`` rise strictly; ``columns`` are the first and the one behind the last,
        in extended pixels. Gives uint8 (rows, columns, 3), perhaps read-only views of the
        photo. The next strip is made in a thread while the caller uses this one.

        Raises:
            PhotoError: the file is damaged there.
            GeometryError: a size that a photo cannot be resized to.
        """
        return _one_ahead(self._strips(starts, columns))

    def _strips(self, starts: Sequence[int], columns: tuple[int, int]) -> Iterator[Pixels]:
        across = self._across.sources(*columns)
        down = self._down.sources(starts[0], starts[-1])
        # At the bottom reflection goes back up: the first row that will still be needed.
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
            # What lies below is cut, but damage there is seen, and the digest known.
            rows_held.drain()

    def _held_rows(self, first: int, columns: tuple[int, int]) -> _HeldRows:
        # Rows in memory need no copying together from strips.
        height = self._scaled_hw[0] if isinstance(self._photo, Photo) else READ_ROWS
        return _HeldRows(
            self._photo.strips(height, first=first, columns=columns, scaled_hw=self._scaled_hw),
            first,
        )


def extend(pixels: Pixels, geometry: Geometry) -> Pixels:
    """All of a photo in memory as :class:`ExtendedRows` gives it.

    ``pixels`` are those the geometry was planned for, uint8 (H, W, 3), and stay as
    they are. Returns a new contiguous uint8 array (*geometry.extended_hw, 3).

    Raises:
        GeometryError: pixels of another height or width than the geometry's photo.
    """
    height, width = geometry.extended_hw
    rows = ExtendedRows(Photo(pixels), geometry)
    (extended,) = rows.strips((0, height), (0, width))
    shared = np.may_share_memory(extended, pixels)
    return extended.copy() if shared else np.ascontiguousarray(extended)


def reflected(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    """Which of ``length`` rows (columns) stands at each from ``start`` to ``stop``.

    Beyond both ends is their reflection, REFLECT_101 of OpenCV, again and again where there
    are fewer of them than that takes; a single one is repeated.

    >>> reflected(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    period = max(1, 2 * (length - 1))
    along = np.arange(start, stop) % period
    return np.minimum(along, period - along)


@dataclass(frozen=True)
class _Axis:
    """Rows or columns: ``before`` reflected ones, ``length`` of the photo, reflected ones."""

    before: int
    length: int
    total: int

    def sources(self, start: int, stop: int) -> npt.NDArray[np.intp]:
        """Which row (column) of the photo stands at each row (column) of the extended one."""
        return reflected(start - self.before, stop - self.before, self.length)

    def take(
        self, held: npt.NDArray[Any], first: int, start: int, stop: int, *, axis: int
    ) -> npt.NDArray[Any]:
        """Placed rows (columns) start to stop, of ``held``, which begins at row ``first``.

        Without a reflected one among them it is a view.
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
    """The rows of a stream that are held: new ones come in below, old ones go above."""

    def __init__(self, strips: Iterator[Pixels], first: int) -> None:
        self._strips = strips
        self._first = first
        self._held: list[Pixels] = []

    def between(self, first: int, stop: int) -> Pixels:
        """Rows from ``first`` to at least ``stop``; what lies above is let go."""
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
    """The same strips, the next one made in a thread that ends with this iterator."""
    with ThreadPoolExecutor(1, "heatmap-rows") as thread:
        ahead = thread.submit(next, strips, None)
        while (strip := ahead.result()) is not None:
            ahead = thread.submit(next, strips, None)
            yield strip
