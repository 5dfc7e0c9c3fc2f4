"""Prepare a scorer from a model, and score a photo in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..choices import ENGINES, Device, Dtype, Engine
from ..classes import Wanted
from ..conversion.convert import convert_usable, whole_input_reason
from ..errors import ConversionError, GeometryError
from ..geometry import Border, Placement
from ..grid.score_grid import ScoreGrid, noted
from ..grid.skip import Skip, no_data_note
from ..networks.classifier import Classifier
from ..networks.load import Model, load_classifier
from ..networks.registry import DEFAULT_MODEL
from ..photo.reduced import PhotoSource
from .device import Compute
from .network_cache import NetworkCache
from .scorer import Scorer


def prepare(
    model: Model = DEFAULT_MODEL,
    *,
    engine: Engine = "auto",
    device: Device = "cpu",
    dtype: Dtype = "float32",
    **overrides: Any,
) -> Scorer:
    """Load a classifier and convert it for scoring.

    >>> scorer = heatmap.prepare("efficientnet_lite0")  # doctest: +SKIP
    >>> grids = [scorer.score(path) for path in ("cat.jpg", "dog.jpg")]  # doctest: +SKIP

    Args:
        model: a name, a path to a checkpoint, an ``nn.Module`` or a :class:`heatmap.Classifier`.
        engine: "auto" slides where that is exact and crops otherwise; "slide" slides even
            where it is inexact; "crop" never slides.
        device: "cpu", "cuda" or "mps".
        dtype: "float32", "bfloat16" or "float16", of weights and activations. The conversion
            is always checked in float32.
        overrides: further arguments of :func:`heatmap.load_classifier` (weights, window, ...).

    Returns:
        A scorer for any number of photos.

    Raises:
        ModelError: the model cannot be loaded, the device is not available, or an operation
            does not exist on the device in this format.
        ConversionError: the engine is "slide", and the network cannot slide.
        GeometryError: an unknown engine.
    """
    if engine not in ENGINES:
        raise GeometryError(f"engine is {engine!r}: choose one of {', '.join(ENGINES)}")
    compute = Compute(device, dtype)
    classifier = load_classifier(model, **overrides)
    given = (each for each in (model, *overrides.values()) if isinstance(each, str | Path))
    return replace(_prepared(classifier, engine, compute), files=tuple(given))


def _prepared(classifier: Classifier, engine: Engine, compute: Compute) -> Scorer:
    window, channels = classifier.preprocessing.window_px, classifier.preprocessing.channels
    try:
        native = convert_usable(classifier.module, window, channels=channels, allow_inexact=True)
    except ConversionError as error:
        if engine == "slide":
            raise
        compute.try_out(compute.moved(classifier.module), window, channels)
        return Scorer(classifier, None, "crop", "refused", error.message, compute)
    networks = NetworkCache(classifier, native, compute)
    why_not = whole_input_reason(native.whole_input) if native.whole_input else ""
    if engine == "crop" or (engine == "auto" and native.sliding == "inexact"):
        compute.try_out(compute.moved(classifier.module), window, channels)
        return Scorer(classifier, networks, "crop", native.sliding, why_not, compute)
    compute.try_out(networks.windows(native.native_stride_px), window, channels)
    return Scorer(classifier, networks, "slide", native.sliding, why_not, compute)


def score(
    photo: PhotoSource,
    model: Model | Scorer = DEFAULT_MODEL,
    *,
    stride: int | None = None,
    scale: float = 1.0,
    border: Border = "cover",
    engine: Engine = "auto",
    memory: int | None = None,
    store_classes: Sequence[Wanted] | None = None,
    skip: Skip | None = None,
) -> ScoreGrid:
    """Score every window of a photo.

    >>> grid = heatmap.score("cat.jpg")  # doctest: +SKIP
    >>> heat = grid.heatmap("tabby")     # doctest: +SKIP

    Args:
        photo: a path, or an RGB uint8 array (H, W, 3).
        model: a name, a path to a checkpoint, an ``nn.Module``, or a scorer from
            :func:`prepare` (for many photos).
        stride: distance between neighbouring windows, px: a divisor of the native stride, or
            any for the crop engine; None is the native stride.
        scale: resize factor of the photo, above 0; a window then covers window / scale px.
        border: "cover" extends the photo by reflection so that every pixel lies in a window;
            "valid" takes only windows wholly inside the photo.
        engine: "auto", "slide" or "crop", see :func:`prepare`; must not contradict a scorer
            given as ``model``.
        memory: bytes that activations may take; None is half of the free memory. The photo is
            cut into bands and columns to stay within it, without changing the scores.
        store_classes: store the probabilities of only these classes (or groups).
        skip: which windows to skip; their cells are NaN.

    Returns:
        The grid: ``scores`` is float32 (N, M, K), K classes for each window, and ``kind`` says
        what they are: logits, or probabilities in 0..1 where the network gives them or only some
        classes are stored.

    Raises:
        PhotoError: the photo cannot be read, or shows no data in every window.
        ModelError: the model cannot be loaded, or gives scores that are not finite.
        GeometryError: no window fits, the network cannot slide at this stride, or the memory
            is not enough.
        ConversionError: the engine is "slide", and the network cannot slide.
        ClassError: a class to store that the model does not have.
    """
    if not isinstance(model, Scorer):
        model = prepare(model, engine=engine)
    elif engine not in ("auto", model.engine):
        raise GeometryError(
            f"{model.classifier.name} is prepared to {model.engine}: "
            f"prepare it with engine={engine!r}"
        )
    placement = Placement(stride, scale, border)
    opened = model.opened(photo, placement, skip)
    note = no_data_note(opened, [model.plan(opened.hw, placement)])
    grid = model.score(opened, placement, memory=memory, store_classes=store_classes, skip=skip)
    return noted(grid, [note]) if note else grid
