"""Resolve a model's name, path or module to the network with its weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..classes import ClassList
from ..errors import ModelError, Use, reason_of
from ..grid.origin import WeightsKind
from ..grid.outputs import Outputs
from .adapted import Adaptation
from .checkpoint import CHECKPOINT_SUFFIX, Checkpoint, read_checkpoint
from .classifier import Preprocessing
from .new_head import build_adapted
from .registry import SEED, build_network, find_architecture
from .state_dict import StateDict, class_count, fill, read_weights
from .zoo import TIMM, Architecture

_WEIGHT_SUFFIXES = (CHECKPOINT_SUFFIX, ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class Resolved:
    """A network with its weights, and what comes with them; None and "" where nothing does."""

    module: nn.Module
    weights: str
    weights_kind: WeightsKind
    preprocessing: Preprocessing | None = None
    classes: ClassList | None = None
    architecture: str = ""
    adaptation: Adaptation | None = None
    outputs: Outputs | None = None


def resolve(model: str | Path | nn.Module, weights: str | Path) -> Resolved:
    """The network of ``model``, with the requested weights.

    Args:
        model, weights: as :func:`heatmap.load_classifier` takes them.

    Raises:
        ModelError: an unknown name, or weights that are missing or do not fit.
    """
    if isinstance(model, nn.Module):
        return _from_module(model, weights)
    # Seeded weights are the same on every machine only if made on the CPU. Building any network
    # uses torch's random state, which belongs to the caller.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        if not _is_path(model):
            return _from_name(str(model), weights)
        return _from_path(Path(model), weights)


def copy_module(module: nn.Module, name: str) -> nn.Module:
    """A copy of the caller's module, which may be changed.

    Raises:
        ModelError: it cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    # Custom hooks and layers may raise anything.
    except Exception as error:
        raise ModelError(
            f"{name} cannot be copied ({reason_of(error)}): call its eval() beforehand"
        ) from error


def _is_path(model: str | Path) -> bool:
    name = str(model)
    # Some of timm's names look like files: beit3_base_patch16_224.pt.
    ends_like_a_file = name.endswith(_WEIGHT_SUFFIXES) and not name.startswith(TIMM)
    return isinstance(model, Path) or ends_like_a_file


def _from_path(path: Path, weights: str | Path) -> Resolved:
    if weights != "default":
        raise ModelError(
            f"{path} is a checkpoint with weights of its own", Use("weights", text="leave {} out")
        )
    if path.suffix != CHECKPOINT_SUFFIX:
        raise ModelError(
            f"{path}: bare weights do not say which network they belong to",
            Use("weights", str(path), text="name it as the model, such as vgg16, and give {}"),
        )
    checkpoint = read_checkpoint(path)
    network = find_architecture(checkpoint.architecture)
    if checkpoint.adaptation is None:
        module, _ = _filled(network, checkpoint.state, str(path))
    else:
        module = _filled_adapted(network, checkpoint, checkpoint.adaptation, str(path))
    return Resolved(
        module=module,
        weights=f"checkpoint {path.name}, from {checkpoint.weights}",
        weights_kind="checkpoint",
        preprocessing=checkpoint.preprocessing,
        classes=checkpoint.classes,
        architecture=checkpoint.architecture,
        adaptation=checkpoint.adaptation,
        outputs=checkpoint.outputs,
    )


def _from_name(name: str, weights: str | Path) -> Resolved:
    network = find_architecture(name)
    if weights in ("default", "random") and network.fetch is None:
        if weights == "random":
            raise _brings_its_own(name)
        return Resolved(build_network(network), network.published, "own", architecture=name)
    if weights == "random":
        return Resolved(
            module=build_network(network),
            weights=f"random (seed {SEED})",
            weights_kind="random",
            preprocessing=network.preprocessing,
            architecture=name,
        )
    if weights == "default":
        assert network.fetch is not None
        return _with_file(network, network.fetch(), network.published, "default")
    return _with_file(network, Path(weights), f"file {Path(weights).name}", "file")


def _with_file(network: Architecture, path: Path, text: str, kind: WeightsKind) -> Resolved:
    module, classes = _filled(network, read_weights(path), str(path))
    return Resolved(module, text, kind, network.preprocessing, classes, network.name)


def _from_module(module: nn.Module, weights: str | Path) -> Resolved:
    name = type(module).__name__
    if weights == "default":
        return Resolved(module, "as given", "own")
    if weights == "random":
        raise _brings_its_own(name)
    filled = copy_module(module, name)
    fill(filled, read_weights(Path(weights)), str(weights), name)
    return Resolved(filled, f"file {Path(weights).name}", "file")


def _brings_its_own(name: str) -> ModelError:
    return ModelError(f"{name} brings its own weights", Use("weights", "random", "leave {} out"))


def _filled(
    network: Architecture, state: StateDict, source: str
) -> tuple[nn.Module, ClassList | None]:
    """The network with these weights, built for their number of classes.

    Also the published class names, or None if their number differs.
    """
    module, classes = build_network(network), network.classes
    adapted = network.adapt(state)
    count = class_count(module, adapted)
    if count is not None:
        module, classes = build_network(network, count), None
    fill(module, adapted, source, network.name)
    return module, classes


def _filled_adapted(
    network: Architecture, checkpoint: Checkpoint, adaptation: Adaptation, source: str
) -> nn.Module:
    """The network rebuilt with the head that the checkpoint describes."""
    original = build_network(network).eval()
    module = build_adapted(original, adaptation, len(checkpoint.classes))
    fill(module, checkpoint.state, source, network.name, assign=True)
    return module
