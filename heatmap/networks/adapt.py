"""A network for photos of one's own: another window, other classes, another head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict

import torch
from torch import nn

from ..errors import ModelError, Use
from .adapted import LEVELS, HeadKind
from .class_names import ClassNames, new_classes
from .classifier import Classifier, Preprocessing
from .load import load_original
from .new_head import assemble, new_head, plan_head, trained_parts
from .registry import DEFAULT_MODEL
from .state_dict import digest_of_weights


class AdaptOptions(TypedDict, total=False):
    """The options of :func:`adapt` by name, but for those that training sets itself."""

    weights: str | Path
    window: int | None
    head: HeadKind | None
    levels: Sequence[int]
    fc6: Literal["reinitialised", "resampled"]
    freeze: str | int
    average: bool
    softmax: bool


def adapt(
    model: str | Path | nn.Module | Classifier = DEFAULT_MODEL,
    *,
    weights: str | Path = "default",
    window: int | None = None,
    num_classes: int | None = None,
    class_names: ClassNames | None = None,
    head: HeadKind | None = None,
    levels: Sequence[int] = LEVELS,
    fc6: Literal["reinitialised", "resampled"] = "reinitialised",
    freeze: str | int = "trunk",
    average: bool = True,
    softmax: bool = False,
    seed: int = 0,
) -> Classifier:
    """Give a network another window, other classes and, if wanted, another head.

    The trunk stays, with its weights. Of the layers behind it those stay whose shape
    does; the others are drawn anew (normal, variance 2 / fan-in for layers in front of
    a ReLU, 1 / fan-in for the classes; He et al., arXiv 1502.01852, eq. 10; biases 0).
    The layer that gives the classes is new where ``num_classes`` or ``class_names`` is
    given. The model that was given is left as it was.

    Args:
        model, weights: as for :func:`heatmap.load_classifier`; of networks that do not say
            their window, ``window`` is the trained one too.
        window: side of the new window in px; None: the network's own.
        num_classes, class_names: how many classes the new network has, or their names, or
            a text file with one a line; without both it keeps its own.
        head: "fc", "pool" or "spp" (adapted.py); None: "fc" for networks that flatten
            their map (VGG), "pool" for those that average over it (ResNet).
        levels: of the pyramid, for "spp".
        fc6: "resampled" makes a first layer of another size from the trained one, which
            then gives what "pool" would; a layer that gives the classes is re-initialised
            anyway.
        freeze: what training leaves alone: "trunk", "none", or how many layers.
        average: whether "fc" gives photos larger than the window the mean of their
            windows' scores; at one window that changes nothing. Else they are refused.
        softmax: whether to end in a softmax.
        seed: of what is drawn.

    Raises:
        ModelError: the network, its head or a value cannot be used; says why.
        ConversionError: it has no trunk that slides.
    """
    loaded = load_original(model, weights, window)
    if loaded.adaptation is not None:
        raise ModelError(
            f"{loaded.name} is adapted already: adapt {loaded.architecture or 'the original'}"
        )
    window = Preprocessing(window or loaded.preprocessing.window_px).window_px
    given = new_classes(num_classes, class_names)
    classes = loaded.classes if given is None else given
    with torch.inference_mode(False):
        known = trained_parts(loaded.module, loaded.preprocessing.window_px, loaded.name)
        if given is None and known.lost:
            raise ModelError(
                f"{loaded.name} cannot keep its classes: it has {known.lost}, no new head has",
                Use("num_classes", text="give {}"),
                Use("class_names", text="{}"),
            )
        adaptation = plan_head(known, window, loaded.name, head, levels)
        adaptation = replace(adaptation, average=average, softmax=softmax, freeze=_freeze(freeze))
        noise = torch.Generator().manual_seed(seed)
        layers, said = new_head(known, adaptation, len(classes), noise, fc6, kept=given is None)
        module = assemble(known, layers, adaptation)
    return Classifier(
        module=module,
        name=loaded.name,
        preprocessing=replace(loaded.preprocessing, window_px=window),
        classes=classes,
        weights=f"{loaded.weights}; adapted: {said}",
        weights_digest=digest_of_weights(module.state_dict()),
        architecture=loaded.architecture,
        adaptation=adaptation,
        weights_kind=loaded.weights_kind,
    )


def _freeze(value: str | int) -> str | int:
    text = str(value)
    if text in ("trunk", "none"):
        return text
    if not text.isdecimal():
        raise ModelError(f"freeze is {value!r}: give trunk, none, or how many layers to fix")
    return int(text)
