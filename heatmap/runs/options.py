"""The options of runs and batches by name: the same in Python and on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from ..choices import Activation, Backend, Colormap, Device, Dtype, Engine, Statistics
from ..classes import ClassGroup, Wanted
from ..errors import ResultError, Use
from ..geometry import Border
from ..grid.origin import Fusion
from ..grid.skip import Skip
from ..localization.auto_scales import Automatic, Resolution
from ..localization.formats.coco import CocoIds
from ..photo.reading import Damaged, Reading
from ..prepared.preprocessing import ChannelOrder, PerChannel
from .request import Display, Extras, Limits, MultiScale, Request
from .settings import ScorerRecipe

Options = Mapping[str, Any]
Settings = TypeVar("Settings", Display, MultiScale, Limits, Extras, Reading)


class ModelOptions(TypedDict, total=False):
    """How a network is loaded and run: see :func:`heatmap.load_classifier`, :func:`prepare`."""

    weights: str | Path
    weights_key: str | None
    architecture: str | None
    window: int | None
    mean: PerChannel | None
    std: PerChannel | None
    channel_order: ChannelOrder | None
    class_names: Any
    groups: str | Path | None
    activation: Activation
    engine: Engine
    statistics: Statistics | None
    backend: Backend
    device: Device
    dtype: Dtype


class RunOptions(ModelOptions, total=False):
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
        stride: distance between neighbouring windows, px; by default the network's own.
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

    classes: Wanted | Sequence[Wanted]
    exclude: Wanted | Sequence[Wanted]
    conf: float
    iou: float
    max_det: int | None
    confirm: int
    scales: float | Sequence[float] | Automatic
    resolution: Resolution
    stride: int | None
    border: Border
    fuse: Fusion
    region: tuple[int, int, int, int] | None
    skip_background: bool
    mask: str | Path | npt.NDArray[np.uint8] | None
    memory: int | None
    store_classes: Wanted | Sequence[Wanted] | None
    input_range: tuple[float, float] | None
    damaged: Damaged
    max_pixels: int
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


MODEL_OPTIONS = frozenset(ModelOptions.__annotations__)
RUN_OPTIONS = frozenset(RunOptions.__annotations__)


def among(options: Options, names: frozenset[str]) -> dict[str, Any]:
    """Those of some options that have these names and are not None."""
    return {name: value for name, value in options.items() if name in names and value is not None}


def check_options(options: Options, known: frozenset[str], function: str) -> None:
    """Refuse options that there are not.

    Raises:
        TypeError: as Python does, with what may be meant.
    """
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f": did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{meant}")


def recipe_of(model: str, options: Options) -> ScorerRecipe:
    """How to prepare a scorer, from those of the options that are of the model."""
    given = among(options, MODEL_OPTIONS)
    return ScorerRecipe(model, given.pop("engine", "auto"), given)


def request_of(options: Options, *, overwrite: bool = False) -> Request:
    """How each photo is processed; options that are None are as if they were not given.

    Raises:
        ResultError, PhotoError, GeometryError: a value that cannot be.
    """
    given = among(options, RUN_OPTIONS)
    for name in ("classes", "exclude", "store_classes", "formats"):
        if name in given:
            given[name] = _several(given[name])
    if isinstance(given.get("scales"), int | float):
        given["scales"] = (given["scales"],)
    limits = given | {"reading": reading_of(given), "skip": _skip_of(given)}
    limits["store_classes"] = given.get("store_classes") or None
    return Request(
        _made(Display, given),
        placement_of(given),
        _made(Limits, limits),
        _made(Extras, given | {"coco": _ids_of(given)}),
        overwrite,
    )


def placement_of(options: Options) -> MultiScale:
    """How windows are laid over a photo."""
    given = dict(options)
    if not isinstance(given.get("scales", ""), str):
        given["scales"] = tuple(given["scales"])
    return _made(MultiScale, given)


def display_of(options: Options) -> Display:
    """What is looked for, and how it is drawn."""
    return _made(Display, among(options, RUN_OPTIONS))


def reading_of(options: Options) -> Reading:
    """How photo files are read."""
    return _made(Reading, options)


def _made(kind: type[Settings], options: Options) -> Settings:
    """An object of settings from the options of the names of its fields."""
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in options.items() if name in names})


def _several(value: Wanted | Iterable[Wanted]) -> tuple[Wanted, ...]:
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
