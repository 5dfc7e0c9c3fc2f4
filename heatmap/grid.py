"""The score grid: what a classifier says of every window of a photo."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .classes import ClassList
from .errors import ResultError
from .files import writing
from .geometry import Geometry
from .upsampling import upsample

Kind = Literal["logits", "probabilities"]
FORMAT = 1
_KEYS = {"scores", "meta"}


@dataclass(frozen=True)
class Origin:
    """What a grid was made from and by: enough to make it again.

    ``photo`` is the path as given, or "" for an array. ``weights`` says in
    words where they came from ("random" is said here), ``weights_digest`` is
    the SHA-256 of their values. ``settings`` holds what can change the bits
    of a result (threads, batch); ``versions`` the packages used.
    """

    photo: str
    photo_digest: str
    model: str
    weights: str
    weights_digest: str
    engine: Literal["slide", "crop"]
    sliding: Literal["exact", "inexact", "refused"]
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreGrid:
    """Scores of N x M windows for K classes, with their geometry.

    ``scores`` is float32 (N, M, K), read-only: logits, or probabilities in
    0..1 where ``kind`` says so (a network that ends in a softmax).
    """

    scores: npt.NDArray[np.float32]
    geometry: Geometry
    classes: ClassList
    kind: Kind
    origin: Origin

    def __post_init__(self) -> None:
        expected = (*self.geometry.grid_hw, len(self.classes))
        if self.scores.shape != expected:
            raise ResultError(
                f"scores are {self.scores.shape}, the geometry and classes say {expected}"
            )
        self.scores.flags.writeable = False

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Softmax over the classes of every window: float32 (N, M, K) in 0..1."""
        if self.kind == "probabilities":
            return self.scores
        shifted = np.exp(self.scores - self.scores.max(axis=2, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=2, keepdims=True), dtype=np.float32)

    def class_map(
        self, wanted: str | int, *, kind: Kind = "probabilities"
    ) -> npt.NDArray[np.float32]:
        """One class of the grid, float32 (N, M); probabilities unless logits are asked for.

        Raises:
            ClassError: an unknown class.
            ResultError: logits asked of a grid that holds probabilities.
        """
        index = self.classes.find(wanted)
        if kind == "probabilities":
            return np.ascontiguousarray(self.probabilities()[:, :, index])
        if self.kind != "logits":
            raise ResultError(
                "this grid holds probabilities (the network ends in a softmax), not logits"
            )
        return np.ascontiguousarray(self.scores[:, :, index])

    def heatmap(
        self, wanted: str | int, *, kind: Kind = "probabilities"
    ) -> npt.NDArray[np.float32]:
        """One class, upsampled to photo pixels: float32 (H, W).

        Raises: as :meth:`class_map`.
        """
        return upsample(self.class_map(wanted, kind=kind), self.geometry)

    def winners(self, count: int) -> list[int]:
        """Indices of the classes that win the most anywhere, best first.

        A class is ranked by its highest probability over all windows in which
        it is the most probable one; classes that win nowhere follow by their
        highest probability.
        """
        flat = self.probabilities().reshape(-1, len(self.classes))
        peak = flat.max(axis=0)
        wins = np.zeros(len(self.classes), dtype=bool)
        wins[np.unique(flat.argmax(axis=1))] = True
        order = np.lexsort((-peak, ~wins))
        return [int(index) for index in order[:count]]

    def save(self, path: str | Path) -> Path:
        """Write the grid as ``.npz`` without pickle, under a temporary name first.

        Raises:
            ResultError: the path cannot be written.
        """
        target = Path(path)
        meta = {
            "format": FORMAT,
            "kind": self.kind,
            "geometry": asdict(self.geometry),
            "names": self.classes.names,
            "wnids": self.classes.wnids,
            "origin": asdict(self.origin),
        }
        with writing(target) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, scores=self.scores, meta=np.array(json.dumps(meta)))
        return target


def load(path: str | Path) -> ScoreGrid:
    """Read a grid that :meth:`ScoreGrid.save` wrote.

    Raises:
        ResultError: no such file, not such a file, or one of an unknown format.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if set(archive.files) != _KEYS:
                raise ResultError(
                    f"{path}: holds {sorted(archive.files)}, a score grid holds {sorted(_KEYS)}"
                )
            return _assemble(archive["scores"], json.loads(str(archive["meta"])), path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ResultError(f"{path}: not a score grid that can be read: {reason}") from error


def _assemble(scores: npt.NDArray[np.float32], meta: Any, path: str | Path) -> ScoreGrid:
    """Build a grid from what a file holds, refusing all that is not known."""
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else None
        raise ResultError(f"{path}: grid format {found}, this version reads format {FORMAT}")
    if scores.dtype != np.float32 or scores.ndim != 3:
        raise ResultError(
            f"{path}: scores are {scores.dtype} {scores.shape}, expected float32 (N, M, K)"
        )
    try:
        places = {
            key: tuple(v) if isinstance(v, list) else v for key, v in meta["geometry"].items()
        }
        return ScoreGrid(
            scores=scores,
            geometry=Geometry(**places),
            classes=ClassList(tuple(meta["names"]), tuple(meta["wnids"])),
            kind=meta["kind"],
            origin=Origin(**meta["origin"]),
        )
    except (KeyError, TypeError) as error:
        raise ResultError(
            f"{path}: the grid's description does not fit format {FORMAT}: {error}"
        ) from error
