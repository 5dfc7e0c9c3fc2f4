"""How each known model slides, as the converter finds it out."""

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
from .registry import bare_network, list_models


@dataclass(frozen=True)
class ModelFacts:
    """How a model slides.

    Attributes:
        name: of the model, as ``model`` takes it.
        window_px, native_stride_px: its window and stride, px; None where they could not
            be found.
        sliding: "exact", "inexact" or "refused". "exact" is said of the head and of every
            cut of the photo; where layers pad, sliding still differs from cropping.
        reason: why it is not exact, or how many layers pad; "" where there is nothing to say.
    """

    name: str
    window_px: int | None
    native_stride_px: int | None
    sliding: str
    reason: str


def inspect_models(pattern: str | None = None) -> Iterator[ModelFacts]:
    """Find out how each model of a list slides, by planning its conversion without weights.

    Args:
        pattern: as :func:`list_models` takes it.

    Yields:
        The facts of one model after the other, as they become known: about a second each
        the first time. They are kept in a file of the user's cache folder for as long as
        the installed versions stay.

    Raises:
        ModelError: no model matches.
    """
    names = list_models(pattern)
    if not names:
        raise ModelError(f"no model fits {pattern!r}: try 'resnet*' or 'timm/*resnet*'")
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
    """What was found before by the same versions; nothing where it cannot be read."""
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
        with writing(_cache_path()) as temporary:
            temporary.write_text(json.dumps(cache), encoding="utf-8")
    except ResultError:
        # A cache that cannot be kept costs time at the next call, nothing else.
        return
