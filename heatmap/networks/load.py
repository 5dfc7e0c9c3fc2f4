"""From what a user names to a classifier that is ready to score."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from ..class_groups import read_groups
from ..classes import ClassList
from ..errors import ModelError, reason_of
from ..grid.origin import WeightsKind
from .adapted import Adaptation
from .checkpoint import SUFFIX, Checkpoint, read_checkpoint
from .class_names import ClassNames, read_class_names
from .classifier import ChannelOrder, Classifier, Preprocessing, Triple
from .new_head import build_adapted
from .registry import DEFAULT_MODEL, SEED, build, described, find, unknown_window
from .state_dict import State, class_count, digest, fill, read_weights
from .zoo import TIMM, Architecture

_WEIGHT_SUFFIXES = (SUFFIX, ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class _Overrides:
    """What the user says instead of what comes with the weights; None where nothing."""

    window: int | None
    mean: Triple | None
    std: Triple | None
    channel_order: ChannelOrder | None
    class_names: ClassNames | None
    groups: str | Path | None

    def any(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))


@dataclass(frozen=True)
class _Loaded:
    """A network with weights in it, and what came with them."""

    module: nn.Module
    weights: str
    kind: WeightsKind
    preprocessing: Preprocessing | None = None
    classes: ClassList | None = None
    architecture: str = ""
    adaptation: Adaptation | None = None


def load_classifier(
    model: str | Path | nn.Module | Classifier = DEFAULT_MODEL,
    *,
    weights: str | Path = "default",
    window: int | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    channel_order: ChannelOrder | None = None,
    class_names: ClassNames | None = None,
    groups: str | Path | None = None,
    window_if_unknown: int | None = None,
) -> Classifier:
    """Load a classifier, on the CPU unless it comes as a module that lies elsewhere.

    Args:
        model: the name of a torchvision network ("vgg16"), ``timm/<name>``,
            ``package.module:factory`` (imported and called without arguments), the
            path of a checkpoint, or an ``nn.Module``, which stays as it is. A
            checkpoint of a factory imports and calls it too: load such ones only
            from people you trust. A Classifier is returned as it is.
        weights: "default" (published weights, downloaded once; a module's or a
            factory's own), "random" (freshly initialised, seed 0), or a
            .safetensors, .pt or .pth file, which may have another number of classes.
        window: side of the network's window in px. Only modules and factories
            without timm's ``pretrained_cfg`` need it.
        mean, std: in units of pixel/255, in the order of the network's channels;
            those that come with the weights, else ImageNet's.
        channel_order: "rgb" or "bgr"; mean and std that are not given follow.
        class_names: names of the network's K classes, or a text file with one a line.
            Without them the published names where the number of classes is theirs, else
            numbers; random weights get numbers.
        groups: a JSON file of class groups (groups.py), besides those that are built in.
        window_if_unknown: the window of those that do not say theirs.

    Raises:
        ClassError: a file of groups that cannot be used.
        ModelError: an unknown name, weights that are missing or do not fit, a network
            that does not take the window or does not give (1, K).
    """
    overrides = _Overrides(window, mean, std, channel_order, class_names, groups)
    unknown = window_if_unknown
    if isinstance(model, Classifier):
        if overrides.any() or weights != "default":
            raise ModelError(f"{model.name} is loaded already: give weights and settings then")
        return model
    if isinstance(model, nn.Module):
        return _finished(_from_module(model, weights), type(model).__name__, overrides, unknown)
    # Seeded weights are the same on every machine only if made on the CPU; torch's random
    # state is the caller's, though every network that is built draws from it.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        loaded = _from_path(model, weights) if _is_path(model) else _from_name(str(model), weights)
    return _finished(loaded, str(model), overrides, unknown)


def _is_path(model: str | Path) -> bool:
    name = str(model)
    # Some of timm's names end like a file's: beit3_base_patch16_224.pt.
    named_like_one = name.endswith(_WEIGHT_SUFFIXES) and not name.startswith(TIMM)
    return isinstance(model, Path) or named_like_one


def _from_path(model: str | Path, weights: str | Path) -> _Loaded:
    path = Path(model)
    if weights != "default":
        raise ModelError(f"{path} is a checkpoint with weights of its own: leave --weights out")
    if path.suffix != SUFFIX:
        raise ModelError(
            f"{path}: bare weights do not say which network they belong to: "
            f"name it, as -m vgg16 --weights {path}"
        )
    found = read_checkpoint(path)
    network = find(found.architecture)
    return _Loaded(
        module=_filled(network, found.state, str(path))[0]
        if found.adaptation is None
        else _filled_adapted(network, found, str(path)),
        weights=f"checkpoint {path.name}, from {found.weights}",
        kind="checkpoint",
        preprocessing=found.preprocessing,
        classes=found.classes,
        architecture=found.architecture,
        adaptation=found.adaptation,
    )


def _from_name(name: str, weights: str | Path) -> _Loaded:
    network = find(name)
    if weights == "random":
        if network.fetch is None:
            raise ModelError(f"{name} brings its own weights: leave --weights random out")
        words = f"random (seed {SEED})"
        return _Loaded(build(network), words, "random", network.preprocessing, architecture=name)
    kind: WeightsKind = "default" if weights == "default" else "file"
    if weights == "default":
        if network.fetch is None:
            return _Loaded(build(network), network.published, "own", architecture=name)
        path, words = network.fetch(), network.published
    else:
        path = Path(weights)
        words = f"file {path.name}"
    module, classes = _filled(network, read_weights(path), str(path))
    return _Loaded(module, words, kind, network.preprocessing, classes, name)


def _from_module(module: nn.Module, weights: str | Path) -> _Loaded:
    name = type(module).__name__
    if weights == "default":
        return _Loaded(module, "as given", "own")
    if weights == "random":
        raise ModelError(f"{name} brings its own weights: leave --weights random out")
    filled = _copied(module, name)
    fill(filled, read_weights(Path(weights)), str(weights), name)
    return _Loaded(filled, f"file {Path(weights).name}", "file")


def _filled(network: Architecture, state: State, source: str) -> tuple[nn.Module, ClassList | None]:
    """The network with these weights, built for as many classes as they have.

    With it the published class names, unless their number is another.
    """
    module, classes = build(network), network.classes
    adapted = network.adapt(state)
    count = class_count(module, adapted)
    if count is not None:
        module, classes = build(network, count), None
    fill(module, adapted, source, network.name)
    return module, classes


def _filled_adapted(network: Architecture, found: Checkpoint, source: str) -> nn.Module:
    """The network built anew with the head that the checkpoint describes."""
    assert found.adaptation is not None
    module = build_adapted(build(network).eval(), found.adaptation, len(found.classes))
    fill(module, found.state, source, network.name, assign=True)
    return module


def _finished(loaded: _Loaded, name: str, overrides: _Overrides, unknown: int | None) -> Classifier:
    preprocessing = _preprocessing(loaded, name, overrides, unknown)
    module = loaded.module
    if any(part.training for part in module.modules()):
        module = _copied(module, name).eval()
    count = _count_classes(module, preprocessing.window_px, name)
    names = loaded.classes if overrides.class_names is None else overrides.class_names
    return Classifier(
        module=module,
        name=name,
        preprocessing=preprocessing,
        classes=_with_groups(_class_list(names, count, name), overrides.groups),
        weights=loaded.weights,
        weights_digest=digest(module.state_dict()),
        architecture=loaded.architecture,
        adaptation=loaded.adaptation,
        weights_kind=loaded.kind,
    )


def _preprocessing(
    loaded: _Loaded, name: str, overrides: _Overrides, unknown: int | None
) -> Preprocessing:
    base = loaded.preprocessing or described(loaded.module)
    window = overrides.window or unknown
    if base is None and window is None:
        raise unknown_window(name)
    base = base or Preprocessing(window or 0)
    if overrides.channel_order not in (None, base.channel_order):
        # The mean of blue stays the mean of blue, wherever blue stands.
        base = replace(base, mean=base.mean[::-1], std=base.std[::-1])
    given: dict[str, Any] = {
        "window_px": overrides.window,
        "mean": overrides.mean,
        "std": overrides.std,
        "channel_order": overrides.channel_order,
    }
    return replace(base, **{key: value for key, value in given.items() if value is not None})


def _copied(module: nn.Module, name: str) -> nn.Module:
    try:
        return copy.deepcopy(module)
    # Hooks and parts written by others may refuse in any way.
    except Exception as error:
        raise ModelError(
            f"{name} cannot be copied ({reason_of(error)}): call its eval() beforehand"
        ) from error


def _count_classes(module: nn.Module, window: int, name: str) -> int:
    """Number of classes, seen by showing the network one black window."""
    parameter = next(module.parameters(), torch.zeros(()))
    try:
        with torch.no_grad():
            scores = module(torch.zeros(1, 3, window, window, device=parameter.device))
    except Exception as error:
        raise ModelError(
            f"{name} does not take a window of {window} px: {reason_of(error)}"
        ) from error
    if not isinstance(scores, torch.Tensor):
        raise ModelError(f"{name} gives {type(scores).__name__}, not one tensor of scores (1, K)")
    if scores.ndim != 2 or scores.shape[0] != 1 or scores.shape[1] < 1:
        raise ModelError(f"{name} gives {tuple(scores.shape)} for one window, not scores (1, K)")
    return scores.shape[1]


def _class_list(class_names: ClassNames | None, count: int, name: str) -> ClassList:
    if class_names is None:
        return ClassList.numbered(count)
    classes = read_class_names(class_names)
    if len(classes) != count:
        raise ModelError(f"{name} has {count} classes, {len(classes)} class names were given")
    return classes


def _with_groups(classes: ClassList, groups: str | Path | None) -> ClassList:
    return classes if groups is None else replace(classes, groups=read_groups(groups, classes))


Model: TypeAlias = str | Path | nn.Module | Classifier
