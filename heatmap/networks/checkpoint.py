"""Checkpoints: a classifier in two files, its weights as .safetensors and the rest as .json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..classes import ClassList
from ..errors import HeatmapError, ModelError, ResultError, Use, reason_of
from ..files import Writer, of_bytes, write_all
from ..grid.outputs import Outputs, read_outputs
from ..localization.auto_scales import ScaleRule, described_rule, read_rule
from ..localization.box_regression import BoxRegression
from ..marks import MARK
from ..names import check_length
from ..ownership import Ownership
from ..prepared.preprocessing import Preprocessing
from ..room import named_error
from ..temporary import recover
from .adapted import Adaptation
from .class_names import described_classes
from .classifier import Classifier
from .model_names import CHECKPOINT_SUFFIX
from .state_dict import StateDict, digest_of_weights
from .weights_file import read_weights

CHECKPOINT_FORMAT = 2
# What the names of a box regression's tensors begin with, and the rest of them.
_BOX_PREFIX = "box_regression."
_BOX_TENSORS = ("weights", "biases")


@dataclass(frozen=True)
class Checkpoint:
    """The content of the two files; ``weights`` says where the weights came from originally."""

    state: StateDict
    architecture: str
    preprocessing: Preprocessing
    classes: ClassList
    weights: str
    adaptation: Adaptation | None = None
    outputs: Outputs | None = None
    scale_rule: ScaleRule | None = None
    box_regression: BoxRegression | None = None


def save_checkpoint(classifier: Classifier, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``x.safetensors``, and ``x.json`` beside it with everything else needed for loading.

    Both are written or neither. The description contains the digest of the weights, so that
    loading detects files that do not belong together.

    Args:
        classifier: a classifier from :func:`heatmap.load_classifier`, :func:`heatmap.adapt` or
            :func:`heatmap.train` that was loaded by name, not from a module.
        path: the file of the weights, .safetensors. Missing folders are created.
        overwrite: also replace files that are no checkpoint of this tool.

    Returns:
        The path, which any ``model`` parameter accepts.

    Raises:
        ModelError: the network cannot be built again by name.
        ResultError: the path has another suffix, is used by something else, or cannot be
            written.
    """
    target = Path(path)
    owner = check_target(target, overwrite=overwrite)
    write_all(checkpoint_files(classifier, target), owner)
    return target


def checkpoint_files(
    classifier: Classifier, target: Path, *, training: Mapping[str, Any] | None = None
) -> dict[Path, Writer]:
    """The functions that write the two files of a checkpoint, by the path of each.

    Args:
        classifier: as :func:`save_checkpoint` takes it.
        target: the file of the weights.
        training: how the weights were trained, serialisable as JSON; informative only, loading
            does not read it.

    Raises:
        ModelError: the network cannot be built again by name.
    """
    check_named(classifier)
    state = {
        name: values.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, values in classifier.module.state_dict().items()
    }
    state |= _box_tensors(classifier.box_regression)
    description = _description(classifier, state)
    if training is not None:
        description["training"] = training
    text = json.dumps({"generator": MARK, **description}, indent=1) + "\n"

    def write_weights(to: Path) -> None:
        try:
            save_file(state, to, metadata={"generator": MARK})
        except SafetensorError as error:
            raise ResultError(f"{target}: cannot be written: {reason_of(error)}") from error

    return {target: write_weights, description_path(target): of_bytes(text.encode())}


def check_target(
    target: Path,
    *,
    beside: Iterable[Path] = (),
    read: Iterable[object] = (),
    overwrite: bool = False,
) -> Ownership:
    """Refuse a path that a checkpoint cannot or must not be written to.

    Args:
        target: the file of the weights.
        beside: what else will be written with it, to the same folder.
        read: what it is made from; those that are files are not replaced.
        overwrite: whether to replace files that are no checkpoint of this tool.

    Returns:
        Which files may be replaced.

    Raises:
        ResultError: it has another suffix or too long a name, or a folder or a stranger's file is
            in the way.
    """
    check_length(target)
    if target.suffix != CHECKPOINT_SUFFIX:
        raise ResultError(f"{target}: a checkpoint's name ends in {CHECKPOINT_SUFFIX}")
    owner = Ownership.of(read, overwrite=overwrite)
    with named_error(target.parent):
        recover(target.parent)
    owner.check((target, description_path(target), *beside))
    return owner


def check_named(classifier: Classifier) -> None:
    """Refuse a network that cannot be built again by name.

    Raises:
        ModelError: it was given as a module.
    """
    if not classifier.architecture:
        raise ModelError(
            f"{classifier.name} was given as a module and cannot be built again by name: "
            "load it as package.module:factory to save it"
        )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote.

    Raises:
        ModelError: a file is missing or damaged, the format is unknown, or the weights
            are not those the description was written for.
    """
    state = read_weights(path).state
    description = _read_description(description_path(path))
    if description.get("format") != CHECKPOINT_FORMAT:
        raise ModelError(
            f"{path}: checkpoint format {description.get('format')}, "
            f"this version reads format {CHECKPOINT_FORMAT}"
        )
    digest, described = digest_of_weights(state), str(description.get("weights_digest"))
    if digest != described:
        raise ModelError(
            f"{path}: the weights' digest is {digest[:12]}, {description_path(path).name} says "
            f"{described[:12]}: the two files do not belong together"
        )
    try:
        return _assembled(state, description)
    except (KeyError, TypeError, ValueError, HeatmapError) as error:
        raise ModelError(
            f"{path}: its description does not fit format {CHECKPOINT_FORMAT}: {reason_of(error)}"
        ) from error


def description_path(path: Path) -> Path:
    """The .json that belongs to a checkpoint's .safetensors."""
    return path.with_suffix(".json")


def _box_tensors(regression: BoxRegression | None) -> StateDict:
    """The tensors of a box regression by their names in the file; none without."""
    if regression is None:
        return {}
    return {
        _BOX_PREFIX + name: torch.from_numpy(np.ascontiguousarray(getattr(regression, name)))
        for name in _BOX_TENSORS
    }


def _description(classifier: Classifier, state: StateDict) -> dict[str, Any]:
    regression = classifier.box_regression
    return {
        "format": CHECKPOINT_FORMAT,
        "architecture": classifier.architecture,
        "adaptation": classifier.adaptation and asdict(classifier.adaptation),
        "preprocessing": asdict(classifier.preprocessing),
        "class_names": classifier.classes.names,
        "wnids": classifier.classes.wnids,
        "outputs": classifier.outputs,
        "scales": described_rule(classifier.scale_rule),
        "weights": classifier.weights,
        "weights_digest": digest_of_weights(state),
        **({} if regression is None else {"box_regression": {"examples": regression.examples}}),
    }


def _read_description(path: Path) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise ModelError(
            f"{path} is missing, a checkpoint is two files",
            Use("weights", "FILE", text="give bare weights as {} and name their network"),
        )
    try:
        description = json.loads(path.read_text("utf-8"))
    # Text that is not UTF-8 and text that is not JSON are both ValueErrors.
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {reason_of(error)}") from error
    if not isinstance(description, dict):
        kind = type(description).__name__
        raise ModelError(f"{path}: holds {kind}, not a checkpoint's description")
    return description


def _assembled(state: StateDict, description: dict[str, Any]) -> Checkpoint:
    if not all(isinstance(description[name], str) for name in ("architecture", "weights")):
        raise TypeError("architecture and weights must be text")
    # Taken out first: the rest are the network's.
    regression = _box_regression(state, description.get("box_regression"))
    return Checkpoint(
        state=state,
        architecture=description["architecture"],
        preprocessing=Preprocessing(**description["preprocessing"]),
        classes=described_classes(description),
        weights=description["weights"],
        adaptation=_adaptation(description.get("adaptation")),
        outputs=_outputs(description.get("outputs")),
        scale_rule=_scale_rule(description.get("scales")),
        box_regression=regression,
    )


def _outputs(text: object) -> Outputs | None:
    """What the outputs mean; None where nothing says so, as in earlier checkpoints."""
    return None if text is None else read_outputs(text)


def _scale_rule(described: Any) -> ScaleRule | None:
    """The rule of its scales; None where nothing says so, as in earlier checkpoints."""
    return None if described is None else read_rule(described)


def _box_regression(state: StateDict, described: Any) -> BoxRegression | None:
    """The box regression, whose tensors are taken out; None where nothing says there is one."""
    if described is None:
        return None
    arrays = {name: state.pop(_BOX_PREFIX + name).float().numpy() for name in _BOX_TENSORS}
    return BoxRegression(**arrays, examples=int(described["examples"]))


def _adaptation(fields: dict[str, Any] | None) -> Adaptation | None:
    return None if fields is None else Adaptation(**{**fields, "levels": tuple(fields["levels"])})
