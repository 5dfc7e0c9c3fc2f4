"""The user's cache folder: what takes long to find out is kept in it for the next call.

The environment variable ``HEATMAP_CACHE`` names another folder, or is "off": then nothing is kept,
or read. What is kept may lie there for years, be damaged, or be of other versions: whoever reads
it says which versions it must be of, and makes it again where there is none.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ResultError, reason_of
from .files import writing
from .ownership import ANY

VARIABLE = "HEATMAP_CACHE"
OFF = "off"
_WAY_OUT = f"set {VARIABLE} to a folder of your own, or to {OFF}"
_PRIVATE = 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class CacheFolder:
    """A folder that only its user can write.

    Attributes:
        path: the folder, which exists; None where nothing is kept.
        note: why nothing is kept, for the user; "" where it is, or where that was asked for.
    """

    path: Path | None
    note: str = ""

    def kept(self, file: str, versions: Mapping[str, str]) -> Any:
        """What :meth:`keep` kept in a file, if it was of these versions.

        Returns:
            The content as JSON has it; None where there is none, it is damaged, or of others.
        """
        if self.path is None:
            return None
        try:
            held = json.loads((self.path / file).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(held, dict) or held.get("versions") != versions:
            return None
        return held.get("content")

    def keep(self, file: str, versions: Mapping[str, str], content: Any) -> None:
        """Keep what JSON can hold in a file; if it cannot be written, the next call takes longer.

        Args:
            file: its name.
            versions: what the content was made with.
            content: what to keep.
        """
        # Made anew it would not be for its user alone: where it was removed nothing is kept.
        if self.path is None or not self.path.is_dir():
            return
        text = json.dumps({"versions": dict(versions), "content": content})
        try:
            with writing(self.path / file, ANY) as temporary:
                temporary.write_text(text, "utf-8")
        except ResultError:
            return

    def remove(self, names: re.Pattern[str]) -> int:
        """Remove what :meth:`keep` kept in the files of these names; returns their bytes."""
        freed = 0
        for path in [] if self.path is None else list(self.path.iterdir()):
            if not names.fullmatch(path.name) or path.is_symlink():
                continue
            # Another process may remove it meanwhile, or it is a stranger's folder.
            with suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                freed += size
        return freed


def cache_folder(name: str) -> CacheFolder:
    """One folder of the user's cache, made where it is missing.

    A cache that another user owns, or that others can write, is not used: they could put anything
    in it.

    Args:
        name: of the folder within the cache.
    """
    given = os.environ.get(VARIABLE, "")
    if given.lower() == OFF:
        return CacheFolder(None)
    folder = Path(given or "of the user")
    try:
        root = Path(os.path.abspath(given)) if given else _of_user()
        for folder in (root, root / name):
            if problem := _problem(folder):
                return CacheFolder(None, f"the cache {folder} is not used: {problem}; {_WAY_OUT}")
    # ValueError: a name with a null character.
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        return CacheFolder(None, f"the cache {folder} cannot be used: {reason}; {_WAY_OUT}")
    return CacheFolder(root / name)


def _of_user() -> Path:
    """The cache of the user.

    Raises:
        ValueError: nothing says where the user's folders are.
    """
    # Imported when it is needed, which is not where the variable names a folder.
    import platformdirs

    nowhere = ValueError("nothing says where the home folder is")
    try:
        folder = platformdirs.user_cache_path("heatmap", appauthor=False)
    except RuntimeError as error:
        raise nowhere from error
    # Older versions give "~/.cache" then.
    if not folder.is_absolute():
        raise nowhere
    return folder


def _problem(folder: Path) -> str:
    """Why a folder is not used, or ""; it is made where it is missing, for its user alone.

    Raises:
        OSError: it cannot be made or looked at.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(_PRIVATE, exist_ok=True)
    found = folder.stat()
    # Windows has neither such owners nor such rights.
    if not hasattr(os, "geteuid"):
        return ""
    if found.st_uid != os.geteuid():
        return "another user owns it"
    return "others can write it" if found.st_mode & _OTHERS_WRITE else ""
