"""The score grid: a classifier's scores for every window of a photo, and its file."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup, ClassList, Wanted
from ..errors import ResultError
from ..files import write_all
from ..geometry import Geometry, grid_text, scale_of
from ..names import scores_path
from ..notebook import notebook_html
from ..ownership import Ownership
from .archive import packed
from .large_scores import write_scores
from .origin import Origin
from .outputs import (
    Outputs,
    Scores,
    above_chance,
    activation_of,
    are_exclusive,
    chance_of,
    group_probabilities,
    probabilities_of,
    softmax_terms,
)
from .shown import STRONGEST, heat_picture, strongest_table
from .upsample import upsample

# Format 8 is format 7 with the scores in a separate file; both are read.
FORMAT, FORMAT_LARGE = 7, 8
# Larger scores stay on disk: 1000 classes of a 65 megapixel photo at stride 32.
LARGE_GRID_BYTES = 2**28
# Bytes of scores that are processed at once.
_BLOCK_BYTES = 2**25


@dataclass(frozen=True, eq=False, repr=False)
class ScoreGrid:
    """Scores of K classes for every window of a photo: N rows and M columns of windows.

    Attributes:
        scores: float32 (N, M, K), read-only; NaN where a window was not scored. Scores larger
            than ``LARGE_GRID_BYTES`` stay on disk and are read on demand.
        geometry: where each window lies on the photo.
        classes: names of the K classes, and groups of them.
        kind: what the scores are: "logits", "log-probabilities" or "probabilities" of classes
            that exclude each other, "independent logits" or "independent probabilities" of
            others. Probabilities are 0..1: where the network gives them, and where only some
            classes were stored or scales were fused.
        origin: the photo, the network, and how the scores were computed.
        grown_in: the temporary file in which large scores were collected; saving moves it.
            ``dataclasses.replace`` drops it, since the copy may have other scores.

    Raises:
        ResultError: the shape of the scores does not match geometry and classes, or the kind
            is unknown.

    >>> from heatmap.geometry import Placement, plan_grid
    >>> from heatmap.grid.origin import Weights
    >>> geometry = plan_grid((224, 256), Placement(), window=224, native_stride=32)
    >>> origin = Origin("", "", "made up", Weights("own", "made up", ""), "slide", "exact")
    >>> scores = np.array([[[2, 0], [0, 1]]], dtype=np.float32)
    >>> grid = ScoreGrid(scores, geometry, ClassList(("cat", "dog")), "logits", origin)
    >>> print(grid.class_map("cat").round(2), grid.heatmap("cat").shape)
    [[0.76 0.  ]] (224, 256)
    """

    scores: Scores
    geometry: Geometry
    classes: ClassList
    kind: Outputs
    origin: Origin
    grown_in: Path | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        expected = (*self.geometry.grid_hw, len(self.classes))
        if self.scores.shape != expected:
            raise ResultError(
                f"scores are {self.scores.shape}, the geometry and classes say {expected}"
            )
        if self.kind not in get_args(Outputs):
            raise ResultError(
                f"scores are {self.kind!r}: choose one of {', '.join(get_args(Outputs))}"
            )
        # A read-only view; the caller's own array stays writeable.
        scores = self.scores.view()
        scores.flags.writeable = False
        object.__setattr__(self, "scores", scores)

    def __repr__(self) -> str:
        """One line: ``ScoreGrid 23 rows x 37 columns x 1000 classes, stride 32 px, vgg16, ...``."""
        classes = f"{len(self.classes)} class{'es' * (len(self.classes) != 1)}"
        return (
            f"ScoreGrid {grid_text(*self.geometry.grid_hw)} x {classes}, "
            f"stride {self.geometry.stride_px} px, {self.origin.model}, "
            f"scale {scale_of(self.geometry):.3g}"
        )

    def _repr_html_(self) -> str:
        """For a notebook: one line, the heat of the first winner, and the first winners' peaks."""
        if self.is_large:
            return notebook_html(repr(self), "Its scores are on disk; winners() reads them all.")
        best = self.winners(STRONGEST)
        maps, region = self.class_maps(best), self.origin.region
        heat, name = heat_picture(maps[:, :, 0], best[0].name), best[0].name
        told = f"Heat of {name}, a square for each cell, from 0 (black) to its highest:"
        table = strongest_table(best, maps, self.geometry, region.at if region else (0, 0))
        return notebook_html(repr(self), told, heat, table)

    def _repr_png_(self) -> bytes | None:
        """That heat; None where the scores are on disk."""
        best = None if self.is_large else self.winners(1)[0]
        return None if best is None else heat_picture(self.class_map(best), best.name).content

    @property
    def is_large(self) -> bool:
        """Whether the scores are larger than ``LARGE_GRID_BYTES`` and stay on disk."""
        return self.scores.nbytes > LARGE_GRID_BYTES

    @property
    def is_exclusive(self) -> bool:
        """Whether the classes exclude each other; otherwise each window may show several."""
        return are_exclusive(self.kind)

    @cached_property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which cells were scored: bool (N, M); the others were skipped and are NaN."""
        return np.concatenate([~np.isnan(self.scores[rows, :, 0]) for rows in self.row_blocks()])

    def row_blocks(self) -> Iterator[slice]:
        """Slices of a few rows each, for processing large scores without holding all in memory."""
        rows, columns, classes = self.scores.shape
        at_once = max(1, _BLOCK_BYTES // (4 * columns * classes))
        for top in range(0, rows, at_once):
            yield slice(top, min(top + at_once, rows))
            # Mapped pages that were read count as this process's memory until they are released;
            # private ones ("c") would lose changes. A copy has no mode.
            if isinstance(self.scores, np.memmap) and self.scores.mode not in (None, "c"):
                self.scores._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    @property
    def chance(self) -> float:
        """The probability of a class in a window that shows none of them: 1/K, or 0.

        It is 0 where the classes do not exclude each other, and in sharp maps, whose values are
        corrected for chance already.
        """
        if self.origin.is_sharp:
            return 0.0
        return chance_of(self.kind, self.origin.network_classes or len(self.classes))

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Probabilities of all classes: float32 (N, M, K) in 0..1, all in memory.

        Softmax over the classes of each window, or the sigmoid of each of independent classes,
        not corrected for chance; NaN where a window was not scored.
        """
        return probabilities_of(self.scores, self.kind)

    def best(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """The most probable class of every window.

        Returns:
            Its index, int (N, M), and its probability corrected for chance
            (:func:`outputs.above_chance`), float32 (N, M) in 0..1; index 0 and NaN where a window
            was not scored.
        """
        indices, highest = self._best
        return indices.copy(), highest.copy()

    @cached_property
    def _best(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        indices = np.zeros(self.geometry.grid_hw, dtype=np.intp)
        highest = np.empty(self.geometry.grid_hw, dtype=np.float32)
        for rows in self.row_blocks():
            if (terms := self._softmax_terms(rows)) is not None:
                indices[rows] = self.scores[rows].argmax(axis=2)
                likeliest = np.reciprocal(terms[1][:, :, 0])
            else:
                probabilities = probabilities_of(self.scores[rows], self.kind)
                indices[rows] = probabilities.argmax(axis=2)
                likeliest = probabilities.max(axis=2)
            highest[rows] = above_chance(likeliest, self.chance)
        return indices, highest

    def _softmax_terms(self, rows: slice) -> tuple[Scores, Scores] | None:
        """:func:`outputs.softmax_terms` of a block of rows, worked out once."""
        if rows.start not in self._terms:
            self._terms[rows.start] = softmax_terms(self.scores[rows], self.kind)
        return self._terms[rows.start]

    @cached_property
    def _terms(self) -> dict[int, tuple[Scores, Scores] | None]:
        """:func:`outputs.softmax_terms` of blocks of rows, by first row: the same for any class."""
        return {}

    def class_maps(self, groups: Sequence[ClassGroup]) -> npt.NDArray[np.float32]:
        """Probabilities of some classes or groups: float32 (N, M, len(groups)) in 0..1.

        The probability of a group is the sum over its classes, limited to 1 (it can be larger
        after fusing scales by their maximum), and corrected for chance
        (:func:`outputs.above_chance`); of independent classes it is the largest. NaN where a
        window was not scored.
        """
        maps = np.empty((*self.geometry.grid_hw, len(groups)), dtype=np.float32)
        indices = [group.indices for group in groups]
        for rows in self.row_blocks():
            scores, terms = self.scores[rows], self._softmax_terms(rows)
            maps[rows] = group_probabilities(scores, indices, self.kind, self.chance, terms)
        return maps

    def class_map(
        self, wanted: Wanted, *, kind: Literal["probabilities", "logits"] = "probabilities"
    ) -> npt.NDArray[np.float32]:
        """Scores of one class or group: float32 (N, M), NaN where a window was not scored.

        Args:
            wanted: a class or group: name, index in the network (also where the grid has only
                some of its classes), WordNet id, or a :class:`ClassGroup` of classes of the grid.
            kind: "probabilities", 0..1, or "logits". The logit of a group is the log-sum-exp of
                the logits of its classes, whose softmax is the group's probability; of
                independent classes it is the largest.

        Raises:
            ClassError: an unknown class.
            ResultError: the grid holds probabilities, not logits.
        """
        group = self.classes.find(wanted)
        if kind == "probabilities":
            return np.ascontiguousarray(self.class_maps([group])[:, :, 0])
        if activation_of(self.kind) == "none":
            raise ResultError(
                "this grid holds probabilities (the network gives them, or only some classes "
                "were stored), not logits"
            )
        joined: np.ufunc = np.logaddexp if self.is_exclusive else np.maximum
        cells = np.empty(self.geometry.grid_hw, dtype=np.float32)
        for rows in self.row_blocks():
            # Cells that were not scored are NaN.
            with np.errstate(invalid="ignore"):
                cells[rows] = joined.reduce(self.scores[rows][:, :, list(group.indices)], axis=2)
        return cells

    def heatmap(
        self, wanted: Wanted, *, kind: Literal["probabilities", "logits"] = "probabilities"
    ) -> npt.NDArray[np.float32]:
        """One class or group, upsampled to the pixels of the photo: float32 (H, W).

        Each window's value is placed at its centre, with linear interpolation between centres
        and the nearest value beyond the outermost centres. Windows that were not scored count
        as probability 0, or as the smallest logit.

        Args:
            wanted, kind: as in :meth:`class_map`.

        Raises:
            ClassError: an unknown class.
            ResultError: the grid holds probabilities, not logits.
        """
        cells = self.class_map(wanted, kind=kind)
        missing = np.isnan(cells)
        if missing.any():
            nothing = 0.0 if kind == "probabilities" or missing.all() else np.nanmin(cells)
            cells[missing] = nothing
        return upsample(cells, self.geometry)

    def winners(self, count: int) -> list[ClassGroup]:
        """The top ``count`` classes of the photo.

        First come classes that are the most probable one in some window, ranked by their highest
        probability in such a window; then all others, by their highest probability anywhere.
        Independent classes do not compete: they are ranked by that alone.
        """
        won = np.zeros(len(self.classes), dtype=np.float32)
        reached = np.zeros(len(self.classes), dtype=np.float32)
        for rows in self.row_blocks():
            flat = probabilities_of(self.scores[rows], self.kind).reshape(-1, len(self.classes))
            flat = flat[~np.isnan(flat[:, 0])]
            if self.is_exclusive:
                np.maximum.at(won, flat.argmax(axis=1), flat.max(axis=1))
            reached = np.maximum(reached, flat.max(axis=0, initial=0))
        order = np.lexsort((-reached, -won))
        return [self.classes.single(int(index)) for index in order[:count]]

    def files(self, path: Path) -> dict[Path, Callable[[Path], object]]:
        """The files of this grid when saved as ``path`` (cat.npz).

        Returns:
            For the path of each file a function that writes it to the path it is given.
        """
        scores = scores_path(path)
        description: dict[str, object] = {
            "format": FORMAT_LARGE if self.is_large else FORMAT,
            "kind": self.kind,
            "geometry": asdict(self.geometry),
            "names": self.classes.names,
            "wnids": self.classes.wnids,
            "groups": {group.name: group.indices for group in self.classes.groups},
            "origin": asdict(self.origin),
        }
        if self.classes.network_indices:
            description["network_indices"] = self.classes.network_indices
        if not self.is_large:
            return {path: lambda to: to.write_bytes(packed(description, self.scores))}
        description["scores"] = {"file": scores.name, "shape": self.scores.shape}
        return {
            scores: lambda to: write_scores(to, self.scores, self.row_blocks(), self.grown_in),
            path: lambda to: to.write_bytes(packed(description, None)),
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the grid to a file; :func:`heatmap.load` reads it back.

        ``cat.npz`` holds the whole grid, except that scores larger than ``LARGE_GRID_BYTES`` are
        written to ``cat.scores.npy`` beside it.

        An earlier file is replaced if this tool wrote it, or with ``overwrite``.

        Returns:
            The path.

        Raises:
            ResultError: a file cannot be written, or is no grid; then none is.
        """
        write_all(self.files(Path(path)), Ownership(overwrite=overwrite))
        return Path(path)


def noted(grid: ScoreGrid, notes: Iterable[str]) -> ScoreGrid:
    """The same grid with further notes in its origin, and still with the file it grew in."""
    more = replace(grid, origin=replace(grid.origin, notes=(*grid.origin.notes, *notes)))
    object.__setattr__(more, "grown_in", grid.grown_in)
    return more
