"""The first number in which two files of results differ, whatever words stand around it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from safetensors.numpy import load_file

# Words of before 0.2 -> those of today.
WORDS = {
    "found": "detections",
    "score": "confidence",
    "least_score": "conf",
    "map_side": "map_px",
    "trained_px": "trained_window_px",
    "check_accuracy": "validation_accuracy",
    "check_loss": "validation_loss",
    "validation": "validation_split",
}
# Times, versions and texts; ``origin`` has another form in every version.
IGNORED = (
    *("origin", "versions", "format", "settings", "stamp", "reason", "description", "version"),
    *("seconds", "started", "took", "times", "timing", "conclusion", "path", "picture", "made"),
)
# A legend stands below an overlay; what it says is no number.
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
# Pages hold texts; their numbers stand in the JSON beside them.
TEXTS = (".html", ".js", ".css", ".log", ".lock", ".jsonl")


def first_difference(old: Path, new: Path, rounding: float = 0.0) -> str | None:
    """In words; None where both say the same.

    Floats may differ by ``rounding``, relative to the number or to the largest of an array.
    """
    suffix = old.suffix.lower()
    if suffix in TEXTS:
        return None
    if suffix in (".json", ".geojson"):
        return _of_leaves(_read_json(old), _read_json(new), rounding)
    if suffix == ".csv":
        return _of_leaves(_read_csv(old), _read_csv(new), rounding)
    return _of_arrays(_read_arrays(old), _read_arrays(new), rounding)


def _read_json(path: Path) -> dict[str, Any]:
    return dict(_leaves(json.loads(path.read_text(encoding="utf-8"))))


def _read_csv(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8") as stream:
        return dict(_leaves(list(csv.DictReader(stream))))


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers, truths, and names of what they are about, by where they stand."""
    if isinstance(value, dict):
        for key, held in value.items():
            if key not in IGNORED and not key.endswith("_s"):
                yield from _leaves(held, f"{at}.{_word(key, held)}")
    elif isinstance(value, list):
        for index, held in enumerate(value):
            yield from _leaves(held, f"{at}[{index}]")
    elif isinstance(value, str):
        try:
            yield at, float(value)
        except ValueError:
            if at.rpartition(".")[2] in ("class", "label", "name"):
                yield at, value
    else:
        yield at, value


def _word(key: str, value: Any) -> str:
    """What a key is called today; the share of objects found bore the same name as the list."""
    if key == "found" and not isinstance(value, list):
        return "detected"
    return WORDS.get(key, key)


def _of_leaves(old: dict[str, Any], new: dict[str, Any], rounding: float) -> str | None:
    if alone := sorted(old.keys() ^ new.keys()):
        known = ", ".join(f"{key} = {old.get(key, new.get(key))!r}" for key in alone[:6])
        return f"{len(alone)} values stand in one of them only: {known}"
    for key, value in old.items():
        if not _same(value, new[key], rounding):
            return f"{key}: {value!r} became {new[key]!r}"
    return None


def _same(old: Any, new: Any, rounding: float) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=rounding) or (math.isnan(old) and math.isnan(new))
    return bool(old == new)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with np.load(path) as held:
            return {name: held[name] for name in held.files if held[name].dtype.kind in "fiub"}
    if suffix == ".npy":
        return {"array": np.load(path)}
    if suffix in (".tif", ".tiff"):
        return {"picture": tifffile.imread(path)}
    if suffix == ".safetensors":
        return load_file(path)
    if suffix in PICTURES:
        return {"picture": _above_legend(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), path)}
    raise ValueError(f"{path}: nothing here compares {suffix} files")


def _above_legend(picture: np.ndarray, path: Path) -> np.ndarray:
    """Only the photo of an overlay, by the description beside it: the legend's words may change."""
    description = path.with_name(f"{path.name.partition('.')[0]}.json")
    if not description.exists():
        return picture
    photo = json.loads(description.read_text(encoding="utf-8")).get("photo")
    return picture[: photo["height"], : photo["width"]] if isinstance(photo, dict) else picture


def _of_arrays(
    old: dict[str, np.ndarray], new: dict[str, np.ndarray], rounding: float
) -> str | None:
    if alone := sorted(old.keys() ^ new.keys()):
        return f"arrays that one of them holds: {', '.join(alone[:6])}"
    for name, before in old.items():
        after = new[name]
        if before.shape != after.shape or before.dtype != after.dtype:
            return f"{name}: {before.dtype} {before.shape} became {after.dtype} {after.shape}"
        if np.array_equal(before, after, equal_nan=before.dtype.kind == "f"):
            continue
        distance = np.abs(before.astype(np.float64) - after.astype(np.float64))
        allowed = rounding * np.nanmax(np.abs(before)) if before.dtype.kind == "f" else 0
        if not np.array_equal(np.isnan(before), np.isnan(after)) or np.nanmax(distance) > allowed:
            return f"{name}: differs by {np.nanmax(distance):.3g} at most"
    return None
