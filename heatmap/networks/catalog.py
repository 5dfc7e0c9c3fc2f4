"""The list of known models with how each slides, as found by the converter."""

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
from ..ownership import ANY
from ..versions import package_versions
from .registry import bare_network, list_models


@dataclass(frozen=True)
class ModelFacts:
    """How a model slides.

    Attributes:
        name: name of the model, for any ``model`` parameter.
        window_px, native_stride_px: its window and native stride, px; None if unknown.
        sliding: "exact", "inexact" or "refused". "exact" concerns the head and cutting the photo;
            if layers pad, sliding still differs from cropping.
        reason: why it is not exact, or how many layers pad, or "".
    """

    name: str
    window_px: int | None
    native_stride_px: int | None
    sliding: str
    reason: str


def inspect_models(pattern: str | None = None) -> Iterator[ModelFacts]:
    """Find out how each model slides, by planning its conversion without weights.

    Args:
        pattern: as in :func:`list_models`.

    Yields:
        The facts of each model as soon as it is inspected, which takes about a second. They are
        cached in the user's cache folder until installed versions change.

    Raises:
        ModelError: no model matches.
    """
    names = list_models(pattern)
    if not names:
        raise ModelError(f"no model matches {pattern!r}: try 'resnet*' or 'timm/*resnet*'")
    return _inspect_all(names)


def _inspect_all(names: list[str]) -> Iterator[ModelFacts]:
    cached = _read_cache()
    try:
        for name in names:
            if name not in cached:
                cached[name] = asdict(inspect_model(name))
            yield ModelFacts(**cached[name])
    finally:
        _write_cache(cached)


def inspect_model(name: str) -> ModelFacts:
    """Plan the conversion of one model, without weights."""
    window: int | None = None
    try:
        module, window = bare_network(name)
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
    """The cached facts, or {} if they are of other versions or cannot be read."""
    try:
        cache = json.loads(_cache_path().read_text(encoding="utf-8"))
        if cache["versions"] != package_versions():
            return {}
        return {name: asdict(ModelFacts(**facts)) for name, facts in cache["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_cache(models: dict[str, dict[str, Any]]) -> None:
    cache = {"versions": package_versions(), "models": models}
    try:
        with writing(_cache_path(), ANY) as temporary:
            temporary.write_text(json.dumps(cache), encoding="utf-8")
    except ResultError:
        # Without a cache the next call only takes longer.
        return
