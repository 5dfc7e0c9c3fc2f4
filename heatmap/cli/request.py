"""Options of the command line as the objects that the Python functions take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .console import progress_line

if TYPE_CHECKING:
    from ..photo.reading import Reading
    from ..runs.request import Display, MultiScale, Request
    from ..runs.settings import ScorerRecipe

_CLASSIFIER = (
    *("weights", "weights_key", "architecture", "window", "mean", "std", "channel_order"),
    *("class_names", "groups", "activation"),
)
_VIEW = (
    *("classes", "conf", "iou", "max_det", "exclude", "confirm"),
    *("opacity", "color_range", "full", "per_class", "areas"),
)

# Options with names of classes.
_NAMING_CLASSES = ("classes", "exclude", "store_classes")


def view_of(options: dict[str, Any]) -> Display:
    """What to detect and draw, from ``detection_options`` and ``picture_options``."""
    from ..runs.request import Display

    given = {name: options[name] for name in _VIEW if options.get(name) is not None}
    return Display(**given)


def placement_of(options: dict[str, Any]) -> MultiScale:
    """How windows are laid over a photo, from ``scales_options`` and, where given, others."""
    from ..runs.request import MultiScale

    names = ("stride", "scales", "border", "fuse", "resolution")
    return MultiScale(**{name: options[name] for name in names if name in options})


def check_model(model: str) -> None:
    """Refuse the name of no model before anything heavy is loaded.

    Raises:
        ModelError: the name of no model.
    """
    from ..networks.model_names import check_name, is_path

    # The first time, torchvision and timm are asked, which takes seconds.
    with progress_line(f"looking up {model}"):
        if not is_path(model):
            check_name(model)


def check_names(options: dict[str, Any]) -> None:
    """Refuse names of no model, and of no class of it, before anything heavy is loaded.

    Args:
        options: with ``model_options``, and any of those that name classes.

    Raises:
        ModelError: the name of no model.
        ClassError: the name of no class; classes that only the network knows are checked later.
    """
    from ..networks.known_classes import known_classes

    check_model(options["model"])
    wanted = [name for option in _NAMING_CLASSES for name in options.get(option) or ()]
    files = {name: options[name] for name in ("class_names", "groups")}
    if not wanted and not any(files.values()):
        return
    with progress_line(f"looking up classes of {options['model']}"):
        classes = known_classes(options["model"], weights=options["weights"], **files)
    if classes is not None:
        classes.find_all(wanted)


def recipe_of(options: dict[str, Any], engine: Any) -> ScorerRecipe:
    """How to prepare the scorer, from ``model_options`` and, where given, device and dtype."""
    from ..runs.settings import ScorerRecipe

    names = (*_CLASSIFIER, *(name for name in ("backend", "device", "dtype") if name in options))
    return ScorerRecipe(options["model"], engine, {name: options[name] for name in names})


def reading_of(options: dict[str, Any]) -> Reading:
    """How photo files are read, from ``reading_options``."""
    from ..photo.reading import Reading

    return Reading(options["input_range"], options["damaged"], options["max_pixels"])


def request_of(options: dict[str, Any]) -> Request:
    """How to process each photo, from the options that `run` and `batch` share."""
    from ..grid.skip import Skip
    from ..localization.formats.coco import CocoIds
    from ..runs.request import Extras, Limits, Request

    if options["coco"] is not None and "coco" not in options["formats"]:
        raise click.UsageError("--coco gives the ids for --format coco: add --format coco")
    skips = options["skip_background"] or options["mask"] is not None
    return Request(
        view_of(options),
        placement_of(options),
        Limits(
            options["memory"],
            options["store_classes"] or None,
            Skip(options["skip_background"], options["mask"]) if skips else None,
            options.get("region_xywh"),
            reading_of(options),
        ),
        Extras(
            options["formats"],
            options["html"],
            None if options["coco"] is None else CocoIds.read(options["coco"]),
            save_grid=options["save_grid"],
            save_crops=options["save_crops"],
        ),
        options["overwrite"],
    )
