"""The classes of a model, so far as they are known before it is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ..class_groups import read_groups
from ..classes import ClassList
from ..errors import HeatmapError
from .class_names import described_classes, read_class_names
from .imagenet import IMAGENET_1K, kept_classes
from .model_names import (
    CHECKPOINT_SUFFIX,
    DEFAULT_MODEL,
    check_name,
    is_factory,
    is_path,
    library_names,
)


def known_classes(
    model: str,
    *,
    weights: str | Path = "default",
    class_names: str | Path | None = None,
    groups: str | Path | None = None,
    ask: bool = True,
) -> ClassList | None:
    """The classes that a model will have once it is loaded; neither torch nor its weights are.

    Args:
        model: a name, a checkpoint or a factory, as :func:`heatmap.load_classifier` takes it.
        weights, class_names, groups: as there.
        ask: whether the libraries of models, which take seconds to import, are asked for what
            the user's cache does not have.

    Returns:
        The classes, or None where only the network says them: factories, and files of weights,
        which may have another number of classes; or where the libraries would have to be asked.

    Raises:
        ModelError: no model has this name, or the file of names cannot be used.
        ClassError: the file of groups cannot be used.
    """
    if ask and not is_path(model):
        check_name(model)
    if class_names is None:
        classes = _own(model, weights, ask=ask)
    else:
        classes = read_class_names(class_names)
    if classes is None or groups is None:
        return classes
    return replace(classes, groups=read_groups(groups, classes))


def _own(model: str, weights: str | Path, *, ask: bool) -> ClassList | None:
    if is_path(model):
        return _of_checkpoint(Path(model))
    if is_factory(model) or weights not in ("default", "random"):
        return None
    if model == DEFAULT_MODEL:
        count: int | None = IMAGENET_1K
    else:
        count = library_names(ask=ask).class_count(model)
    if not count:
        return None
    return ClassList.numbered(count) if weights == "random" else kept_classes(count, ask=ask)


def _of_checkpoint(path: Path) -> ClassList | None:
    """The classes that a checkpoint's description names; what is wrong with it, loading tells."""
    if path.suffix != CHECKPOINT_SUFFIX:
        return None
    try:
        return described_classes(json.loads(path.with_suffix(".json").read_bytes()))
    except (OSError, ValueError, RecursionError, KeyError, TypeError, HeatmapError):
        return None
