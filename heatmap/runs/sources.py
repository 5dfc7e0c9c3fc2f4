"""Which photos a batch is of, and what each is called in it: from folders, globs and lists."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PhotoError, reason_of
from ..names import PHOTOS
from ..photo.folder import SUFFIXES, files_below

_LIST_SUFFIXES = frozenset({".txt", ".lst"})


_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class BatchFile:
    """One file of a batch: ``name`` is its path below what all sources share, with "/"."""

    name: str
    path: Path


@dataclass(frozen=True)
class BatchFiles:
    """``photos`` to be scored and ``others``, which no photo's name end in; both by name."""

    photos: tuple[BatchFile, ...]
    others: tuple[BatchFile, ...]


def gather(
    sources: Sequence[str | Path], output: Path, *, may_be_empty: bool = False
) -> BatchFiles:
    """List the files of a batch; nothing of them is opened.

    Args:
        sources: folders, gone through with all below them; globs (``**`` too); lists of
            paths in text files (``.txt``, ``.lst``: one a line, from the list's folder on,
            ``#`` begins a comment); single photos. Files whose names begin with a dot are
            left out, and so are folders that are links.
        output: left out where it lies in a folder.
        may_be_empty: a glob may match nothing.

    Raises:
        PhotoError: a source that does not exist, cannot be read, holds no file, or would hold
            the results.
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
    items = _named(sorted(named_itself), base)
    photos = [
        item for item in items if named_itself[item.path] or item.path.suffix.lower() in SUFFIXES
    ]
    chosen = set(photos)
    return BatchFiles(tuple(photos), tuple(item for item in items if item not in chosen))


def _expanded(source: str | Path, output: Path) -> tuple[Path, list[tuple[Path, bool]]]:
    """The folder that names count from, and the files: each with whether it was named itself."""
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
    """Refuse to search a folder that will hold results, which are pictures too."""
    if folder == output or output / PHOTOS in (folder, *folder.parents):
        raise PhotoError(f"{folder}: results would lie among the photos: choose another output")


def _listed(path: Path) -> tuple[Path, list[tuple[Path, bool]]]:
    try:
        lines = path.read_text("utf-8-sig", "surrogateescape").splitlines()
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read: {reason_of(error)}") from error
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    files = [Path(os.path.abspath(path.parent / name)) for name in names]
    inside = all(path.parent in file.parents for file in files)
    # Of an empty list all are inside.
    base = path.parent if inside else Path(os.path.commonpath([file.parent for file in files]))
    return base, [(file, True) for file in files]


def _named(paths: Sequence[Path], base: Path) -> list[BatchFile]:
    """Items by name. Names that some disks would take for one are told apart by a number."""
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
