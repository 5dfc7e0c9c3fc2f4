"""The photos of a batch and their names in it, from folders, globs and lists."""

from __future__ import annotations

import glob
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..contents import read_bytes, read_text
from ..errors import PhotoError
from ..marks import mark_of
from ..names import DESCRIPTION, MAPS, PHOTOS, photo_folder
from ..photo.broken import BrokenPhoto
from ..photo.decoding.formats import SUFFIXES
from ..photo.folder import files_below, unreadable
from ..photo.listed import listed_name

_LIST_SUFFIXES = frozenset({".txt", ".lst"})


# Of the pictures that this tool makes beside TIFF, which are not looked into.
_PICTURES = frozenset({".png", ".jpg", ".jpeg"})

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class BatchFile:
    """A file of a batch; ``name`` is its path, with "/", below the folder all sources share.

    Parts of it that are too long for a folder of results are shortened
    (:func:`names.photo_folder`). ``relative`` is the path itself, whatever became of the name.
    """

    name: str
    path: Path
    relative: str = ""


@dataclass(frozen=True)
class BatchFiles:
    """The files of a batch, sorted by path.

    Attributes:
        photos: the photos.
        others: files whose suffixes are not those of photos.
        unread: folders that cannot be read, each with the reason; their names end in "/".
    """

    photos: tuple[BatchFile, ...] = ()
    others: tuple[BatchFile, ...] = ()
    unread: tuple[tuple[BatchFile, str], ...] = ()


def gather(
    sources: Sequence[str | Path], output: Path, *, may_be_empty: bool = False
) -> BatchFiles:
    """List the files of a batch.

    Args:
        sources: folders, searched recursively; globs (also ``**``); text files with lists of
            paths (``.txt``, ``.lst``: one per line, relative to the list, ``#`` starts a
            comment); single photos. Hidden files, links to folders, what a run wrote beside its
            photo, and pictures that this tool made, by their marks, are left out; files that are
            named themselves never are.
        output: the output folder, left out where it lies in a source.
        may_be_empty: whether a source may hold no file.

    Raises:
        PhotoError: a source does not exist, cannot be read, holds no file, or would hold the
            results.
    """
    named_itself: dict[Path, bool] = {}
    bases: list[Path] = []
    unread: dict[Path, str] = {}

    def note(broken: BrokenPhoto) -> None:
        unread[Path(broken.file)] = broken.reason

    for source in sources:
        base, files = _expanded(source, Path(os.path.abspath(output)), note)
        bases.append(base)
        if not files and not may_be_empty and not unread:
            raise PhotoError(f"{source}: no file in it: give photos, folders, globs or lists")
        for path, named in files:
            named_itself[path] = named_itself.get(path, False) or named
    base = bases[0] if len(set(bases)) == 1 else Path(os.path.commonpath(bases))
    results = _below(named_itself, output / PHOTOS)
    written = _written(named_itself) | results
    for path in sorted(results):
        if named_itself[path]:
            raise _among_results(path)
    kept = sorted(
        path
        for path, named in named_itself.items()
        if named or (path not in written and not _is_own_picture(path))
    )
    items = _named(kept, base, output)
    photos = [
        item for item in items if named_itself[item.path] or item.path.suffix.lower() in SUFFIXES
    ]
    chosen = set(photos)
    folders = (
        (BatchFile(f"{path.relative_to(base).as_posix()}/", path), reason)
        for path, reason in sorted(unread.items())
    )
    others = (item for item in items if item not in chosen)
    return BatchFiles(tuple(photos), tuple(others), tuple(folders))


def is_single(source: str | Path) -> bool:
    """Whether a source is one photo, there or not: no folder, no list of paths, no glob of any."""
    if os.path.exists(source):
        is_list = Path(source).suffix.lower() in _LIST_SUFFIXES
        return not os.path.isdir(source) and not is_list
    return next(glob.iglob(str(source), recursive=True), None) is None


def _below(paths: Iterable[Path], folder: Path) -> set[Path]:
    """Those of some files that lie in a folder or below, whatever links lead there."""
    resolved = Path(os.path.realpath(folder))
    parents = {path.parent for path in paths}
    inside = {
        parent
        for parent in parents
        if resolved in ((real := Path(os.path.realpath(parent))), *real.parents)
    }
    return {path for path in paths if path.parent in inside}


def _among_results(path: Path) -> PhotoError:
    return PhotoError(f"{path}: results would lie among the photos: choose another output")


def _written(paths: Iterable[Path]) -> set[Path]:
    """Those of some files that runs wrote: pictures of photos are no photos."""
    written: set[Path] = set()
    for path in paths:
        if path.name.endswith(MAPS):
            described = path.with_name(path.name.removesuffix(MAPS) + DESCRIPTION)
            try:
                names = list(json.loads(read_bytes(described, PhotoError))["files"]["written"])
            # No result, or not one of this version: its files are taken for what they seem.
            except (PhotoError, ValueError, LookupError, TypeError, RecursionError):
                continue
            written |= {described, *(path.parent / str(name) for name in names)}
    return written


def _is_own_picture(path: Path) -> bool:
    """Whether a file is a picture that this tool made of a photo, as by `run -o zebra.png`.

    Cut-outs, which may be run as photos, are of no photo by their marks.
    """
    if path.suffix.lower() not in _PICTURES:
        return False
    mark = mark_of(path)
    return mark is not None and bool(mark.about)


def _expanded(
    source: str | Path, output: Path, unread: Callable[[BrokenPhoto], object]
) -> tuple[Path, list[tuple[Path, bool]]]:
    """The folder that names are relative to, and the files, each with whether it was named."""
    path = Path(os.path.abspath(source))
    # Not of Path, whose methods raise errors where a name is too long.
    if os.path.isdir(path):
        _check_apart(path, output)
        return path, [(file, False) for file in files_below(path, unread, output)]
    if os.path.exists(path):
        if path.suffix.lower() in _LIST_SUFFIXES:
            return _listed(path)
        return path.parent, [(path, True)]
    if _MAGIC & set(str(source)):
        return _globbed(path, output, unread)
    raise PhotoError(f"{source}: no such file or folder")


def _globbed(
    path: Path, output: Path, unread: Callable[[BrokenPhoto], object]
) -> tuple[Path, list[tuple[Path, bool]]]:
    matches = [Path(name) for name in glob.glob(str(path), recursive=True)]
    fixed = path.parts[:-1]
    first = next((index for index, part in enumerate(fixed) if _MAGIC & set(part)), len(fixed))
    base = Path(*fixed[:first])
    _check_apart(base, output)
    results = output if base in output.parents else None
    for folder in _searched(path.parts if path.name == "**" else fixed, first):
        if results not in (Path(folder), *Path(folder).parents):
            _tell_if_unread(folder, unread)
    files = [file for file in matches if not os.path.isdir(file) and results not in file.parents]
    return base, [(file, False) for file in files]


def _searched(parts: Sequence[str], first: int) -> Iterator[str]:
    """The folders that a glob looks into, given its parts and the number of those not magic."""
    for end in range(first, len(parts) + 1):
        yield from glob.iglob(str(Path(*parts[:end], "")) + os.sep, recursive=True)


def _tell_if_unread(folder: str, unread: Callable[[BrokenPhoto], object]) -> None:
    """Tell of a folder that cannot be read, which a glob passes over."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        unread(unreadable(folder.rstrip(os.sep), error))


def _check_apart(folder: Path, output: Path) -> None:
    """Refuse to search a folder that will hold results, since these are images too."""
    if folder == output or output / PHOTOS in (folder, *folder.parents):
        raise _among_results(folder)


def _listed(path: Path) -> tuple[Path, list[tuple[Path, bool]]]:
    lines = read_text(path, PhotoError, errors="surrogateescape").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = (listed_name(path.parent, name) for name in names)
    files = [Path(os.path.abspath(path.parent / name)) for name in found]
    inside = all(path.parent in file.parents for file in files)
    # Also true for an empty list.
    base = path.parent if inside else Path(os.path.commonpath([file.parent for file in files]))
    return base, [(file, True) for file in files]


def _named(paths: Sequence[Path], base: Path, output: Path) -> list[BatchFile]:
    """Items by name; a number is appended to names that some file systems would not tell apart."""
    items, taken = [], set[str]()
    for path in paths:
        plain = path.relative_to(base).as_posix()
        name, count = photo_folder(output, plain), 1
        while (folded := unicodedata.normalize("NFC", name).casefold()) in taken:
            count += 1
            name = photo_folder(output, f"{plain}~{count}")
        taken.add(folded)
        items.append(BatchFile(name, path, plain))
    return items
