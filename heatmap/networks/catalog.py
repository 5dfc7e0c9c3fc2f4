"""The list of known models with how each slides, as found by the converter.

What was found is kept, and told without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..cache_folder import CacheFolder, cache_folder
from ..errors import ConversionError, ModelError
from ..versions import package_versions
from .model_names import KEPT_NAMES, MODELS, list_models

_FILE = "facts.json"


@dataclass(frozen=True)
class ModelFacts:
    """How a model slides.

    Attributes:
        name: name of the model, for any ``model`` parameter.
        slides: "exact" as cropping; "padded", with exact cuts and other scores than crops, since
            layers pad; "local" or "whole", with these statistics (:func:`heatmap.prepare`), an
            approximation; or "crop", not at all.
        window_px, native_stride_px: its window and native stride, px; None if unknown.
        sliding: "exact", "inexact" or "refused", whether layers pad or not.
        reason: why it is not exact, or how many layers pad, or "".
        statistics: where it is inexact, with which statistics it slides: "local", as with any
            (:func:`heatmap.prepare`), or "whole" only; else "".
    """

    name: str
    slides: str
    window_px: int | None
    native_stride_px: int | None
    sliding: str
    reason: str
    statistics: str


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
    folder = cache_folder(MODELS)
    kept, new = _kept(folder), {}
    try:
        for name in names:
            if name not in kept:
                kept[name] = new[name] = asdict(inspect_model(name))
            yield ModelFacts(**kept[name])
    finally:
        if new:
            # Read again: other processes may have kept others meanwhile.
            folder.keep(_FILE, package_versions(), _kept(folder) | new)


def forget_models() -> int:
    """Remove what is kept of models in the user's cache; returns its bytes."""
    return cache_folder(MODELS).remove(KEPT_NAMES)


def inspect_model(name: str) -> ModelFacts:
    """Plan the conversion of one model, without weights."""
    from ..conversion.convert import whole_input_reason
    from ..conversion.local_trunk import sliding_trunk_of
    from ..conversion.plan import plan_conversion
    from ..conversion.trace import trace
    from .registry import bare_network

    window: int | None = None
    try:
        module, window = bare_network(name)
        plan = plan_conversion(trace(module, window))
    except (ConversionError, ModelError) as error:
        return ModelFacts(name, "crop", window, None, "refused", error.message, "")
    reason = f"{len(plan.padded)} layers pad: differs from cropping" if plan.padded else ""
    statistics = ""
    if plan.whole_input:
        reason = whole_input_reason(plan.whole_input)
        statistics = "local"
        try:
            sliding_trunk_of(replace(plan, statistics="local"))
        except ConversionError as error:
            statistics, reason = "whole", error.message
    slides = statistics or ("padded" if plan.padded else "exact")
    stride = plan.native_stride_px
    return ModelFacts(name, slides, window, stride, plan.sliding, reason, statistics)


def _kept(folder: CacheFolder) -> dict[str, dict[str, Any]]:
    """The kept facts by name, or {}."""
    try:
        held = folder.kept(_FILE, package_versions())
        return {name: asdict(ModelFacts(**facts)) for name, facts in held.items()}
    except (TypeError, AttributeError):
        return {}
