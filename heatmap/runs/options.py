"""The options of runs and batches by name: the same in Python and on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from ..choices import Backend, Colormap, Device, Dtype, Engine, Statistics
from ..classes import ClassGroup, Wanted
from ..errors import ModelError, ResultError, Use
from ..geometry import Border
from ..grid.origin import Fusion
from ..grid.skip import Skip
from ..keywords import among
from ..localization.auto_scales import Automatic, Resolution
from ..localization.formats.coco import CocoIds
from ..networks.load_options import LoadOptions
from ..photo.reading import Reading, ReadingOptions
from ..progress import Reporter
from .request import Display, Extras, Limits, MultiScale, Request, Stride
from .settings import ScorerRecipe

if TYPE_CHECKING:
    from ..networks.load import Model
    from ..scoring.scorer import Scorer

Options = Mapping[str, Any]
Settings = TypeVar("Settings", Display, MultiScale, Limits, Extras, Reading)


class ModelOptions(LoadOptions, total=False):
    """How a network is loaded and run: see :func:`heatmap.load_classifier`, :func:`prepare`."""

    engine: Engine
    statistics: Statistics | None
    backend: Backend
    device: Device
    dtype: Dtype


class ScaleOptions(TypedDict, total=False):
    """At which scales photos are scored, as of :class:`RunOptions`."""

    scales: float | Sequence[float] | Automatic
    resolution: Resolution


class PlacementOptions(ScaleOptions, total=False):
    """How windows are laid over photos, as of :class:`RunOptions`."""

    stride: Stride | None
    border: Border


class VerifyOptions(LoadOptions, PlacementOptions, ReadingOptions, total=False):
    """The options of :func:`heatmap.verify`, as of :class:`heatmap.RunOptions`."""

    statistics: Statistics | None
    backend: Backend


class EvaluateOptions(LoadOptions, ScaleOptions, ReadingOptions, total=False):
    """The options of :func:`heatmap.evaluate`, as of :class:`heatmap.RunOptions`."""

    statistics: Statistics | None
    fuse: Fusion
    stride: Stride | None
    backend: Backend
    conf: float
    confirm: int


class BatchOptions(ModelOptions, PlacementOptions, ReadingOptions, total=False):
    """The options of :func:`heatmap.batch`: those of :class:`heatmap.RunOptions` of any photo."""

    classes: Wanted | Sequence[Wanted]
    exclude: Wanted | Sequence[Wanted]
    conf: float
    iou: float
    max_det: int | None
    confirm: int
    fuse: Fusion
    skip_background: bool
    mask: str | Path | npt.NDArray[np.uint8] | None
    memory: int | None
    store_classes: Wanted | Sequence[Wanted] | None
    alpha: float
    color_range: tuple[float, float] | None
    colormap: Colormap | None
    legend: bool
    boxes: bool
    full: bool
    per_class: bool
    areas: bool
    formats: str | Sequence[str]
    coco: str | Path | None
    html: bool
    save_grid: bool
    save_crops: bool


class RunOptions(BatchOptions, total=False):
    """The options of :func:`heatmap.run` and ``heatmap run``; None is as not given.

    Attributes:
        weights, weights_key, architecture, window, mean, std, channel_order, class_names, groups,
            activation: the model, as for :func:`heatmap.load_classifier`.
        engine, statistics, backend, device, dtype: how it is run, as for :func:`heatmap.prepare`.
        classes: names, indices or groups to search and draw, or one of them; by default all are
            searched, and those detected are drawn.
        exclude: classes and groups that are left out where none are given.
        conf: confidence threshold, 0..1: the lowest confidence of a detection.
        iou: IoU threshold, 0..1: of windows of one class that overlap more, only the most
            confident is kept.
        max_det: maximum number of detections, per class where ``classes`` are given.
        confirm: how many detections are confirmed by cropping.
        scales: resize factors of the photo, or one; or "auto" (by the rule of the network),
            "photo" (by the photo's size), or "native" (1).
        resolution: for scales that are not given: "normal", "fine" or "finer", for smaller things.
        stride: distance between neighbouring windows, px; by default the network's own. "auto"
            crops from coarse to fine, near what is likely there, at the network's own stride;
            has no effect on sliding.
        border: "cover" extends the photo so that every pixel lies in a window; "valid" does not.
        fuse: "mean" or "max" of the probabilities of several scales, without sharp maps.
        region: left, top, width and height, px, of the part of the photo that is looked at.
        skip_background: skip windows that show only flat background.
        mask: skip windows where this image of the photo's proportions is black.
        memory: bytes that activations may take; by default half of the free memory.
        store_classes: the only classes whose probabilities are kept in the grid.
        input_range, damaged, max_pixels: how files are read, as of :class:`heatmap.Reading`.
        alpha: opacity of the highest probabilities on the photo, 0..1.
        color_range: lowest and highest probability of the colours, 0..1.
        colormap: one of OpenCV's ("turbo", "viridis", ...), which colours the highest probability
            of all classes, instead of a colour for each class.
        legend, boxes: False draws the pictures without.
        full: draw the photo at its full size.
        per_class, areas: also draw each class by itself; and which class wins where.
        formats, coco, html, save_grid, save_crops: further files of :meth:`Result.save`: those of
            other programs ("csv", "coco", "geojson", "yolo", "voc", "labelme", "tiff"), with ids of
            a COCO dataset; the page; the grid; a cut-out of each detection.
    """

    region: tuple[int, int, int, int] | None


def recipe_of(model: Model | Scorer, options: Options) -> ScorerRecipe:
    """How to prepare a scorer, from those of the options that are of the model.

    Raises:
        ModelError: options of a model beside a scorer, which has them already.
    """
    given = among(options, ModelOptions)
    listed = ", ".join(given)
    recipe = ScorerRecipe(model, given.pop("engine", "auto"), given)
    if listed and recipe.is_prepared:
        raise ModelError(f"{listed}: the scorer is prepared already, give this to heatmap.prepare")
    return recipe


def scorer_of(model: Model | Scorer, options: Options, reporter: Reporter) -> Scorer:
    """The scorer that is given, or the one that a model and its options make.

    What is known of the network is told as notes, but not of a scorer: that was told before.

    Raises:
        ModelError: as :func:`recipe_of`; or as :func:`heatmap.prepare`.
    """
    recipe = recipe_of(model, options)
    if not recipe.is_prepared:
        reporter.stage(f"loading {recipe.name}")
    scorer = recipe.prepare()
    if not recipe.is_prepared:
        reporter.notes((*scorer.facts.notes, *scorer.cache_notes))
    return scorer


def request_of(options: Options, *, overwrite: bool = False) -> Request:
    """How each photo is processed; options that are None are as if they were not given.

    Raises:
        ResultError, PhotoError, GeometryError: a value that cannot be.
    """
    given = among(options, RunOptions)
    for name in ("classes", "exclude", "store_classes", "formats"):
        if name in given:
            given[name] = several(given[name])
    if given.get("classes") and given.get("exclude"):
        raise ResultError(
            "only named classes are looked for, and others are left out",
            Use("exclude", given["exclude"], "leave out {}"),
            Use("classes", given["classes"], "{}"),
        )
    limits = given | {"reading": _made(Reading, given), "skip": _skip_of(given)}
    limits["store_classes"] = given.get("store_classes") or None
    return Request(
        _made(Display, given),
        _placement_of(given),
        _made(Limits, limits),
        _made(Extras, given | {"coco": _ids_of(given)}),
        overwrite,
    )


def _placement_of(options: Options) -> MultiScale:
    """How windows are laid over a photo."""
    given = dict(options)
    scales = given.get("scales", "auto")
    if not isinstance(scales, str):
        given["scales"] = (scales,) if isinstance(scales, int | float) else tuple(scales)
    return _made(MultiScale, given)


def _made(kind: type[Settings], options: Options) -> Settings:
    """An object of settings from the options of the names of its fields."""
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in options.items() if name in names})


def several(value: Wanted | Iterable[Wanted]) -> tuple[Wanted, ...]:
    """What may be given alone or as several."""
    if isinstance(value, str | int | ClassGroup):
        return (value,)
    return tuple(value)


def _skip_of(options: Options) -> Skip | None:
    background, mask = options.get("skip_background", False), options.get("mask")
    return Skip(background, mask) if background or mask is not None else None


def _ids_of(options: Options) -> CocoIds | None:
    source = options.get("coco")
    if source is not None and "coco" not in options.get("formats", ()):
        raise ResultError(
            f"{source} gives the ids of COCO files", Use("formats", ["coco"], "add {}")
        )
    return None if source is None else CocoIds.read(source)
