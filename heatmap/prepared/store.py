"""Prepared networks in the user's cache: found by what was typed, checked, and removed when old.

<cache>/prepared/<key>/network.onnx, facts.json       a network (weights of 2 GB: another file)
<cache>/prepared/typed-<digest>.json                  the key that something typed leads to
<cache>/prepared/winner-<key>-<machine>.json          which backend is faster on a machine
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..cache_folder import CacheFolder, cache_folder
from ..contents import digest_of
from ..errors import HeatmapError, ResultError
from ..files import writing
from ..ownership import ANY
from ..temporary import TEMPORARY
from .machine import machine
from .network import PreparedNetwork, described, read_described
from .typed import made_with

FORMAT = 1
# Networks that were not used for longest go first where all together take more.
MOST_BYTES = 4 * 10**9
NETWORK, FACTS = "network.onnx", "facts.json"

Winner = Literal["torch", "onnx"]


@dataclass(frozen=True)
class KeptNetwork:
    """A network in the cache, for lists.

    Attributes:
        key: its key, 64 hex digits.
        network: the network; None where it is of another version of this package.
        size: bytes on disk.
        used: when it was last used, seconds since 1970.
    """

    key: str
    network: PreparedNetwork | None
    size: int
    used: float


class Store:
    """The prepared networks in the user's cache; safe with many processes."""

    def __init__(self) -> None:
        self._cache: CacheFolder = cache_folder("prepared")

    @property
    def note(self) -> str:
        """Why nothing is kept, for the user; "" where it is, or where that was asked for."""
        return self._cache.note

    @property
    def folder(self) -> Path | None:
        """Where networks are kept; None where they are not."""
        return self._cache.path

    @property
    def is_empty(self) -> bool:
        """Whether no network is kept."""
        return not self._homes()

    def key_of(self, typed: str) -> str | None:
        """The key that something typed (:func:`typed.digest_of_typed`) led to before, or None."""
        key = self._cache.kept(f"typed-{typed}.json", {})
        return key if isinstance(key, str) and key.isalnum() else None

    def leads_to(self, typed: str, key: str) -> None:
        """Keep which key something typed leads to."""
        self._cache.keep(f"typed-{typed}.json", {}, key)

    def winner(self, key: str) -> Winner | None:
        """The faster backend for a network on this machine; None where it was not measured."""
        held = self._cache.kept(_winner_file(key), made_with())
        return held if held in ("torch", "onnx") else None

    def remember(self, key: str, winner: Winner) -> None:
        """Keep which backend is faster on this machine."""
        self._cache.keep(_winner_file(key), made_with(), winner)

    def find(self, key: str) -> PreparedNetwork | None:
        """The network of a key; None where it is not there, or damaged, which removes it."""
        if self.folder is None or not os.path.isdir(self.folder / key):
            return None
        home = self.folder / key
        network = _read(home)
        if network is None:
            _remove(home)
            return None
        with suppress(OSError):
            # The time of its last use.
            os.utime(home / FACTS)
        return network

    def add(self, key: str, write: Callable[[Path], PreparedNetwork]) -> PreparedNetwork | None:
        """Keep a network; None where it cannot be, as on a full disk.

        Args:
            key: its key.
            write: writes its file to the path it is given, and one beside it for large weights;
                gives what is known of it, without a digest.
        """
        if self.folder is None:
            return None
        # Another process may have been sooner.
        with suppress(OSError, ResultError):
            with writing(self.folder / key, ANY) as making:
                making.mkdir(mode=0o700)
                network = write(making / NETWORK)
                files = {path.name: digest_of(path) for path in making.iterdir()}
                content = {"format": FORMAT, "files": files, **described(network)}
                content["digest"] = files[NETWORK]
                (making / FACTS).write_text(json.dumps(content), "utf-8")
            self._make_room(key)
        return self.find(key)

    def networks(self) -> Iterator[KeptNetwork]:
        """All networks, the one used last first."""
        for used, home in sorted(self._homes(), reverse=True):
            yield KeptNetwork(home.name, _described(home), _size(home), used)

    def clear(self) -> int:
        """Remove all networks, and what leads to them; returns their bytes."""
        if self.folder is None:
            return 0
        freed = sum(_size(home) for _, home in self._homes())
        for path in list(self.folder.iterdir()):
            # What other processes are making is theirs.
            if not path.name.startswith(TEMPORARY):
                _remove(path)
        return freed

    def _homes(self) -> list[tuple[float, Path]]:
        """The folder of each network and when it was last used."""
        if self.folder is None:
            return []
        found = []
        for facts in self.folder.glob(f"*/{FACTS}"):
            # Another process may remove it meanwhile.
            with suppress(OSError):
                found.append((facts.stat().st_mtime, facts.parent))
        return found

    def _make_room(self, kept: str) -> None:
        """Remove networks that were not used for longest, but not this one."""
        total = 0
        for _, home in sorted(self._homes(), reverse=True):
            total += _size(home)
            if total > MOST_BYTES and home.name != kept:
                _remove(home)


def _winner_file(key: str) -> str:
    return f"winner-{key}-{machine()}.json"


def _read(home: Path) -> PreparedNetwork | None:
    """The network in a folder, if all of its files are as they were written."""
    try:
        content = _content(home)
        network = read_described(content, home / NETWORK)
        whole = all(digest_of(home / name) == digest for name, digest in content["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, HeatmapError, RecursionError):
        return None
    return network if whole and content["files"][NETWORK] == network.digest else None


def _described(home: Path) -> PreparedNetwork | None:
    """What is known of the network in a folder; its file is not looked at."""
    try:
        return read_described(_content(home), home / NETWORK)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, HeatmapError, RecursionError):
        return None


def _content(home: Path) -> dict[str, Any]:
    content = json.loads((home / FACTS).read_bytes())
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}")
    return dict(content)


def _size(home: Path) -> int:
    total = 0
    for path in home.iterdir() if home.is_dir() else ():
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
