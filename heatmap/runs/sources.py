"""The photos of a batch and their names in it, from folders, globs and lists."""

from __future__ import annotations

import glob
import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PhotoError
from ..files import read_bytes, read_text
from ..names import DESCRIPTION, MAPS, PHOTOS
from ..photo.folder import files_below
from ..photo.formats import SUFFIXES

_LIST_SUFFIXES = frozenset({".txt", ".lst"})


_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class BatchFile:
    """A file of a batch; ``name`` is its path, with "/", below the folder all sources share."""

    name: str
    path: Path


@dataclass(frozen=True)
class BatchFiles:
    """The photos of a batch, and other files, whose suffixes are not those of photos; by name."""

    photos: tuple[BatchFile, ...]
    others: tuple[BatchFile, ...]


def gather(
    sources: Sequence[str | Path], output: Path, *, may_be_empty: bool = False
) -> BatchFiles:
    """List the files of a batch, without opening them.

    Args:
        sources: folders, searched recursively; globs (also ``**``); text files with lists of
            paths (``.txt``, ``.lst``: one per line, relative to the list, ``#`` starts a
            comment); single photos. Hidden files, links to folders, and what a run wrote beside
            its photo are left out.
        output: the output folder, left out where it lies in a source.
        may_be_empty: whether a source may hold no file.

    Raises:
        PhotoError: a source does not exist, cannot be read, holds no file, or would hold the
            results.
    """
    named_itself: dict[Path, bool] = {}
    bases: list[Path] = []
    for source in sources:
        base, files = _expanded(source, Path(os.path.abspath(output)))
        bases.append(base)
        if not files and not may_be_empty:
            raise PhotoError(f"{source}: no file in it: give photos, folders, globs or lists")
        for path, named in files:
            named_itself[path] = named_itself.get(path, False) or named
    base = bases[0] if len(set(bases)) == 1 else Path(os.path.commonpath(bases))
    written = _written(named_itself)
    kept = sorted(path for path, named in named_itself.items() if named or path not in written)
    items = _named(kept, base)
    photos = [
        item for item in items if named_itself[item.path] or item.path.suffix.lower() in SUFFIXES
    ]
    chosen = set(photos)
    return BatchFiles(tuple(photos), tuple(item for item in items if item not in chosen))


def _written(paths: Iterable[Path]) -> set[Path]:
    """Those of some files that runs wrote: pictures of photos are no photos."""
    written: set[Path] = set()
    for path in paths:
        if path.name.endswith(MAPS):
            described = path.with_name(path.name.removesuffix(MAPS) + DESCRIPTION)
            try:
                names = json.loads(read_bytes(described, PhotoError))["files"]["written"]
            # No result, or not one of this version: its files are taken for what they seem.
            except (PhotoError, ValueError, LookupError, TypeError, RecursionError):
                continue
            written |= {path.with_name(str(name)) for name in names}
    return written


def _expanded(source: str | Path, output: Path) -> tuple[Path, list[tuple[Path, bool]]]:
    """The folder that names are relative to, and the files, each with whether it was named."""
    path = Path(os.path.abspath(source))
    if path.is_dir():
        _check_apart(path, output)
        return path, [(file, False) for file in files_below(path, output)]
    if path.exists():
        if path.suffix.lower() in _LIST_SUFFIXES:
            return _listed(path)
        return path.parent, [(path, True)]
    if _MAGIC & set(str(source)):
        return _globbed(path, output)
    raise PhotoError(f"{source}: no such file or folder")


def _globbed(path: Path, output: Path) -> tuple[Path, list[tuple[Path, bool]]]:
    matches = [Path(name) for name in glob.glob(str(path), recursive=True)]
    fixed = path.parts[:-1]
    first = next((index for index, part in enumerate(fixed) if _MAGIC & set(part)), len(fixed))
    base = Path(*fixed[:first])
    _check_apart(base, output)
    results = output if base in output.parents else None
    files = [file for file in matches if not file.is_dir() and results not in file.parents]
    return base, [(file, False) for file in files]


def _check_apart(folder: Path, output: Path) -> None:
    """Refuse to search a folder that will hold results, since these are images too."""
    if folder == output or output / PHOTOS in (folder, *folder.parents):
        raise PhotoError(f"{folder}: results would lie among the photos: choose another output")


def _listed(path: Path) -> tuple[Path, list[tuple[Path, bool]]]:
    lines = read_text(path, PhotoError, errors="surrogateescape").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    files = [Path(os.path.abspath(path.parent / name)) for name in names]
    inside = all(path.parent in file.parents for file in files)
    # Also true for an empty list.
    base = path.parent if inside else Path(os.path.commonpath([file.parent for file in files]))
    return base, [(file, True) for file in files]


def _named(paths: Sequence[Path], base: Path) -> list[BatchFile]:
    """Items by name; a number is appended to names that some file systems would not tell apart."""
    items, taken = [], set[str]()
    for path in paths:
        plain = name = path.relative_to(base).as_posix()
        count = 1
        while (folded := unicodedata.normalize("NFC", name).casefold()) in taken:
            count += 1
            name = f"{plain}~{count}"
        taken.add(folded)
        items.append(BatchFile(name, path))
    return items
