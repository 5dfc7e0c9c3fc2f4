"""Load a classifier by name, from a checkpoint, or from a module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..choices import Activation
from ..conversion.usable import Usable, usable
from ..errors import ModelError, Use
from ..grid.outputs import Outputs
from ..localization.auto_scales import NATIVE, PHOTO, ScaleRule
from ..prepared.preprocessing import ChannelOrder, PerChannel, Preprocessing
from .class_names import ClassNames
from .classifier import Classifier
from .model_names import DEFAULT_MODEL
from .overrides import Overrides
from .probe import probe
from .registry import described_preprocessing, unknown_window
from .resolve import Resolved, Source, resolve
from .state_dict import digest_of_weights

# What every function takes that asks for a model.
Model: TypeAlias = str | Path | nn.Module | Classifier


def load_classifier(
    model: Model = DEFAULT_MODEL,
    *,
    weights: str | Path = "default",
    weights_key: str | None = None,
    architecture: str | None = None,
    window: int | None = None,
    mean: PerChannel | None = None,
    std: PerChannel | None = None,
    channel_order: ChannelOrder | None = None,
    class_names: ClassNames | None = None,
    groups: str | Path | None = None,
    activation: Activation = "auto",
) -> Classifier:
    """Load a classifier, on the CPU unless it is given as a module on another device.

    Args:
        model: the name of a torchvision network ("vgg16"), ``timm/<name>``,
            ``package.module:factory`` (imported and called without arguments), the
            path of a checkpoint, or an ``nn.Module``, which is not changed. A Classifier is
            returned as it is.
        weights: "default" (published weights, downloaded once; a module's or a
            factory's own), "random" (initialised at random with seed 0), or a
            .safetensors, .pt or .pth file, which may have another number of classes. Files
            are read without running code; known prefixes are taken off the names in them,
            and averaged weights (EMA) are preferred to raw ones, which ``notes`` tells.
        weights_key: the key under which a file has the weights ("model", "state_dict_ema"),
            or a prefix of their names. None chooses.
        architecture: the ``package.module:factory`` of a checkpoint's network, which only runs
            if named here. It must be the name that the checkpoint records.
        window: side of the square that the network was trained on, px. Only modules and
            factories without timm's ``pretrained_cfg`` need it.
        mean, std: mean and standard deviation of each channel, in units of pixel/255 and in
            the order of the network's channels; one number each for a network of one channel,
            which gets photos in grey. By default those of the weights, otherwise ImageNet's.
        channel_order: "rgb" or "bgr"; default mean and std are reordered accordingly.
        class_names: names of the network's K classes, or a text file with one per line. By
            default the published names if there are K of them, otherwise numbers ("class
            0"); also numbers for random weights.
        groups: a JSON file of class groups, in addition to the built-in ones; see
            :func:`class_groups.read_groups`.
        activation: what makes probabilities of the outputs: "softmax" or, if the classes are
            independent, "sigmoid"; "none" if they are some. "auto" takes what a checkpoint
            says, and else goes by values (:func:`outputs.outputs_of`).

    Returns:
        The classifier, its module in eval mode.

    Raises:
        ClassError: the file of groups cannot be used.
        ModelError: the name is unknown, weights are missing or do not match, or the network
            does not take the window, takes neither 3 channels nor 1, does not give (1, K) or
            cannot have this activation.

    >>> module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    >>> load_classifier(module, window=8, class_names=["cat", "dog"]).classes.names
    ('cat', 'dog')
    """
    overrides = Overrides(window, mean, std, channel_order, class_names, groups, activation)
    return _loaded(model, Source(weights, weights_key, architecture), overrides)


def load_original(model: Model, source: Source, window: int | None) -> Classifier:
    """Load a classifier to adapt; ``window`` is used if the network does not say its own.

    Raises:
        ModelError: as :func:`load_classifier`.
    """
    return _loaded(model, source, Overrides(), window_if_unknown=window)


def _loaded(
    model: Model, source: Source, overrides: Overrides, *, window_if_unknown: int | None = None
) -> Classifier:
    if not isinstance(model, Classifier):
        return _classifier(model, source, overrides, window_if_unknown=window_if_unknown)
    if overrides.any() or source != Source():
        raise ModelError(
            f"{model.name} is loaded already: give weights and settings when loading it"
        )
    return model


def _classifier(
    model: str | Path | nn.Module,
    source: Source,
    overrides: Overrides,
    *,
    window_if_unknown: int | None = None,
) -> Classifier:
    name = type(model).__name__ if isinstance(model, nn.Module) else str(model)
    resolved = resolve(model, source)
    base = _own_preprocessing(resolved, name, overrides.window or window_if_unknown)
    preprocessing = overrides.preprocessing(base)
    _refuse_meta(resolved.module, name)
    ready = _usable_at(resolved.module, preprocessing.window_px, base.window_px, name)
    classifier = Classifier(
        module=ready.module,
        name=name,
        preprocessing=overrides.for_channels(preprocessing, ready.channels, name),
        classes=overrides.classes(resolved.classes, ready.scores.shape[1], name),
        weights=resolved.weights,
        weights_digest=digest_of_weights(ready.module.state_dict()),
        architecture=resolved.architecture,
        adaptation=resolved.adaptation,
        weights_kind=resolved.weights_kind,
        outputs=resolved.outputs or "logits",
        notes=resolved.notes,
        scale_rule=resolved.scale_rule or _scale_rule(resolved.module),
        # What it was fitted to is gone where photos are prepared in another way.
        box_regression=resolved.box_regression if preprocessing == base else None,
    )
    if resolved.outputs is not None and overrides.activation == "auto":
        return classifier
    return replace(classifier, outputs=_outputs(classifier, ready.scores, overrides.activation))


def _outputs(classifier: Classifier, first: Tensor, activation: Activation) -> Outputs:
    """What its outputs mean; ``first`` are its scores (1, K) of some window."""

    @torch.no_grad()
    def run(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        scores = classifier.module(torch.from_numpy(window).to(first.device))
        return np.asarray(scores.float().cpu().numpy(), np.float32)

    try:
        return probe(run, classifier.preprocessing, first.float().cpu().numpy(), activation)
    except ModelError as error:
        raise error.about(classifier.name) from error


def _scale_rule(module: nn.Module) -> ScaleRule:
    """That of published networks for those of torchvision and timm; of others nothing is known."""
    package = type(module).__module__.partition(".")[0]
    return PHOTO if package in ("torchvision", "timm") else NATIVE


def _own_preprocessing(resolved: Resolved, name: str, window: int | None) -> Preprocessing:
    """The preprocessing of the network, or ImageNet's at ``window`` px if it has none."""
    own = resolved.preprocessing or described_preprocessing(resolved.module, window)
    if own is not None:
        return own
    if window is None:
        raise unknown_window(name)
    return Preprocessing(window)


def _usable_at(module: nn.Module, window: int, own_window: int, name: str) -> Usable:
    """The module as :func:`usable` makes it; says so where it takes its own window only."""
    try:
        return usable(module, window, name)
    except ModelError as error:
        if window == own_window or not _takes(module, own_window, name):
            raise
        raise ModelError(
            f"{name} does not take a window of {window} px, it was made for {own_window} px",
            Use("window", text="leave {} out"),
        ) from error


def _takes(module: nn.Module, window: int, name: str) -> bool:
    try:
        usable(module, window, name)
    except ModelError:
        return False
    return True


def _refuse_meta(module: nn.Module, name: str) -> None:
    """Refuse a module without values; planning and counting take one, scoring cannot."""
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise ModelError(
            f'{name} is on the "meta" device, without weights: call its to_empty(device="cpu") and '
            "load_state_dict()"
        )
