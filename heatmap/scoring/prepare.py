"""From a model's name, file or module to a scorer, and from a photo to its score grid at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..choices import ENGINES, Device, Dtype, Engine
from ..classes import Wanted
from ..conversion.convert import convert, whole_input_reason
from ..errors import ConversionError, GeometryError
from ..geometry import Border, Placement
from ..grid.score_grid import ScoreGrid
from ..grid.skip import Skip
from ..networks.load import Model, load_classifier
from ..networks.registry import DEFAULT_MODEL
from ..photo.photo_file import PhotoSource
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
    """Load a classifier, find out how it slides, and convert it.

    >>> scorer = heatmap.prepare("efficientnet_lite0")  # doctest: +SKIP
    >>> grids = [scorer.score(path) for path in ("cat.jpg", "dog.jpg")]  # doctest: +SKIP

    Args:
        model: a name, a path to a checkpoint, an ``nn.Module`` or a Classifier.
        engine: "auto" slides where that is exact and crops otherwise; "slide"
            insists; "crop" never slides.
        device: "cpu", "cuda" or "mps".
        dtype: "float32", "bfloat16" or "float16": of weights and activations. The
            conversion is checked in float32 whatever is asked for.
        overrides: as :func:`load_classifier` takes them (weights, window, ...).

    Returns:
        A scorer, to be used for any number of photos.

    Raises:
        ModelError: the model, its weights or the device cannot be had, or an
            operation does not exist there.
        ConversionError: "slide" of a network that cannot slide at all.
        GeometryError: an unknown engine.
    """
    if engine not in ENGINES:
        raise GeometryError(f"engine is {engine!r}: choose one of {', '.join(ENGINES)}")
    compute = Compute(device, dtype)
    classifier = load_classifier(model, **overrides)
    window = classifier.preprocessing.window_px
    try:
        native = convert(classifier.module, window, allow_inexact=True)
    except ConversionError as error:
        if engine == "slide":
            raise
        compute.try_out(compute.moved(classifier.module), window)
        return Scorer(classifier, None, "crop", "refused", error.message, compute)
    networks = NetworkCache(classifier, native, compute)
    why_not = whole_input_reason(native.whole_input) if native.whole_input else ""
    if engine == "crop" or (engine == "auto" and native.sliding == "inexact"):
        compute.try_out(compute.moved(classifier.module), window)
        return Scorer(classifier, networks, "crop", native.sliding, why_not, compute)
    compute.try_out(networks.windows(native.native_stride_px), window)
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
        model: a name, a path to a checkpoint, an ``nn.Module``, or what
            :func:`prepare` gave (for many photos: load once).
        stride: distance between neighbouring windows, px: a divisor of the network's own,
            which None is; the crop engine takes any.
        scale: resize factor of the photo, above 0; a window then covers window / scale px.
        border: "cover" extends the photo by reflection so that every pixel lies
            in a window; "valid" keeps to windows wholly inside.
        engine: "auto", "slide" or "crop"; see :func:`prepare`, which has decided it
            already where ``model`` is what it gave.
        memory: bytes that activations may take, half of what is free by default. The
            photo is cut into bands and columns to keep within it; the scores are the same.
        store_classes: keep the probabilities of these classes only, by name, index or wnid.
        skip: leave out flat background or what a mask leaves out; such cells are NaN.

    Returns:
        The grid: ``scores`` is float32 (N, M, K), one row of K classes for each window. They
        are logits, or probabilities in 0..1 where the network ends in a softmax or only some
        classes are stored.

    Raises:
        PhotoError: the photo cannot be read.
        ModelError: the model cannot be had, or gives scores that are not finite.
        GeometryError: no window fits, the network does not slide at this stride, or the
            memory does not do.
        ConversionError: ``engine="slide"`` of a network that cannot.
        ClassError: a class to store that the model does not have.
    """
    if not isinstance(model, Scorer):
        model = prepare(model, engine=engine)
    elif engine not in ("auto", model.engine):
        raise GeometryError(
            f"{model.classifier.name} is prepared to {model.engine}: "
            f"prepare it with engine={engine!r}"
        )
    return model.score(
        photo,
        Placement(stride, scale, border),
        memory=memory,
        store_classes=store_classes,
        skip=skip,
    )
