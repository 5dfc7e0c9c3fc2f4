"""Checks of what was typed, before anything heavy is loaded."""

from __future__ import annotations

from typing import Any

from .console import progress_line

# Options with names of classes.
_NAMING_CLASSES = ("classes", "exclude", "store_classes")


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
