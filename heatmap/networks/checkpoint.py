"""Checkpoints: a classifier in two files, weights as .safetensors and the rest as .json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..class_groups import built_in
from ..classes import ClassList
from ..errors import HeatmapError, ModelError, ResultError, reason_of
from ..files import writing
from .adapted import Adaptation
from .classifier import Classifier, Preprocessing
from .state_dict import State, digest, read_weights

CHECKPOINT_FORMAT = 2
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What the two files hold; ``weights`` says where the weights came from before."""

    state: State
    architecture: str
    preprocessing: Preprocessing
    classes: ClassList
    weights: str
    adaptation: Adaptation | None = None


def save_checkpoint(
    classifier: Classifier, path: str | Path, *, training: Mapping[str, Any] | None = None
) -> Path:
    """Write ``x.safetensors``, and ``x.json`` beside it with all else that loading needs.

    ``training`` says how it came about, for people; loading does not read it.

    The description is written last and holds the weights' digest, so two files that
    do not belong together are noticed.

    Raises:
        ModelError: the network cannot be built again by name.
        ResultError: the path has another ending, is taken by other things, or cannot be
            written.
    """
    target = Path(path)
    check_target(target)
    check_named(classifier)
    state = {
        name: values.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, values in classifier.module.state_dict().items()
    }
    with writing(target) as temporary:
        try:
            save_file(state, temporary)
        except SafetensorError as error:
            raise ResultError(f"{target}: cannot be written: {reason_of(error)}") from error
    described = _description(classifier, state)
    if training is not None:
        described["training"] = training
    with writing(description_path(target)) as temporary:
        temporary.write_text(json.dumps(described, indent=1) + "\n", "utf-8")
    return target


def check_target(target: Path) -> None:
    """Refuse a path that a checkpoint cannot, or must not, be written to.

    Raises:
        ResultError: it has another ending, or a folder or a .json of another kind is in the way.
    """
    if target.suffix != SUFFIX:
        raise ResultError(f"{target}: a checkpoint's name ends in {SUFFIX}")
    described = description_path(target)
    for path in (target, described):
        if path.is_dir():
            raise ResultError(f"{path}: cannot be written: is a directory")
    if described.exists():
        try:
            known = json.loads(described.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            known = None
        if not isinstance(known, dict) or "weights_digest" not in known:
            raise ResultError(
                f"{described}: is there already and describes no checkpoint: "
                f"give {target.name} another name"
            )


def check_named(classifier: Classifier) -> None:
    """Refuse a network that a checkpoint cannot name.

    Raises:
        ModelError: it came as a module.
    """
    if not classifier.architecture:
        raise ModelError(
            f"{classifier.name} came as a module and cannot be built again by name: "
            "load it as package.module:factory to save it"
        )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote.

    Raises:
        ModelError: a file is missing or damaged, the format is unknown, or the weights
            are not those the description was written for.
    """
    state = read_weights(path)
    found = _read_description(description_path(path))
    if found.get("format") != CHECKPOINT_FORMAT:
        raise ModelError(
            f"{path}: checkpoint format {found.get('format')}, "
            f"this version reads format {CHECKPOINT_FORMAT}"
        )
    if digest(state) != found.get("weights_digest"):
        raise ModelError(
            f"{path}: the weights' digest is {digest(state)[:12]}, {description_path(path).name} "
            f"says {str(found.get('weights_digest'))[:12]}: the two files do not belong together"
        )
    try:
        return _assembled(state, found)
    except (KeyError, TypeError, ValueError, HeatmapError) as error:
        raise ModelError(
            f"{path}: its description does not fit format {CHECKPOINT_FORMAT}: {reason_of(error)}"
        ) from error


def description_path(path: Path) -> Path:
    """The .json that belongs to a checkpoint's .safetensors."""
    return path.with_suffix(".json")


def _description(classifier: Classifier, state: State) -> dict[str, Any]:
    return {
        "format": CHECKPOINT_FORMAT,
        "architecture": classifier.architecture,
        "adaptation": classifier.adaptation and asdict(classifier.adaptation),
        "preprocessing": asdict(classifier.preprocessing),
        "class_names": classifier.classes.names,
        "wnids": classifier.classes.wnids,
        "weights": classifier.weights,
        "weights_digest": digest(state),
    }


def _read_description(path: Path) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise ModelError(
            f"{path} is missing: a checkpoint is two files; "
            "for bare weights name their network, as -m vgg16 --weights FILE"
        )
    try:
        found = json.loads(path.read_text("utf-8"))
    # Text that is not UTF-8 and text that is not JSON are both ValueErrors.
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {reason_of(error)}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: holds {type(found).__name__}, not a checkpoint's description")
    return found


def _assembled(state: State, found: dict[str, Any]) -> Checkpoint:
    texts = [found["architecture"], found["weights"], *found["class_names"], *found["wnids"]]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("architecture, weights, class_names and wnids must be text")
    return Checkpoint(
        state=state,
        architecture=found["architecture"],
        preprocessing=Preprocessing(**found["preprocessing"]),
        classes=_with_groups(tuple(found["class_names"]), tuple(found["wnids"])),
        weights=found["weights"],
        adaptation=_adaptation(found.get("adaptation")),
    )


def _adaptation(found: dict[str, Any] | None) -> Adaptation | None:
    return None if found is None else Adaptation(**{**found, "levels": tuple(found["levels"])})


def _with_groups(names: tuple[str, ...], wnids: tuple[str, ...]) -> ClassList:
    """The classes of a file, with the built-in groups where there are such."""
    return ClassList(names, wnids, built_in(names, wnids))
