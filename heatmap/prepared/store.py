"""Prepared networks in the user's cache: found by what was typed, checked, and removed when old.

<cache>/prepared/<key>/network.onnx, facts.json       a network (weights of 2 GB: network.onnx.data)
<cache>/prepared/typed-<digest>.json                  the key that something typed leads to
<cache>/prepared/winner-<key>-<machine>.json          which backend is faster on a machine
<cache>/prepared/peak-<digest>-....json               the memory that an exported network takes
<cache>/prepared/files.json                           digests of files, which typed.py keeps
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..cache_folder import CacheFolder, cache_folder
from ..contents import digest_of
from ..errors import HeatmapError
from ..temporary import recover, temporary_folder
from .machine import machine
from .network import PreparedNetwork, described, read_described
from .typed import DIGESTS, digest_of_json, made_with

FORMAT = 1
# Networks that were not used for longest go first where all together take more.
MOST_BYTES = 4 * 10**9
NETWORK, FACTS = "network.onnx", "facts.json"
# Names in the folder of the cache: of networks, and of what leads to them.
_KEY = re.compile(r"[0-9a-f]{64}")
_FILES = {NETWORK, f"{NETWORK}.data", FACTS}
_LEADING = re.compile(
    r"(typed-[0-9a-f]+|winner-[0-9a-f]+-[0-9a-f]+|peak-[0-9a-f]+-\d+-(\d+|windows)-[0-9a-f]+)\.json|"
    + re.escape(DIGESTS)
)

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
        return key if isinstance(key, str) and _KEY.fullmatch(key) else None

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
            self._remove(home)
            return None
        with suppress(OSError):
            # The time of its last use.
            os.utime(home / FACTS)
        return network

    def add(self, key: str, write: Callable[[Path], PreparedNetwork]) -> PreparedNetwork | None:
        """Keep a network; None where nothing is kept.

        Args:
            key: its key.
            write: writes its file to the path it is given, and one beside it for large weights;
                gives what is known of it, without a digest.

        Raises:
            OSError: it cannot be written, as on a full disk.
        """
        if self.folder is None:
            return None
        recover(self.folder)
        with temporary_folder(self.folder) as making:
            new = making / key
            new.mkdir(mode=0o700)
            network = write(new / NETWORK)
            files = {path.name: digest_of(path) for path in new.iterdir()}
            content = {"format": FORMAT, "files": files, **described(network)}
            content["digest"] = files[NETWORK]
            whole = {"digest": digest_of_json(content), "content": content}
            (new / FACTS).write_text(json.dumps(whole), "utf-8")
            # In one step, and not over one that another process kept sooner.
            _move(new, self.folder / key)
        self._make_room(key)
        return self.find(key)

    def networks(self) -> Iterator[KeptNetwork]:
        """All networks, the one used last first."""
        for used, home in sorted(self._homes(), reverse=True):
            yield KeptNetwork(home.name, _described(home), _size(home), used)

    def clear(self) -> int:
        """Remove all networks, and what leads to them; returns their bytes.

        What other processes are making stays, and so does whatever is not of this tool.
        """
        if self.folder is None:
            return 0
        with suppress(OSError):
            recover(self.folder)
        freed = self._cache.remove(_LEADING)
        for path in list(self.folder.iterdir()):
            # Another process may remove it meanwhile.
            with suppress(OSError):
                if _is_home(path):
                    size = _size(path)
                    self._remove(path)
                    freed += 0 if path.exists() else size
        return freed

    def _homes(self) -> list[tuple[float, Path]]:
        """The folder of each network and when it was last used."""
        if self.folder is None:
            return []
        found = []
        for facts in self.folder.glob(f"*/{FACTS}"):
            # Another process may remove it meanwhile.
            with suppress(OSError):
                if _is_home(facts.parent):
                    found.append((facts.stat().st_mtime, facts.parent))
        return found

    def _make_room(self, kept: str) -> None:
        """Remove networks that were not used for longest, but not this one."""
        total = 0
        for _, home in sorted(self._homes(), reverse=True):
            total += _size(home)
            if total > MOST_BYTES and home.name != kept:
                self._remove(home)

    def _remove(self, home: Path) -> None:
        """Remove a network: out of sight in one step, for processes that look at it meanwhile."""
        assert self.folder is not None
        with suppress(OSError), temporary_folder(self.folder) as going:
            home.rename(going / home.name)


def _move(new: Path, home: Path) -> None:
    """Move a folder to its place, where there is none yet."""
    try:
        new.rename(home)
    except OSError:
        if not home.is_dir():
            raise


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
    whole = json.loads((home / FACTS).read_bytes())
    content = dict(whole["content"])
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}")
    if whole["digest"] != digest_of_json(content):
        raise ValueError("it was changed")
    return content


def _is_home(path: Path) -> bool:
    """Whether a path is of the folder of a network, and not of a stranger's."""
    ours = _KEY.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    return bool(ours) and {each.name for each in path.iterdir()} <= _FILES


def _size(home: Path) -> int:
    """Bytes of the files in the folder of a network."""
    total = 0
    # Another process may remove it meanwhile.
    with suppress(OSError):
        for path in home.iterdir():
            total += path.stat().st_size
    return total
