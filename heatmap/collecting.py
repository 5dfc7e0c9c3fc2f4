"""Scores as they are made: collected in memory, or on disk where they are many."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

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
        self._file = _File.of(shape, folder) if 4 * np.prod(shape) > LARGE_GRID_BYTES else None
        self._scores = np.empty(shape if self._file is None else 0, dtype=np.float32)
        self._written = np.zeros(geometry.grid_hw, dtype=bool)

    def write(self, row: int, column: int, scores: Scores) -> None:
        """Put a block (n, m, K) of all K classes at the cells from (row, column) on."""
        if self._keep is not None:
            scores = probabilities_of(scores, self._kind)[:, :, self._keep]
        rows, columns = slice(row, row + scores.shape[0]), slice(column, column + scores.shape[1])
        whole = self._scores if self._file is None else self._file.mapped("r+")
        whole[rows, columns] = scores
        self._written[rows, columns] = True

    def finish(self, origin: Origin) -> ScoreGrid:
        """The grid; this collector is used up."""
        whole = self._scores if self._file is None else self._file.mapped("r+")
        for row, missing in enumerate(~self._written):
            if missing.any():
                whole[row, missing] = np.nan
        return ScoreGrid(
            scores=whole if self._file is None else self._file.kept(),
            geometry=self._geometry,
            classes=self._classes,
            kind=self._kind if self._keep is None else "probabilities",
            origin=origin,
        )


class _File:
    """A file of scores that goes when nobody holds it any more."""

    def __init__(self, home: Path, shape: tuple[int, int, int]) -> None:
        self._path = home / "scores.npy"
        # Also at the end of the process, and when Ctrl-C ends the work.
        self._ending = weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        # Sparse: what was not written takes no room.
        np.lib.format.open_memmap(self._path, mode="w+", dtype=np.float32, shape=shape)

    @classmethod
    def of(cls, shape: tuple[int, int, int], folder: Path | None) -> _File:
        """Room for scores of this shape.

        Raises:
            ResultError: they do not fit on the disk.
        """
        needed = 4 * shape[0] * shape[1] * shape[2]
        # On the disk of the results, so that saving is renaming; their folder is made then.
        near = Path(tempfile.gettempdir()) if folder is None else _existing(folder)
        try:
            free = shutil.disk_usage(near).free
            if needed <= free:
                return cls(Path(tempfile.mkdtemp(prefix=".heatmap-", dir=near)), shape)
        except OSError as error:
            raise ResultError(f"{near}: cannot be written: {error.strerror or error}") from error
        raise ResultError(
            f"the scores of {shape[0]} x {shape[1]} windows and {shape[2]} classes take "
            f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free on the disk: "
            "use --keep CLASS to keep some classes only, a larger --stride or a smaller --scale"
        )

    def mapped(self, mode: Literal["r+", "r"]) -> npt.NDArray[np.float32]:
        """The scores, mapped anew each time: pages once touched count as memory till unmapped."""
        scores: npt.NDArray[np.float32] = np.load(self._path, mmap_mode=mode)
        return scores

    def kept(self) -> npt.NDArray[np.float32]:
        """The scores to read; the file stays as long as they do."""
        scores = self.mapped("r")
        self._ending.detach()
        weakref.finalize(scores, shutil.rmtree, self._path.parent, ignore_errors=True)
        return scores


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(one for one in (absolute, *absolute.parents) if one.is_dir())
