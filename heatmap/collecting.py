"""Scores as they are made: collected in memory, or on disk where they are many."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .classes import ClassList
from .errors import ResultError
from .geometry import Geometry
from .grid import LARGE_GRID_BYTES, Kind, Origin, ScoreGrid, probabilities_of

Scores = npt.NDArray[np.float32]


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
        keep: Sequence[int] | None = None,
        folder: Path | None = None,
    ) -> None:
        """
        Args:
            geometry, classes, kind: of what will be written.
            keep: indices of the classes to keep. Their *probabilities* are kept, since a
                softmax needs all classes.
            folder: where it will be saved: a large grid grows on the same disk.

        Raises:
            ResultError: the grid does not fit on the disk; or an empty ``keep``.
        """
        if keep is not None and not keep:
            raise ResultError("no class is kept: name at least one, or keep all")
        self._kind = kind
        self._keep = None if keep is None else list(dict.fromkeys(keep))
        self._geometry = geometry
        self._classes = classes if self._keep is None else classes.only(self._keep)
        self._all = len(classes)
        shape = (*geometry.grid_hw, len(self._classes))
        self._scores = _room_for(shape, folder)
        self._written = np.zeros(geometry.grid_hw, dtype=bool)

    def write(self, row: int, column: int, scores: Scores) -> None:
        """Put a block (n, m, K) of all K classes at the cells from (row, column) on."""
        if self._keep is not None:
            scores = probabilities_of(scores, self._kind)[:, :, self._keep]
        rows, columns = slice(row, row + scores.shape[0]), slice(column, column + scores.shape[1])
        self._scores[rows, columns] = scores
        self._written[rows, columns] = True

    def finish(self, origin: Origin) -> ScoreGrid:
        """The grid; this collector is used up."""
        for row, missing in enumerate(~self._written):
            if missing.any():
                self._scores[row, missing] = np.nan
        if isinstance(self._scores, np.memmap):
            self._scores.flush()
        return ScoreGrid(
            scores=self._scores,
            geometry=self._geometry,
            classes=self._classes,
            kind=self._kind if self._keep is None else "probabilities",
            origin=origin,
        )


def _room_for(shape: tuple[int, int, int], folder: Path | None) -> Scores:
    """An array of this shape: in memory, or in a file of its own."""
    needed = 4 * shape[0] * shape[1] * shape[2]
    if needed <= LARGE_GRID_BYTES:
        return np.empty(shape, dtype=np.float32)
    # On the disk of the results, so that saving is renaming; their folder is made then.
    near = Path(tempfile.gettempdir()) if folder is None else _existing(folder)
    try:
        free = shutil.disk_usage(near).free
        if needed > free:
            raise ResultError(
                f"the scores of {shape[0]} x {shape[1]} windows and {shape[2]} classes take "
                f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free on the disk: "
                "use --keep CLASS to keep some classes only, a larger --stride or a smaller --scale"
            )
        home = tempfile.mkdtemp(prefix=".heatmap-", dir=near)
    except OSError as error:
        raise ResultError(f"{near}: cannot be written: {error.strerror or error}") from error
    path = Path(home, "scores.npy")
    scores: Scores = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    # Also at the end of the process, and when Ctrl-C ends the work.
    weakref.finalize(scores, shutil.rmtree, home, ignore_errors=True)
    return scores


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(one for one in (absolute, *absolute.parents) if one.is_dir())
