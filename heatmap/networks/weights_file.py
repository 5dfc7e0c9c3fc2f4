"""Weights in files: safetensors, or what training scripts save with ``torch.save``.

Training checkpoints hold more than weights. ``torch.load(weights_only=True)`` allows tensors and
plain containers. What ``_BESIDE`` names is allowed too, but none of it is built: each becomes an
object that keeps nothing, so that no file can run code, whatever it calls them with.
"""

from __future__ import annotations

import os
import pickle
import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.serialization import safe_globals

from ..errors import ModelError, Use, reason_of, some_of
from .model_names import is_exported
from .state_dict import StateDict

# Under which names training scripts put the weights, the usual first.
_WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "net", "params", "weights", "module", "network"),
)
# How deeply wrappers may be nested; a file can hold a dictionary that holds itself.
_DEEPEST = 4
# How many keys an error lists.
_LISTED = 6
_ADDRESS = re.compile(r"\w[\w+.-]+:/{1,3}\w")
_TIMM = "timm/"
_HUB = re.compile(r"(hf[-_]hub|local-dir):(.*)", re.DOTALL)


class _Beside:
    """Stands for anything that lies beside the weights, and keeps nothing of it."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _plain_dict(*_: object) -> dict[object, object]:
    """A ``defaultdict`` as an empty dictionary, which is filled next; its default is ignored."""
    return {}


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
# What is allowed beside tensors, by the names that pickles call it; numpy and pathlib have moved.
_BESIDE: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_plain_dict, "collections.defaultdict"),
    *((_Beside, f"builtins.{name}") for name in ("list", "dict", "int", "float", "str", "bool")),
    (_Beside, "argparse.Namespace"),
    (_Beside, "numpy.ndarray"),
    (_Beside, "numpy.dtype"),
    *(
        (_Beside, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
    *((_Beside, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in _PATHS),
]
# What is allowed is so for all threads, until the first of them has read its file.
_READING = threading.Lock()


@dataclass(frozen=True)
class FileWeights:
    """Weights as a file holds them.

    Attributes:
        state: tensors by the names in the file.
        key: under which key of the file they lie ("model_ema", "model.state_dict"); "" for none.
        chosen: whether ``key`` says which of several they are.
        notes: what was left aside.
    """

    state: StateDict
    key: str = ""
    chosen: bool = False
    notes: tuple[str, ...] = ()


def read_weights(path: str | Path, key: str | None = None) -> FileWeights:
    """Read weights from a .safetensors, .pt, .pth, .bin or .ckpt file.

    They may lie under keys such as "state_dict" or "model"; averaged weights (EMA) are preferred
    to raw ones, as timm does.

    Args:
        path: the file.
        key: the key under which the weights lie, or a prefix of their names; None chooses.

    Raises:
        ModelError: the file does not exist, is damaged, holds more than weights, or has nothing
            under this key.
    """
    refuse_address(str(path))
    # Unlike Path.is_file() this is False, not an error, for a name that is too long.
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such weights file (weights are default, random or a file)")
    refuse_program(path)
    return _chosen(_content(Path(path)), key, path)


def refuse_address(name: str) -> None:
    """Refuse a URL, or a name on a hub of models, in place of a file or a model.

    Raises:
        ModelError: it is one.
    """
    on_hub = _HUB.fullmatch(name.removeprefix(_TIMM))
    if on_hub and on_hub[2].startswith(_TIMM):
        raise ModelError(
            f"{name!r}: networks of timm are named without their hub", Use("model", on_hub[2])
        )
    if on_hub or _ADDRESS.match(name):
        what = "a name on a hub of models" if on_hub else "an address"
        raise ModelError(
            f"{name!r} is {what}, from which nothing is fetched",
            Use("weights", "FILE", "download the weights, name their network, and give them as {}"),
        )


def refuse_program(path: str | Path) -> None:
    """Refuse an archive of TorchScript or ``torch.export``, or an ONNX file: programs, not weights.

    Raises:
        ModelError: it is one.
    """
    if is_exported(path):
        raise ModelError(
            f"{path} is an exported network (ONNX), not weights",
            Use("model", str(path), text="score photos with {}, or give weights of its original"),
        )
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.partition("/")[2] for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return
    for kind, mark in (("TorchScript", "constants.pkl"), ("torch.export", "archive_format")):
        if mark in held:
            raise ModelError(
                f"{path} is a program ({kind}), and no program in a file is run: save the "
                "state_dict() of its network instead",
                Use("weights", "FILE", text="name the network, and give that as {}"),
            )


def _content(path: Path) -> Any:
    """What the file holds, read without running code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with _READING, safe_globals(_BESIDE), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(_refusal(path, str(error))) from error
    # torch and safetensors raise many exceptions on damaged files, not all documented.
    except Exception as error:
        raise ModelError(f"{path}: not a weights file, or damaged: {reason_of(error)}") from error


def _refusal(path: Path, message: str) -> str:
    callable_name = re.search(r"GLOBAL (\S+)", message)
    if callable_name:
        return (
            f"{path}: holds {callable_name[1]}, not only weights, and could run code when read: "
            "save the network's state_dict() instead"
        )
    return f"{path}: not a weights file, or one that could run code when read"


def _chosen(content: Any, key: str | None, path: str | Path) -> FileWeights:
    """The weights under ``key``, or those to prefer."""
    found = dict(_state_dicts(content, set()))
    preferred = min((key for key in found if _rank(key)), key=_rank, default=None)
    if key is not None:
        return _named(found, preferred, key, path)
    if preferred is not None:
        others = [other for other in found if _rank(other) and other != preferred]
        notes = (_left_aside(preferred, others),) if others else ()
        return FileWeights(found[preferred], preferred, bool(others), notes)
    if found:
        raise ModelError(f"{path} has weights under {_listed(found)}", Use("weights_key"))
    raise ModelError(f"{path}: {_why_none(_innermost(content))}")


def _named(
    found: Mapping[str, StateDict], preferred: str | None, key: str, path: str | Path
) -> FileWeights:
    """The weights under ``key``, or of those to prefer the ones whose names begin with it.

    Raises:
        ModelError: there are none.
    """
    prefix = f"{key}."
    for name in (key, *(name for name in found if name.startswith(prefix))):
        if name in found:
            return FileWeights(found[name], name, chosen=True)
    state = {} if preferred is None else found[preferred]
    under = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
    if under:
        return FileWeights(under, key, chosen=True)
    there = f"there are {_listed(found)}" if any(found) else "they lie under none"
    raise ModelError(f"{path} has no weights under {key!r}: {there}")


def _listed(found: Iterable[str]) -> str:
    """The keys of weights in a file, usual ones first."""
    keys = sorted(found, key=lambda key: not _rank(key))
    return some_of(list(map(repr, keys)), _LISTED)


def _innermost(content: Any, depth: int = 0) -> Any:
    """What lies under the usual keys."""
    if not isinstance(content, Mapping) or depth > _DEEPEST:
        return content
    inner = (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping))
    found = next(inner, None)
    return content if found is None else _innermost(found, depth + 1)


def _state_dicts(
    content: Any, seen: set[int], key: str = "", depth: int = 0
) -> Iterator[tuple[str, StateDict]]:
    """Every state dict in what a file holds, by its key: dotted where keys are nested.

    ``seen`` are the ids of dictionaries that were searched: a file can hold one many times.
    """
    if not isinstance(content, Mapping) or depth > _DEEPEST or id(content) in seen:
        return
    if not _why_none(content):
        yield key, dict(content)
        return
    seen.add(id(content))
    for name, inner in content.items():
        if isinstance(name, str):
            yield from _state_dicts(inner, seen, f"{key}.{name}".lstrip("."), depth + 1)


def _rank(key: str) -> tuple[int, ...]:
    """The order of preference, least first: averaged, then usual names; () for unusual ones."""
    parts = key.split(".") if key else []
    if any(map(is_averaged, parts)):
        # As timm prefers them: state_dict_ema, model_ema, then all others.
        usual = ("state_dict_ema", "model_ema")
        return (0, *(usual.index(part) if part in usual else len(usual) for part in parts))
    if all(part in _WRAPPERS for part in parts):
        return (1, *map(_WRAPPERS.index, parts))
    return ()


def is_averaged(part: str) -> bool:
    """Whether a key, or a part of a tensor's name, says that weights are a moving average (EMA)."""
    return "ema" in part.lower().split("_")


def _left_aside(taken: str, others: list[str]) -> str:
    kind = "averaged weights (EMA)" if _rank(taken)[0] == 0 else "weights"
    return f"{kind} taken from {taken!r}, those in {', '.join(map(repr, others))} left aside"


def _why_none(content: Any) -> str:
    """Why something is no state dict, or ""."""
    if not isinstance(content, Mapping) or not content:
        return f"holds {type(content).__name__}, not a state dict with tensors"
    for name, values in content.items():
        if not isinstance(name, str) or not isinstance(values, torch.Tensor):
            return f"{name!r} is {type(values).__name__}, not a named tensor"
    return ""
