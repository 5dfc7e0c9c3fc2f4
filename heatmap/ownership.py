"""Whose a file is: only files that this tool wrote are replaced.

It is known by a list with the SHA-256 of every file, or by a mark inside the file. A stranger's
file is replaced only where that is insisted on, and a photo that is read never.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .contents import digest_of
from .errors import ResultError, Use
from .marks import NO_PHOTO, Mark, mark_of

# Files without room for a mark, by suffix, and that of the marked file beside, which names them.
_BESIDE = {".scores.npy": ".npz", ".onnx.data": ".onnx"}
# A file of weights beside is named in an .onnx that holds only the graph.
_MOST_GRAPH_BYTES = 2**27


@dataclass(frozen=True)
class Ownership:
    """Which files may be replaced.

    Attributes:
        mark: the mark of what will be written: a marked file about another photo stays.
        listed: SHA-256 of the files that were written before. One that has changed since then is
            a stranger's, whatever mark it has.
        read: files that are read for what is written, such as photos: never replaced.
        overwrite: replace strangers' files too.
    """

    mark: Mark = NO_PHOTO
    listed: Mapping[Path, str] = field(default_factory=dict)
    read: tuple[str | Path, ...] = ()
    overwrite: bool = False

    @classmethod
    def of(cls, read: Iterable[object], *, overwrite: bool) -> Ownership:
        """For what is made from files, given among other things such as networks and names."""
        files = tuple(each for each in read if isinstance(each, str | Path))
        return cls(read=files, overwrite=overwrite)

    def check(self, paths: Iterable[Path]) -> None:
        """Refuse files that must not be replaced.

        Raises:
            ResultError: a file is a stranger's, or about another photo, or is read; or a folder
                is in the way, or a file where there should be a folder.
        """
        for path in paths:
            check_folder(path)
            if os.path.lexists(path):
                self._check(path)

    def _check(self, path: Path) -> None:
        if os.path.isdir(path):
            raise ResultError(f"{path}: cannot be written: is a directory")
        if any(_same(path, read) for read in self.read if str(read)):
            raise ResultError(f"{path}: is read, and would be replaced", ELSEWHERE)
        why = "" if self.overwrite else self._stranger(path)
        if why:
            raise ResultError(f"{path}: {why}", ELSEWHERE, OVERWRITE)

    def owns(self, path: Path) -> bool:
        """Whether there is a file of this tool at a path."""
        return os.path.lexists(path) and not self._stranger(path)

    def _stranger(self, path: Path) -> str:
        """Why an existing file may not be replaced; "" if it may."""
        if path in self.listed:
            same = digest_of(path) == self.listed[path]
            return "" if same else "has been changed since it was written"
        mark = mark_of(path)
        if mark is None and not _is_beside_own(path):
            return "exists, and was not written by this tool"
        return (
            "" if mark is None or self.mark.fits(mark) else "exists, and was made of other photos"
        )


ELSEWHERE = Use("output", text="choose another {}")
OVERWRITE = Use("overwrite", True)

# Files that carry a mark may be replaced.
OWN = Ownership()
# For files of this tool's own folders, whose content is known by their names.
ANY = Ownership(overwrite=True)


def _same(path: Path, other: str | Path) -> bool:
    """Whether two paths are of one file, whatever links lead there."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def _is_beside_own(path: Path) -> bool:
    """Whether a file without room for a mark lies beside a marked one that names it."""
    for suffix, marked in _BESIDE.items():
        if path.name.endswith(suffix):
            owner = path.with_name(path.name.removesuffix(suffix) + marked)
            return mark_of(owner) is not None and _names(owner, path.name)
    return False


def _names(owner: Path, name: str) -> bool:
    if owner.suffix == ".npz":
        with zipfile.ZipFile(owner) as archive:
            # Only scores that lie beside are missing in it.
            return archive.namelist() == ["meta.npy"]
    small = owner.stat().st_size < _MOST_GRAPH_BYTES
    return small and os.fsencode(name) in owner.read_bytes()


def check_folder(target: Path) -> None:
    """Refuse a file, or a folder, that would have a file for a folder.

    Raises:
        ResultError: a file is in the way.
    """
    for part in target.parents:
        # Not of Path, whose methods raise errors where a name is impossible.
        if os.path.exists(part) and not os.path.isdir(part):
            raise ResultError(f"{target}: cannot be written: {part} is a file, not a folder")
