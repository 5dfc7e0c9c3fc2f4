"""Read score grids from their files."""

from __future__ import annotations

import json
import math
import operator
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from ..classes import ClassGroup, ClassList
from ..contents import no_file
from ..errors import HeatmapError, ResultError, reason_of
from ..geometry import BORDERS, Geometry
from ..region import Region
from .origin import Computation, Origin, Weights
from .score_grid import FORMAT, FORMAT_LARGE, LARGE_GRID_BYTES, ScoreGrid

# What a member of a file holds at most: scores that are not stored beside it, and their header.
_MOST_BYTES = LARGE_GRID_BYTES + 2**16


def load(path: str | Path) -> ScoreGrid:
    """Read a score grid that :meth:`heatmap.ScoreGrid.save` wrote.

    Args:
        path: the ``.npz`` file. Scores of a large grid are in ``.scores.npy`` beside it and are
            read on demand.

    Raises:
        ResultError: the file does not exist, is not a score grid, is damaged, or has a format
            that this version does not read.
    """
    try:
        _check_is_file(Path(path))
        with zipfile.ZipFile(path) as archive:
            held = {part.filename.removesuffix(".npy") for part in archive.infolist()}
            _check_unpacked(archive, path)
        if held not in ({"meta"}, {"meta", "scores"}):
            raise ResultError(f"{path}: holds {sorted(held)}, a score grid holds meta and scores")
        with np.load(path, allow_pickle=False) as arrays:
            meta = json.loads(str(arrays["meta"]))
            scores = _float32(arrays["scores"]) if "scores" in held else _mapped(meta, Path(path))
    except ResultError:
        raise
    # zipfile, zlib and numpy raise many exceptions on damaged files, not all documented.
    except Exception as error:
        reason = reason_of(error)
        raise ResultError(f"{path}: not a score grid that can be read: {reason}") from error
    return _assemble(scores, meta, path)


def _check_is_file(path: Path) -> None:
    """Opening a pipe would wait for ever."""
    if reason_not := no_file(path.stat()):
        raise ValueError(reason_not)


def _check_unpacked(archive: zipfile.ZipFile, path: str | Path) -> None:
    """Refuse, before it is unpacked, what is larger than any grid that is saved in one file.

    ``zipfile`` unpacks no more than is claimed.
    """
    for part in archive.infolist():
        if part.file_size > _MOST_BYTES:
            raise ResultError(
                f"{path}: {part.filename} claims {part.file_size / 1e9:,.1f} GB unpacked, in a "
                f"score grid it is at most {_MOST_BYTES / 1e9:.1f} GB"
            )


def _float32(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scores as they were saved: as float16 where that holds them exactly."""
    return scores.astype(np.float32) if scores.dtype == np.float16 else scores


def _mapped(meta: Any, path: Path) -> npt.NDArray[np.float32]:
    """The scores beside a grid file, read on demand."""
    name, shape = Path(str(meta["scores"]["file"])).name, tuple(meta["scores"]["shape"])
    file = path.with_name(name)
    if not file.exists():
        raise ResultError(f"{path}: its scores are missing: {name} must lie beside it")
    try:
        _check_is_file(file)
        scores: npt.NDArray[np.float32] = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise ResultError(f"{file}: not scores that can be read: {reason}") from error
    if scores.shape != shape:
        raise ResultError(f"{path}: {name} holds {scores.shape}, the grid says {shape}")
    return scores


def _assemble(scores: npt.NDArray[np.float32], meta: Any, path: str | Path) -> ScoreGrid:
    """Build a grid from the content of a file, refusing anything unexpected."""
    _check_format(meta, path)
    if scores.dtype != np.float32 or scores.ndim != 3:
        raise ResultError(
            f"{path}: scores are {scores.dtype} {scores.shape}, expected float32 (N, M, K)"
        )
    try:
        return ScoreGrid(
            scores=scores,
            geometry=_geometry(meta["geometry"]),
            classes=_classes(meta),
            kind=meta["kind"],
            origin=_origin(meta["origin"]),
        )
    except (KeyError, TypeError, ValueError, HeatmapError) as error:
        raise ResultError(
            f"{path}: the grid's description does not fit its format: {error}"
        ) from error


def _check_format(meta: Any, path: str | Path) -> None:
    number = meta.get("format") if isinstance(meta, dict) else None
    if number not in (FORMAT, FORMAT_LARGE):
        raise ResultError(
            f"{path}: grid format {number}, this version reads formats {FORMAT} and "
            f"{FORMAT_LARGE}: score the photo again"
        )


def _classes(meta: Mapping[str, Any]) -> ClassList:
    names = _texts(meta["names"])
    groups = tuple(
        ClassGroup(str(name), tuple(operator.index(index) for index in indices))
        for name, indices in meta["groups"].items()
    )
    if any(not 0 <= index < len(names) for group in groups for index in group.indices):
        raise ValueError("a group has a class index that is out of range")
    # Of grids that have all classes, and of earlier files, there are none.
    own = tuple(tuple(map(operator.index, indices)) for indices in meta.get("network_indices", ()))
    return ClassList(names, _texts(meta["wnids"]), groups, own)


def _geometry(described: Mapping[str, Any]) -> Geometry:
    """The geometry from JSON, with all values checked."""
    unknown = set(described) - {part.name for part in fields(Geometry)}
    if unknown:
        raise ValueError(f"geometry has {', '.join(sorted(unknown))}")
    if described["border"] not in BORDERS:
        raise ValueError(f"border is {described['border']!r}")
    geometry = Geometry(
        photo_hw=_pair(described["photo_hw"]),
        scaled_hw=_pair(described["scaled_hw"]),
        window_px=operator.index(described["window_px"]),
        stride_px=operator.index(described["stride_px"]),
        origin_yx=_pair(described["origin_yx"]),
        grid_hw=_pair(described["grid_hw"]),
        border=described["border"],
    )
    sides = (*geometry.photo_hw, *geometry.scaled_hw, geometry.window_px, geometry.stride_px)
    if min(sides) < 1:
        raise ValueError(f"geometry has a side of {min(sides)} px")
    return geometry


def _origin(described: Mapping[str, Any]) -> Origin:
    """The origin from JSON, with all values checked to have the types of their fields."""
    # Earlier files have none.
    values = _checked(Origin, {"cropped": None, **described})
    cropped = values["cropped"]
    return Origin(
        **{
            **values,
            "weights": Weights(**_checked(Weights, described["weights"])),
            "computation": Computation(**_checked(Computation, described["computation"])),
            "region": _region(described["region"]),
            "scales": tuple(values["scales"]),
            "notes": tuple(values["notes"]),
            "cropped": None if cropped is None else _pair(cropped),
        }
    )


def _region(described: Mapping[str, Any] | None) -> Region | None:
    if described is None:
        return None
    values = _checked(Region, described)
    return Region(**{**values, "whole_hw": _pair(values["whole_hw"])})


def _checked(kind: type, described: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a dataclass by field, checked to be complete and of the right types."""
    types = get_type_hints(kind)
    if unknown := described.keys() ^ types.keys():
        raise ValueError(f"{kind.__name__.lower()} differs in {', '.join(sorted(unknown))}")
    for name, value in described.items():
        if not _fits(value, types[name]):
            raise TypeError(f"{name} is {value!r}")
    return dict(described)


def _fits(value: Any, expected: Any) -> bool:
    """Whether a JSON value fits the type of a field."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Literal:
        return value in arguments
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(item, str) for item in value.values())
    if is_dataclass(expected):
        return isinstance(value, dict)
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if expected is float:
        return number and math.isfinite(value)
    return isinstance(value, expected) and not isinstance(value, bool)


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
    return tuple(values)


def _pair(numbers: Sequence[Any]) -> tuple[int, int]:
    first, second = numbers
    return operator.index(first), operator.index(second)
