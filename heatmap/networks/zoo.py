"""The networks of torchvision and timm by name, with their published weights and classes.

Both libraries take a second to import, so they are imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ..classes import ClassList
from ..errors import ModelError, Use, reason_of
from ..geometry import window_side
from ..prepared.preprocessing import Preprocessing
from .hub import fetch_hub, fetch_url
from .imagenet import published_classes
from .model_names import TIMM, timm_library
from .state_dict import StateDict

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def _unchanged(state: StateDict) -> StateDict:
    return state


@dataclass(frozen=True)
class Architecture:
    """A network that can be built by name.

    Attributes:
        name: the name.
        build: builds it, given the number of classes, or None for its own number.
        published: the published weights, in words.
        fetch: gives the file of the published weights; None if ``build`` includes them.
        preprocessing, classes: those of the published weights.
        adapt: converts published tensors to those of the network.
    """

    name: str
    build: Callable[[int | None], nn.Module]
    published: str
    fetch: Callable[[], Path] | None = None
    preprocessing: Preprocessing | None = None
    classes: ClassList | None = None
    adapt: Callable[[StateDict], StateDict] = _unchanged


class _NumbersOnCpu(TorchFunctionMode):
    """Creates tensors on the CPU: RegNet computes its widths with them, even on "meta"."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = dict(kwargs or {})
        if func in (torch.arange, torch.tensor):
            options.setdefault("device", "cpu")
        return func(*args, **options)


def is_torchvision(name: str) -> bool:
    """Whether torchvision knows a classifier of that name; names may have been added to it."""
    from torchvision import models

    return name in models.list_models(module=models)


def is_timm(name: str) -> bool:
    """Whether timm knows a network of that name, "timm/" before it; names may have been added."""
    return name.startswith(TIMM) and bool(timm_library().is_model(name.removeprefix(TIMM)))


def torchvision_network(name: str) -> Architecture:
    """One of torchvision's classifiers, with its best published weights."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    preprocessing = Preprocessing(
        transforms.crop_size[0], tuple(transforms.mean), tuple(transforms.std)
    )
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Without auxiliary outputs they give one tensor. transform_input would convert from
        # ImageNet's mean and std to these, which is equivalent.
        options = {"aux_logits": False, "transform_input": False, "init_weights": False}
        preprocessing = Preprocessing(preprocessing.window_px, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    elif name.startswith("vit_"):
        options = {"image_size": preprocessing.window_px}

    def build(count: int | None) -> nn.Module:
        classes = {} if count is None else {"num_classes": count}
        with _NumbersOnCpu() if name.startswith("regnet_") else nullcontext():
            module: nn.Module = models.get_model(name, **options, **classes)
        return module

    return Architecture(
        name=name,
        build=build,
        published=f"torchvision {weights.name}",
        fetch=lambda: fetch_url(weights.url, name),
        preprocessing=preprocessing,
        classes=published_classes(len(weights.meta["categories"])),
        adapt=_from_torchvision,
    )


def timm_network(name: str) -> Architecture:
    """A timm network as ``timm/<name>`` or ``timm/<name>.<tag>``.

    Raises:
        ModelError: timm knows no such name or tag, or it is not a classifier.
    """
    timm = timm_library()
    short = name.removeprefix(TIMM)
    try:
        config: Any = timm.get_pretrained_cfg(short, allow_unregistered=False)
    except RuntimeError as error:
        raise ModelError(f"{name}: {reason_of(error)}") from error
    if not config.num_classes:
        raise ModelError(f"{name} gives features, not classes: choose one with a classifier")

    def build(count: int | None) -> nn.Module:
        classes: dict[str, Any] = {} if count is None else {"num_classes": count}
        module: nn.Module = timm.create_model(short, **classes)
        return module

    return Architecture(
        name=name,
        build=build,
        published=f"timm {config.architecture}.{config.tag}",
        fetch=lambda: _fetch_timm(config, name),
        preprocessing=Preprocessing(window_side(config.input_size[-2:]), config.mean, config.std),
        classes=published_classes(config.num_classes),
        adapt=lambda state: _from_timm(state, short),
    )


def _fetch_timm(config: Any, name: str) -> Path:
    if config.hf_hub_id:
        return fetch_hub(config.hf_hub_id, name)
    if config.url:
        return fetch_url(config.url, name)
    raise ModelError(
        f"{name}: timm publishes no weights", Use("weights", "FILE"), Use("weights", "random")
    )


def _from_torchvision(state: StateDict) -> StateDict:
    """Drop auxiliary classifiers, and rename DenseNet's layers to their names since 2018."""
    return {
        _OLD_DENSENET.sub(r"\1\2", name): values
        for name, values in state.items()
        if not name.startswith(_AUXILIARY)
    }


def _from_timm(state: StateDict, short: str) -> StateDict:
    """The weights as converted by timm, which renames and reshapes them for some families."""
    timm = timm_library()
    try:
        module = timm.create_model(
            short, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)}
        )
    # What timm cannot convert is compared unchanged, and reported there.
    except Exception:
        return state
    return dict(module.state_dict())
