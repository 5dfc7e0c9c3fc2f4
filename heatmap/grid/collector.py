"""Collect blocks of scores into a grid, in memory or, where it is large, on disk."""

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
from ..geometry import Geometry
from ..room import named_error, room_for
from ..temporary import TEMPORARY
from .large_scores import start_npy
from .origin import Origin
from .outputs import Outputs, Scores, made_probable, probabilities_of, scores_of
from .score_grid import LARGE_GRID_BYTES, ScoreGrid


class Collector:
    """Takes blocks of scores in any order and makes the grid of them.

    Cells that were never written are NaN. Above ``LARGE_GRID_BYTES`` the scores are written to
    a temporary file, which is removed with the grid unless the grid is saved.
    """

    def __init__(
        self,
        geometry: Geometry,
        classes: ClassList,
        kind: Outputs,
        *,
        stored: Sequence[int] | None = None,
        folder: Path | None = None,
    ) -> None:
        """
        Args:
            geometry, classes, kind: those of the scores that will be written.
            stored: indices of the classes to store; None is all. If only some are stored,
                it is as *probabilities*, since a softmax needs all logits.
            folder: where the grid will be saved: a large one is collected on the same disk.

        Raises:
            ResultError: the grid does not fit on the disk, or ``stored`` is empty.
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
        """Write a block (n, m, K), with all K classes, whose first cell is (row, column)."""
        if self._stored is not None:
            scores = probabilities_of(scores, self._kind)[:, :, self._stored]
        self._put(row, column, scores)

    def fill(self, cells: npt.NDArray[np.bool_], offsets: Sequence[tuple[int, int]]) -> None:
        """Write to each of these cells the mean probabilities of those around it.

        Cells around that lie outside the grid, or were not written, are left out; without any the
        cell is left as it is.

        Args:
            cells: bool (N, M).
            offsets: rows and columns from a cell to each of those around it.
        """
        rows, columns = self._written.shape
        for row, column in np.argwhere(cells).tolist():
            around = [(row + down, column + across) for down, across in offsets]
            written = [
                self._get(*each)
                for each in around
                if 0 <= each[0] < rows and 0 <= each[1] < columns and self._written[each]
            ]
            if written:
                means = probabilities_of(np.stack(written), self._stored_kind).mean(axis=0)
                self._put(row, column, scores_of(means, self._stored_kind)[None, None])

    @property
    def _stored_kind(self) -> Outputs:
        return self._kind if self._stored is None else made_probable(self._kind)

    def _get(self, row: int, column: int) -> Scores:
        """The scores of a cell as they are stored: (K,)."""
        return np.asarray(
            self._scores[row, column] if self._file is None else self._file.read(row, column)
        )

    def _put(self, row: int, column: int, scores: Scores) -> None:
        rows, columns = slice(row, row + scores.shape[0]), slice(column, column + scores.shape[1])
        self._written[rows, columns] = True
        if self._file is None:
            self._scores[rows, columns] = scores
        else:
            self._file.write(row, column, scores)

    def finish(self, origin: Origin) -> ScoreGrid:
        """Make the grid; the collector cannot be used any more."""
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
            kind=self._stored_kind,
            origin=origin,
        )
        if self._file is not None:
            # Not an argument, so that copies of the grid do not get it.
            object.__setattr__(grid, "grown_in", self._file.path)
        return grid


def grid_bytes(geometry: Geometry, classes: int) -> int:
    """Bytes that the scores of ``classes`` classes take."""
    rows, columns = geometry.grid_hw
    return 4 * rows * columns * classes


class _File:
    """Scores in a temporary file, which is removed when they are no longer referenced.

    It is written, not mapped: on a full disk a mapping would crash the process.
    """

    def __init__(self, shape: tuple[int, int, int], folder: Path | None) -> None:
        """Create the file.

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
            # Also removed at the end of the process and on Ctrl-C.
            self._ending = weakref.finalize(self, self.path.unlink, missing_ok=True)
            self._file = os.fdopen(handle, "r+b")
            start_npy(self._file, shape)
            self._start = self._file.tell()
            self._file.truncate(self._start + length)

    def write(self, row: int, column: int, scores: Scores) -> None:
        """Write a block whose first cell is (row, column).

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

    def read(self, row: int, column: int) -> Scores:
        """The scores of a cell that was written: (K,)."""
        _, columns, classes = self._shape
        self._file.seek(self._start + 4 * classes * (row * columns + column))
        return np.frombuffer(self._file.read(4 * classes), np.float32)

    def kept(self) -> Scores:
        """The scores, mapped for reading; the file exists as long as they do."""
        self._file.close()
        scores: Scores = np.load(self.path, mmap_mode="r")
        self._ending.detach()
        weakref.finalize(scores, self.path.unlink, missing_ok=True)
        return scores


def _runs(cells: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Runs of True cells within a row: row, first column, end column (exclusive)."""
    for row, line in enumerate(cells):
        edges = np.flatnonzero(np.diff(line, prepend=False, append=False))
        for first, end in edges.reshape(-1, 2).tolist():
            yield row, first, end
