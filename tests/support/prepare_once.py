"""Scorers of small, random and built-in networks, each prepared once in a run of the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from heatmap.networks.model_names import DEFAULT_MODEL
from heatmap.scoring import prepare as preparing

# Options that may name files, which may be others at the next call, and what is none.
_FILES = ("architecture", "class_names", "groups", "weights")
_NO_FILES = (None, "default", "random")
_prepared = preparing._prepared


def prepared_once() -> Callable[..., Any]:
    """As what ``heatmap.prepare`` calls, which is its ``__wrapped__``; what it gave is kept."""
    kept: dict[str, Any] = {}

    @wraps(_prepared)
    def prepared(model: Any, way: Any, backend: Any, compute: Any, overrides: Any) -> Any:
        name, options = str(model), sorted(overrides.items())
        of_files = any(overrides.get(option) not in _NO_FILES for option in _FILES)
        known = name.startswith(("tests.support.", DEFAULT_MODEL))
        if of_files or not (known or overrides.get("weights") == "random"):
            return _prepared(model, way, backend, compute, overrides)
        # A scorer keeps to the folder of the cache that it was prepared with.
        key = repr((name, way, backend, compute, options, os.environ.get("HEATMAP_CACHE")))
        if key not in kept:
            kept[key] = _prepared(model, way, backend, compute, overrides)
        return kept[key]

    return prepared
