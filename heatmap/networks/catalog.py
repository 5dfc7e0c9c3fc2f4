"""Which models there are, and how each slides, as the converter finds it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..conversion.convert import whole_input_reason
from ..conversion.plan import plan_conversion
from ..conversion.trace import trace
from ..errors import ConversionError, ModelError, ResultError
from ..files import writing
from ..versions import package_versions
from .registry import architecture, model_names


@dataclass(frozen=True)
class ModelFacts:
    """How a model slides: "exact", "inexact" or "refused", and what there is to know of it.

    "exact" is said of the head and of every cut of the photo; where layers pad,
    ``reason`` says so, since sliding then differs from cropping.

    ``window_px`` and ``native_stride_px`` are None where they could not be found.
    """

    name: str
    window_px: int | None
    native_stride_px: int | None
    sliding: str
    reason: str


def inspect_models(pattern: str | None = None) -> Iterator[ModelFacts]:
    """Plan the conversion of every model whose name fits, without weights.

    Args:
        pattern: a shell pattern; None is the built-in and all of torchvision's,
            "timm/..." looks among timm's.

    Yields:
        One a model, as it becomes known. What was found is kept in a file of the
        user's cache folder for the installed versions.

    Raises:
        ModelError: no model of that name.
    """
    names = model_names(pattern)
    if not names:
        raise ModelError(f"no model fits {pattern!r}: try 'resnet*' or 'timm/*resnet*'")
    return _inspect_all(names)


def _inspect_all(names: list[str]) -> Iterator[ModelFacts]:
    known = _read_cache()
    try:
        for name in names:
            if name not in known:
                known[name] = asdict(inspect_model(name))
            yield ModelFacts(**known[name])
    finally:
        _write_cache(known)


def inspect_model(name: str) -> ModelFacts:
    """Plan the conversion of one model, without weights."""
    window: int | None = None
    try:
        module, window = architecture(name)
        plan = plan_conversion(trace(module, window))
    except (ConversionError, ModelError) as error:
        return ModelFacts(name, window, None, "refused", error.message)
    reason = f"{len(plan.padded)} layers pad: differs from cropping" if plan.padded else ""
    if plan.whole_input:
        reason = whole_input_reason(plan.whole_input)
    return ModelFacts(name, window, plan.native_stride_px, plan.sliding, reason)


def _cache_path() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "heatmap" / "models.json"


def _read_cache() -> dict[str, dict[str, Any]]:
    """What was found before by the same versions; nothing where it cannot be read."""
    try:
        held = json.loads(_cache_path().read_text(encoding="utf-8"))
        if held["versions"] != package_versions():
            return {}
        return {name: asdict(ModelFacts(**facts)) for name, facts in held["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_cache(known: dict[str, dict[str, Any]]) -> None:
    held = {"versions": package_versions(), "models": known}
    try:
        with writing(_cache_path()) as temporary:
            temporary.write_text(json.dumps(held), encoding="utf-8")
    except ResultError:
        # A cache that cannot be kept costs time at the next call, nothing else.
        return
