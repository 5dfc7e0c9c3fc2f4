"""Resolve a model's name, path or module to the network with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..classes import ClassList
from ..conversion.usable import copy_module
from ..errors import ModelError, Use
from ..grid.origin import WeightsKind
from ..grid.outputs import Outputs
from ..localization.auto_scales import ScaleRule
from ..localization.box_regression import BoxRegression
from ..prepared.preprocessing import Preprocessing
from .adapted import Adaptation
from .checkpoint import Checkpoint, read_checkpoint
from .exported import origin_of
from .model_names import CHECKPOINT_SUFFIX, is_exported, is_factory, is_path
from .new_head import build_adapted
from .registry import SEED, build_network, find_architecture
from .state_dict import StateDict, class_count, fill
from .weight_names import Fitted, fitted
from .weights_file import FileWeights, read_weights, refuse_address, refuse_program
from .zoo import Architecture


@dataclass(frozen=True)
class Source:
    """Where weights come from, and which factory may run; see :func:`heatmap.load_classifier`."""

    weights: str | Path = "default"
    weights_key: str | None = None
    architecture: str | None = None


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
    notes: tuple[str, ...] = ()
    scale_rule: ScaleRule | None = None
    box_regression: BoxRegression | None = None


def resolve(model: str | Path | nn.Module, source: Source) -> Resolved:
    """The network of ``model``, with the requested weights.

    Args:
        model: as :func:`heatmap.load_classifier` takes it.
        source: where its weights come from.

    Raises:
        ModelError: an unknown name, or weights that are missing or do not fit.
    """
    if source.weights_key is not None and source.weights in ("default", "random"):
        raise ModelError(
            f"weights are {source.weights}, not a file with keys",
            Use("weights", "FILE"),
            Use("weights_key", text="leave {} out"),
        )
    of_file = not isinstance(model, nn.Module) and is_path(model)
    if source.architecture is not None and not of_file:
        raise ModelError(
            "only a checkpoint file has an architecture of its own",
            Use("architecture", text="leave {} out"),
        )
    if isinstance(model, nn.Module):
        return _from_module(model, source)
    refuse_address(str(model))
    # Seeded weights are the same on every machine only if made on the CPU. Building any network
    # uses torch's random state, which belongs to the caller.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        return _from_path(Path(model), source) if of_file else _from_name(str(model), source)


def _from_path(path: Path, source: Source) -> Resolved:
    if is_exported(path):
        raise _only_scores(path)
    if source.weights != "default":
        raise ModelError(
            f"{path} is a checkpoint with weights of its own", Use("weights", text="leave {} out")
        )
    refuse_program(path)
    if path.suffix != CHECKPOINT_SUFFIX:
        raise ModelError(
            f"{path}: bare weights do not say which network they belong to",
            Use("weights", str(path), text="name it as the model, such as vgg16, and give {}"),
        )
    checkpoint = read_checkpoint(path)
    _check_architecture(path, checkpoint.architecture, source.architecture)
    network = find_architecture(checkpoint.architecture)
    if checkpoint.adaptation is None:
        module, _ = _filled(network, build_network(network), checkpoint.state, str(path))
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
        scale_rule=checkpoint.scale_rule,
        box_regression=checkpoint.box_regression,
    )


def _only_scores(path: Path) -> ModelError:
    """The error for an exported network where its layers are asked for."""
    origin = origin_of(path)
    return ModelError(
        f"{path} is an exported network, which can score photos, but not be changed, trained, "
        "exported again or looked into",
        Use("model", origin or None, text="give the network that it was exported from as {}"),
    )


def _check_architecture(path: Path, recorded: str, named: str | None) -> None:
    """Refuse to run a factory that only a file names.

    Raises:
        ModelError: the checkpoint records a factory that was not named, or another name.
    """
    if named is None and is_factory(recorded):
        raise ModelError(
            f"{path}: its network is made by {recorded}, and no code runs because a file names it",
            Use("architecture", recorded, text="if you trust it, add {}"),
        )
    if named not in (None, recorded):
        raise ModelError(
            f"{path} is of {recorded!r}, the architecture given is {named!r}",
            Use("architecture", text="give the network that it was made from as {}"),
        )


def _from_name(name: str, source: Source) -> Resolved:
    network, weights = find_architecture(name), source.weights
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
        path = network.fetch()
        return _with_file(network, read_weights(path), str(path), network.published, "default")
    held = read_weights(weights, source.weights_key)
    return _with_file(network, held, str(weights), _text(weights, held), "file")


def _with_file(
    network: Architecture, held: FileWeights, path: str, text: str, kind: WeightsKind
) -> Resolved:
    module = build_network(network)
    renamed = fitted(held.state, module.state_dict())
    module, classes = _filled(network, module, renamed.state, _source(path, held, renamed))
    return Resolved(
        module=module,
        weights=text,
        weights_kind=kind,
        preprocessing=network.preprocessing,
        classes=classes,
        architecture=network.name,
        notes=(*held.notes, *renamed.notes),
    )


def _from_module(module: nn.Module, source: Source) -> Resolved:
    name, weights = type(module).__name__, source.weights
    if weights == "default":
        return Resolved(module, "as given", "own")
    if weights == "random":
        raise _brings_its_own(name)
    module = copy_module(module, name)
    held = read_weights(weights, source.weights_key)
    renamed = fitted(held.state, module.state_dict())
    fill(module, renamed.state, _source(str(weights), held, renamed), name)
    notes = (*held.notes, *renamed.notes)
    return Resolved(module, _text(weights, held), "file", notes=notes)


def _text(weights: str | Path, held: FileWeights) -> str:
    """A weights file in words, with the key that was chosen in it."""
    return f"file {Path(weights).name}" + (f" ({held.key})" if held.chosen else "")


def _source(path: str, held: FileWeights, renamed: Fitted) -> str:
    """A weights file in messages, with the key in it, and the prefix taken off its names."""
    key = f" ({held.key})" if held.chosen else ""
    return f"{path}{key}, without the prefix {renamed.off!r}," if renamed.off else f"{path}{key}"


def _brings_its_own(name: str) -> ModelError:
    return ModelError(f"{name} brings its own weights", Use("weights", "random", "leave {} out"))


def _filled(
    network: Architecture, module: nn.Module, state: StateDict, source: str
) -> tuple[nn.Module, ClassList | None]:
    """The network with these weights, built anew where their number of classes differs.

    Also the published class names, or None if their number differs.
    """
    classes = network.classes
    adapted = network.adapt(state)
    count = class_count(module, adapted)
    if count is not None and not is_factory(network.name):
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
