"""Adapt a network to photos of one's own: another window, other classes, another head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import torch

from ..classes import ClassList
from ..errors import ModelError, Use
from .adapted import LEVELS, HeadKind
from .class_names import ClassNames, new_classes
from .classifier import Classifier, Preprocessing
from .load import Model, load_original
from .new_head import Fc6Start, assemble, empty_head, initialise, plan_head
from .registry import DEFAULT_MODEL
from .state_dict import digest_of_weights
from .trained_parts import TrainedParts, trained_parts


class AdaptOptions(TypedDict, total=False):
    """The options of :func:`adapt` by name, but for those that training sets itself."""

    weights: str | Path
    window: int | None
    head: HeadKind | None
    levels: Sequence[int]
    fc6: Fc6Start
    freeze: str | int
    average: bool
    softmax: bool


@dataclass(frozen=True)
class _HeadOptions:
    """What is asked of the new head; see :func:`adapt`."""

    head: HeadKind | None
    levels: Sequence[int]
    fc6: Fc6Start
    freeze: str | int
    average: bool
    softmax: bool
    seed: int


def adapt(
    model: Model = DEFAULT_MODEL,
    *,
    weights: str | Path = "default",
    window: int | None = None,
    num_classes: int | None = None,
    class_names: ClassNames | None = None,
    head: HeadKind | None = None,
    levels: Sequence[int] = LEVELS,
    fc6: Fc6Start = "reinitialised",
    freeze: str | int = "trunk",
    average: bool = True,
    softmax: bool = False,
    seed: int = 0,
) -> Classifier:
    """Give a network another window, other classes and, if wanted, another head.

    The trunk keeps its weights, and so do the layers behind it whose shape stays. The others
    are drawn anew (He et al., arXiv 1502.01852, eq. 10: normal with variance 2 / fan-in in
    front of a ReLU; 1 / fan-in for the layer that gives the classes; biases 0), that layer
    wherever the classes are new. ``docs/fc-to-conv.md`` explains the heads.

    Args:
        model, weights: as for :func:`heatmap.load_classifier`; not changed. Of a network
            that does not say its window, ``window`` is the trained one too.
        window: side of the new window, px; None: the network's own.
        num_classes, class_names: how many classes the new network has, or their names, or a
            text file with one a line. Without both it keeps its own.
        head: "fc", "pool" or "spp" (adapted.py). None is "fc" for networks that flatten
            their map (VGG) and "pool" for those that average over it (ResNet).
        levels: sides of the pyramid's grids, for "spp".
        fc6: "resampled" makes a first layer of another size from the trained one, so that it
            gives what "pool" would. The layer that gives the classes is never resampled.
        freeze: what training leaves alone: "trunk", "none", or how many layers from the
            photo on.
        average: whether "fc" gives photos larger than the window the mean of all windows'
            scores; such photos are refused otherwise.
        softmax: whether to end in a softmax.
        seed: of what is drawn.

    Raises:
        ModelError: a network or head that cannot be used, or a value out of range.
        ConversionError: the network has no trunk that slides.
    """
    original = load_original(model, weights, window)
    new = new_classes(num_classes, class_names)
    options = _HeadOptions(head, levels, fc6, _freeze(freeze), average, softmax, seed)
    with torch.inference_mode(False):
        return _adapted(original, window, new, options)


def _adapted(
    original: Classifier, window: int | None, new: ClassList | None, options: _HeadOptions
) -> Classifier:
    preprocessing = _preprocessing(original, window)
    parts = trained_parts(original.module, original.preprocessing.window_px, original.name)
    if new is None:
        _check_classes_kept(parts)
    classes = original.classes if new is None else new
    adaptation = replace(
        plan_head(parts, preprocessing.window_px, options.head, options.levels),
        average=options.average,
        softmax=options.softmax,
        freeze=options.freeze,
    )
    head = empty_head(parts, adaptation, len(classes))
    noise = torch.Generator().manual_seed(options.seed)
    changes = initialise(head, noise, options.fc6, keep_classes=new is None)
    module = assemble(parts, head, adaptation)
    described = f"{adaptation.head} head, {', '.join(changes) or 'all kept'}"
    return replace(
        original,
        module=module,
        preprocessing=preprocessing,
        classes=classes,
        weights=f"{original.weights}; adapted: {described}",
        weights_digest=digest_of_weights(module.state_dict()),
        adaptation=adaptation,
    )


def _preprocessing(original: Classifier, window: int | None) -> Preprocessing:
    """That of the original at another window."""
    if original.adaptation is not None:
        source = original.architecture or "the original"
        raise ModelError(f"{original.name} is adapted already: adapt {source}")
    return replace(original.preprocessing, window_px=window or original.preprocessing.window_px)


def _check_classes_kept(parts: TrainedParts) -> None:
    """Refuse to keep the classes of a head that ends otherwise than any new one."""
    if parts.lost:
        raise ModelError(
            f"{parts.name} cannot keep its classes: it has {parts.lost}, no new head has",
            Use("num_classes", text="give {}"),
            Use("class_names", text="{}"),
        )


def _freeze(value: str | int) -> str | int:
    text = str(value)
    if text in ("trunk", "none"):
        return text
    if not text.isdecimal():
        raise ModelError(f"freeze is {value!r}: give trunk, none, or how many layers to fix")
    return int(text)
