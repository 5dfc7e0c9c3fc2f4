"""The score grid: what a classifier says of every window of a photo."""

from __future__ import annotations

import io
import json
import operator
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .classes import ClassList
from .errors import HeatmapError, ResultError
from .files import writing
from .geometry import BORDERS, Geometry
from .upsampling import upsample

Kind = Literal["logits", "probabilities"]
FORMAT = 1
_KEYS = {"scores", "meta"}


def probabilities_of(scores: npt.NDArray[np.float32], kind: Kind) -> npt.NDArray[np.float32]:
    """Softmax over the last axis of logits; probabilities as they are. NaN stays NaN."""
    if kind == "probabilities":
        return scores
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


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


@dataclass(frozen=True, eq=False)
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
        if self.kind not in get_args(Kind):
            raise ResultError(
                f"scores are {self.kind!r}: choose one of {', '.join(get_args(Kind))}"
            )
        # A view, so that the caller may go on writing to the array that was given.
        scores = self.scores.view()
        scores.flags.writeable = False
        object.__setattr__(self, "scores", scores)

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Softmax over the classes of every window: float32 (N, M, K) in 0..1."""
        return probabilities_of(self.scores, self.kind)

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
        won = np.zeros(len(self.classes), dtype=np.float32)
        np.maximum.at(won, flat.argmax(axis=1), flat.max(axis=1))
        order = np.lexsort((-flat.max(axis=0), -won))
        return [int(index) for index in order[:count]]

    def to_bytes(self) -> bytes:
        """The content of a grid file: ``.npz`` without pickle."""
        meta = {
            "format": FORMAT,
            "kind": self.kind,
            "geometry": asdict(self.geometry),
            "names": self.classes.names,
            "wnids": self.classes.wnids,
            "origin": asdict(self.origin),
        }
        stream = io.BytesIO()
        np.savez_compressed(stream, scores=self.scores, meta=np.array(json.dumps(meta)))
        return stream.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the grid, under a temporary name first; :func:`load` reads it back.

        Raises:
            ResultError: the path cannot be written.
        """
        target = Path(path)
        with writing(target) as temporary:
            temporary.write_bytes(self.to_bytes())
        return target


def load(path: str | Path) -> ScoreGrid:
    """Read a grid that :meth:`ScoreGrid.save` wrote.

    Raises:
        ResultError: no such file, not such a file, or one of an unknown format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.removesuffix(".npy") for name in archive.namelist()}
        if held != _KEYS:
            raise ResultError(f"{path}: holds {sorted(held)}, a score grid holds {sorted(_KEYS)}")
        with np.load(path, allow_pickle=False) as arrays:
            scores, meta = arrays["scores"], json.loads(str(arrays["meta"]))
    except ResultError:
        raise
    # On damaged bytes zipfile, zlib and numpy raise a dozen kinds, not all documented.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ResultError(f"{path}: not a score grid that can be read: {reason}") from error
    return _assemble(scores, meta, path)


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
        return ScoreGrid(
            scores=scores,
            geometry=_geometry(meta["geometry"]),
            classes=ClassList(_texts(meta["names"]), _texts(meta["wnids"])),
            kind=meta["kind"],
            origin=_origin(meta["origin"]),
        )
    except (KeyError, TypeError, ValueError, HeatmapError) as error:
        raise ResultError(
            f"{path}: the grid's description does not fit format {FORMAT}: {error}"
        ) from error


def _geometry(found: Mapping[str, Any]) -> Geometry:
    """The geometry as JSON holds it, with every number checked to be one."""
    unknown = set(found) - {known.name for known in fields(Geometry)}
    if unknown:
        raise ValueError(f"geometry has {', '.join(sorted(unknown))}")
    if found["border"] not in BORDERS:
        raise ValueError(f"border is {found['border']!r}")
    geometry = Geometry(
        photo_hw=_pair(found["photo_hw"]),
        scaled_hw=_pair(found["scaled_hw"]),
        window_px=operator.index(found["window_px"]),
        stride_px=operator.index(found["stride_px"]),
        origin_yx=_pair(found["origin_yx"]),
        grid_hw=_pair(found["grid_hw"]),
        border=found["border"],
    )
    sides = (*geometry.photo_hw, *geometry.scaled_hw, geometry.window_px, geometry.stride_px)
    if min(sides) < 1:
        raise ValueError(f"geometry has a side of {min(sides)} px")
    return geometry


def _origin(found: Mapping[str, Any]) -> Origin:
    """The origin as JSON holds it, with every text checked to be one."""
    origin = Origin(**found)
    _texts([value for value in found.values() if not isinstance(value, dict)])
    return origin


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
    return tuple(values)


def _pair(numbers: Sequence[Any]) -> tuple[int, int]:
    first, second = numbers
    return operator.index(first), operator.index(second)
