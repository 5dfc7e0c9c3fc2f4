"""Scores as they are made: collected in memory, or on disk where they are many."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..classes import ClassList
from ..errors import ResultError, Use
from ..files import TEMPORARY, named_error, room_for
from ..geometry import Geometry
from .origin import Origin
from .score_grid import LARGE_GRID_BYTES, Kind, ScoreGrid, Scores, probabilities_of, start_npy


class Collector:
    """Takes blocks of scores in any order and gives the grid.

    Cells that were never written are NaN. Past ``LARGE_GRID_BYTES`` the scores grow in a
    file under a temporary name, which goes when the grid does, unless it was saved.
    """

    def __init__(
        self,
        geometry: Geometry,
        classes: ClassList,
        kind: Kind,
        *,
        stored: Sequence[int] | None = None,
        folder: Path | None = None,
    ) -> None:
        """
        Args:
            geometry, classes, kind: of what will be written.
            stored: indices of the classes to store, None for all. Of some classes the
                *probabilities* are stored, since a softmax needs all logits.
            folder: where it will be saved: a large grid grows on the same disk.

        Raises:
            ResultError: the grid does not fit on the disk; or an empty ``stored``.
        """
        if stored is not None and not stored:
            raise ResultError(
                "no class is stored", Use("store_classes", text="name at least one in {}")
            )
        self._kind = kind
        self._stored = None if stored is None else list(dict.fromkeys(stored))
        self._geometry = geometry
        self._classes = classes if self._stored is None else classes.only(self._stored)
        shape = (*geometry.grid_hw, len(self._classes))
        large = grid_bytes(geometry, len(self._classes)) > LARGE_GRID_BYTES
        self._file = _File(shape, folder) if large else None
        self._scores = np.empty(shape if self._file is None else 0, dtype=np.float32)
        self._written = np.zeros(geometry.grid_hw, dtype=bool)

    def write(self, row: int, column: int, scores: Scores) -> None:
        """Put a block (n, m, K) of all K classes at the cells from (row, column) on."""
        if self._stored is not None:
            scores = probabilities_of(scores, self._kind)[:, :, self._stored]
        rows, columns = slice(row, row + scores.shape[0]), slice(column, column + scores.shape[1])
        self._written[rows, columns] = True
        if self._file is None:
            self._scores[rows, columns] = scores
        else:
            self._file.write(row, column, scores)

    def finish(self, origin: Origin) -> ScoreGrid:
        """The grid; this collector is used up."""
        if self._file is None:
            self._scores[~self._written] = np.nan
        else:
            for row, first, end in _runs(~self._written):
                nothing = np.full((1, end - first, len(self._classes)), np.nan, dtype=np.float32)
                self._file.write(row, first, nothing)
        grid = ScoreGrid(
            scores=self._scores if self._file is None else self._file.kept(),
            geometry=self._geometry,
            classes=self._classes,
            kind=self._kind if self._stored is None else "probabilities",
            origin=origin,
        )
        if self._file is not None:
            # No argument, so that no other grid is made with it.
            object.__setattr__(grid, "grown_in", self._file.path)
        return grid


def grid_bytes(geometry: Geometry, classes: int) -> int:
    """What the scores of so many classes take."""
    rows, columns = geometry.grid_hw
    return 4 * rows * columns * classes


class _File:
    """Scores in a file of their own, which goes when nobody holds them any more.

    Written, not mapped: on a full disk a mapping would end the process.
    """

    def __init__(self, shape: tuple[int, int, int], folder: Path | None) -> None:
        """
        Raises:
            ResultError: no room on the disk.
        """
        self._shape = shape
        length = 4 * shape[0] * shape[1] * shape[2]
        # On the disk of the results, so that saving is renaming.
        self._near = room_for(length, folder)
        with named_error(self._near):
            handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=".npy", dir=self._near)
            self.path = Path(name)
            # Also at the end of the process, and when Ctrl-C ends the work.
            self._ending = weakref.finalize(self, self.path.unlink, missing_ok=True)
            self._file = os.fdopen(handle, "r+b")
            start_npy(self._file, shape)
            self._start = self._file.tell()
            self._file.truncate(self._start + length)

    def write(self, row: int, column: int, scores: Scores) -> None:
        """Put a block at the cells from (row, column) on.

        Raises:
            ResultError: the disk is full.
        """
        _, columns, classes = self._shape
        with named_error(self._near):
            for offset, line in enumerate(scores):
                cell = (row + offset) * columns + column
                self._file.seek(self._start + 4 * classes * cell)
                self._file.write(line.tobytes())
            self._file.flush()

    def kept(self) -> Scores:
        """The scores to read; the file stays as long as they do."""
        self._file.close()
        scores: Scores = np.load(self.path, mmap_mode="r")
        self._ending.detach()
        weakref.finalize(scores, self.path.unlink, missing_ok=True)
        return scores


def _runs(cells: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Neighbouring cells of a row that are True: row, first column, column past the last."""
    for row, line in enumerate(cells):
        edges = np.flatnonzero(np.diff(line, prepend=False, append=False))
        for first, end in edges.reshape(-1, 2).tolist():
            yield row, first, end
