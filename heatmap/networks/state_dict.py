"""Weights as tensors by name: read from files, compared with a network, and loaded into it.

Files are safetensors, or PyTorch files read with ``weights_only=True``, so that no file can run
code.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import ModelError, reason_of

StateDict: TypeAlias = dict[str, torch.Tensor]

# Where training scripts (timm's and torchvision's own among them) put the weights.
_WRAPPERS = ("state_dict", "model")
# The prefix of DataParallel and DistributedDataParallel.
_PARALLEL = "module."
# Old files lack this counter; PyTorch accepts that too.
_OPTIONAL = "num_batches_tracked"


def digest_of_weights(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over sorted names with dtypes, shapes and values: 64 hex digits.

    The memory layout does not matter. The 553 MB of VGG16 take 0.3 s.
    """
    total = hashlib.sha256()
    for name, values in sorted(state.items()):
        total.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        flat = values.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()


def read_weights(path: Path) -> StateDict:
    """Tensors by name from a .safetensors, .pt or .pth file.

    Wrappers such as ``{"state_dict": ...}`` and the prefix "module." are removed.

    Raises:
        ModelError: the file does not exist, is damaged, or holds more than weights.
    """
    # Unlike Path.is_file() this is False, not an error, for a name that is too long.
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such weights file (weights are default, random or a file)")
    try:
        if path.suffix == ".safetensors":
            return _unwrapped(load_file(path), path)
        return _unwrapped(torch.load(path, map_location="cpu", weights_only=True), path)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(_refusal(path, str(error))) from error
    # torch and safetensors raise many exceptions on damaged files, not all documented.
    except Exception as error:
        raise ModelError(f"{path}: not a weights file, or damaged: {reason_of(error)}") from error


def fill(
    module: nn.Module,
    state: Mapping[str, torch.Tensor],
    source: str,
    name: str,
    *,
    assign: bool = False,
) -> None:
    """Copy weights into a network, all of them or none.

    Args:
        source, name: names of the weights and the network in error messages.
        assign: use the tensors themselves, for a network without memory ("meta").

    Raises:
        ModelError: the first tensor whose name or shape differs, and how many do.
    """
    differing = list(_differences(module, state))
    if differing:
        raise ModelError(
            f"{source} does not fit {name}: {differing[0]}; {len(differing)} of "
            f"{len(module.state_dict().keys() | state.keys())} tensors differ: "
            "name the network that the weights were trained in"
        )
    versioned = OrderedDict(state)
    # Layer versions, which safetensors cannot hold and without which MNASNet refuses.
    versioned._metadata = getattr(module.state_dict(), "_metadata", {})  # type: ignore[attr-defined]
    module.load_state_dict(versioned, strict=False, assign=assign)


def class_count(module: nn.Module, state: Mapping[str, torch.Tensor]) -> int | None:
    """Number of classes in ``state`` if only that number differs from the network, else None."""
    own = module.state_dict()
    changed = {name for name in own if name in state and own[name].shape != state[name].shape}
    counts = {tuple(state[name].shape[:1]) for name in changed}
    alike = all(own[name].shape[1:] == state[name].shape[1:] for name in changed)
    return next(iter(counts))[0] if alike and len(counts) == 1 and () not in counts else None


def _differences(module: nn.Module, state: Mapping[str, torch.Tensor]) -> Iterator[str]:
    """One phrase for each tensor that differs, in the network's order."""
    own = module.state_dict()
    for name in dict.fromkeys((*own, *state)):
        if name not in state and name.endswith(_OPTIONAL):
            continue
        own_shape, shape = _shape(own, name), _shape(state, name)
        if own_shape != shape:
            yield f"{name} is {own_shape} in the network and {shape} in the weights"


def _shape(state: Mapping[str, torch.Tensor], name: str) -> str:
    return str(tuple(state[name].shape)) if name in state else "missing"


def _unwrapped(content: Any, path: Path) -> StateDict:
    if isinstance(content, Mapping):
        wrapped = (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping))
        content = next(wrapped, content)
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path}: holds {type(content).__name__}, not a state dict with tensors")
    for name, values in content.items():
        if not isinstance(name, str) or not isinstance(values, torch.Tensor):
            raise ModelError(f"{path}: {name!r} is {type(values).__name__}, not a named tensor")
    if all(name.startswith(_PARALLEL) for name in content):
        return {name.removeprefix(_PARALLEL): values for name, values in content.items()}
    return dict(content)


def _refusal(path: Path, message: str) -> str:
    callable_name = re.search(r"GLOBAL (\S+)", message)
    if callable_name:
        return (
            f"{path}: holds {callable_name[1]}, not only weights, and could run code when read: "
            "save the network's state_dict() instead"
        )
    return f"{path}: not a weights file, or one that could run code when read"
