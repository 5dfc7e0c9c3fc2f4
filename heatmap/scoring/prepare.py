"""Prepare a scorer from a model, and score a photo in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from ..choices import (
    BACKENDS,
    ENGINES,
    Backend,
    Device,
    Dtype,
    Engine,
    Statistics,
    check_statistics,
)
from ..classes import Wanted
from ..errors import GeometryError, ModelError, Use
from ..geometry import Border, Placement
from ..grid.score_grid import ScoreGrid, noted
from ..grid.skip import Skip, no_data_note
from ..keywords import check_keywords
from ..networks.load_options import LoadOptions
from ..networks.model_names import DEFAULT_MODEL, are_added, is_exported, is_factory
from ..photo.reduced import PhotoSource, name_of
from ..prepared.typed import digest_of_typed
from ..progress import Progress, Reporter, reporting
from .device import Compute
from .exported_scorer import exported_scorer
from .in_torch import InTorch
from .prepared_forms import PreparedForms
from .scorer import Scorer

if TYPE_CHECKING:
    from ..networks.load import Model
    from .loaded import Loaded


class Way(NamedTuple):
    """How a network is asked to score; see :func:`prepare`."""

    engine: Engine
    statistics: Statistics | None = None


def prepare(
    model: Model = DEFAULT_MODEL,
    *,
    engine: Engine = "auto",
    statistics: Statistics | None = None,
    backend: Backend = "auto",
    device: Device = "cpu",
    dtype: Dtype = "float32",
    progress: Progress = False,
    **options: Unpack[LoadOptions],
) -> Scorer:
    """Load a classifier and convert it for scoring.

    A network that was kept for ONNX Runtime before (:meth:`heatmap.Scorer.keep`) is ready without
    torch being imported.

    >>> scorer = heatmap.prepare("efficientnet_lite0")  # doctest: +SKIP
    >>> grids = [scorer.score(path) for path in ("cat.jpg", "dog.jpg")]  # doctest: +SKIP

    Args:
        model: a name, a path to a checkpoint or to an exported network (ONNX, which runs without
            torch), an ``nn.Module`` or a :class:`heatmap.Classifier`.
        engine: "auto" slides where that is exact and crops otherwise; "slide" slides even
            where it is inexact; "crop" never slides.
        statistics: makes networks slide that look at their whole input (squeeze-and-excitation,
            GroupNorm), as an approximation: "local" takes the statistics of such layers over a
            window around each position, "whole" over the whole photo. None leaves such networks
            to the engine: "slide" slides with statistics of the whole photo.
        backend: "torch"; "onnx" for ONNX Runtime, for which the network is prepared now if it was
            not before; or "auto", which takes ONNX Runtime where the network is kept for it and
            runs faster there on this machine. Photos too large for the memory are scored in torch.
        device: "cpu", "cuda" (the first GPU), "cuda:1" (the second) or "mps".
        dtype: number format of convolutions and matrix products: "float32", "bfloat16" or
            "float16" (``torch.autocast``; the rest stays in float32), or "tf32" on GPUs of
            NVIDIA. The conversion is always checked in float32.
        progress: as in :func:`score`; what is known of the network is told as notes.
        options: further arguments of :func:`heatmap.load_classifier` (weights, window, ...).

    Returns:
        A scorer for any number of photos.

    Raises:
        ModelError: the model cannot be loaded, the device is not available, an operation does not
            exist on the device in this format, or not in ONNX Runtime although it is insisted on.
        ConversionError: the engine is "slide", or statistics are asked for, and the network cannot
            slide so.
        GeometryError: an unknown engine; or statistics that are unknown, or asked for where
            windows are cropped.
    """
    check_keywords(prepare, options, LoadOptions)
    if engine not in ENGINES:
        raise GeometryError(f"engine is {engine!r}: choose one of {', '.join(ENGINES)}")
    if check_statistics(statistics) is not None and engine == "crop":
        raise GeometryError("statistics are of networks that slide: leave them out to crop")
    way = Way(engine, statistics)
    with reporting(progress) as reporter:
        reporter.stage(f"loading {_name(model)}")
        scorer = _prepared(model, way, backend, Compute(device, dtype), dict(options))
        reporter.notes((*scorer.facts.notes, *scorer.cache_notes))
    return scorer


def _prepared(
    model: Model, way: Way, backend: Backend, compute: Compute, overrides: dict[str, Any]
) -> Scorer:
    """As :func:`prepare`, silently."""
    _check_backend(backend, compute)
    if is_exported(model):
        if way.statistics is not None:
            raise GeometryError(
                f"{model} is an exported network, which slides as it was exported: leave "
                "statistics out"
            )
        return exported_scorer(str(model), way.engine, backend, compute, overrides)
    in_torch = InTorch(lambda: _loaded(model, way, compute, overrides))
    forms = None
    if backend != "torch" and compute.is_plain:
        typed = _typed(model, way, overrides)
        forms = PreparedForms(_name(model), backend, typed, in_torch)
    given = (each for each in (model, *overrides.values()) if isinstance(each, str | Path))
    scorer = _scorer(in_torch, forms, compute, tuple(given))
    if backend == "onnx":
        # Refused now, not at the first photo.
        scorer.prepared_at(scorer.native_stride_px)
    return scorer


def _check_backend(backend: Backend, compute: Compute) -> None:
    """Refuse an unknown backend, and ONNX Runtime for what only torch does.

    Raises:
        ModelError: it is one of these.
    """
    if backend not in BACKENDS:
        raise ModelError(f"backend is {backend!r}: choose one of {', '.join(BACKENDS)}")
    if backend == "onnx" and not compute.is_plain:
        raise ModelError(
            f"ONNX Runtime computes in float32 on the CPU here, not in {compute.dtype} on "
            f"{compute.device}",
            Use("backend", "torch"),
        )


def _scorer(
    in_torch: InTorch,
    forms: PreparedForms | None,
    compute: Compute,
    files: tuple[str | Path, ...],
) -> Scorer:
    """A scorer from the cache, without torch, or else from the network in torch."""
    if forms is not None and (kept := forms.typed_at(None)) is not None:
        slides = kept.slides
        in_torch.expect(kept.facts)
        return Scorer(kept.facts, kept.form, slides, in_torch, forms, compute, files=files)
    loaded = in_torch.get()
    facts, engine, slides = loaded.classifier.bare, loaded.engine, loaded.slides
    return Scorer(facts, engine, slides, in_torch, forms, compute, files=files)


def _loaded(model: Model, way: Way, compute: Compute, overrides: dict[str, Any]) -> Loaded:
    from ..networks.load import load_classifier
    from .loaded import loaded

    return loaded(load_classifier(model, **overrides), way.engine, way.statistics, compute)


def _name(model: Model) -> str:
    if isinstance(model, str | Path):
        return str(model)
    return str(getattr(model, "name", type(model).__name__))


def _typed(model: Model, way: Way, overrides: dict[str, Any]) -> Callable[[int | None], str] | None:
    """The digest of what was typed, for a stride; None where code has to run to know more."""
    if not isinstance(model, str | Path):
        return None
    name = str(model)
    if is_factory(name) or is_factory(str(overrides.get("architecture") or "")) or are_added():
        return None
    form = " ".join(filter(None, way))
    return lambda stride: digest_of_typed(name, overrides, form, stride)


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
    progress: Progress = False,
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
        progress: False only logs to ``logging.getLogger("heatmap")`` (stages as INFO, notes as
            WARNING); True also shows a bar on standard error, on a terminal or in a notebook; a
            function is called with the number of windows done and the total; a
            :class:`heatmap.Reporter` gets everything.

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
    with reporting(progress) as reporter:
        scorer, placement = _scorer_of(model, engine, reporter), Placement(stride, scale, border)
        opened = scorer.opened(photo, placement, skip)
        note = no_data_note(opened, [scorer.plan(opened.hw, placement)])
        reporter.stage(f"scoring {name_of(opened)}")
        limits: dict[str, Any] = {"memory": memory, "store_classes": store_classes, "skip": skip}
        grid = scorer.score(opened, placement, progress=reporter, **limits)
        reporter.notes([note] if note else [])
    return noted(grid, [note]) if note else grid


def _scorer_of(model: Model | Scorer, engine: Engine, reporter: Reporter) -> Scorer:
    """The scorer that is given, or one of a model.

    Raises:
        GeometryError: the engine contradicts the one of the scorer; or as :func:`prepare`.
    """
    if not isinstance(model, Scorer):
        return prepare(model, engine=engine, progress=reporter)
    if engine not in ("auto", model.engine):
        raise GeometryError(
            f"{model.facts.name} is prepared to {model.engine}: prepare it with engine={engine!r}"
        )
    return model
