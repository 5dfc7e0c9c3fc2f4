"""Earlier results of a photo: whose they are, and what new ones may replace and remove."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..contents import digest_of
from ..errors import ResultError, Use
from ..files import Writer, changing, of_bytes
from ..marks import NO_PHOTO, Mark
from ..names import CUTOUTS, GRID, PAGE_TILES, ResultNames, scores_path
from ..ownership import ELSEWHERE, OVERWRITE, Ownership
from ..room import named_error
from ..temporary import recover

# Names of cut-outs ("01-tabby-0.82.jpg") and of tiles, which depend on what is found.
_INNER = {
    CUTOUTS: re.compile(r"\d{2,}-[A-Za-z0-9_-]+-[01]\.\d\d\.jpg", re.ASCII),
    PAGE_TILES: re.compile(r"\d+_\d+\.jpg", re.ASCII),
}

_GRIDS = (GRID, scores_path(Path(GRID)).name)


@dataclass(frozen=True)
class Claim:
    """What new results of a photo may replace.

    Attributes:
        names: the names of the results.
        photo, digest: path and SHA-256 of the photo; the path is "" for an array.
        overwrite: replace strangers' files, and the results of another photo.
        paths: where else the photo may have been before.
        noted: SHA-256 of files that were written earlier, by name, as a manifest has them; "" of
            folders.
        read: what else is read, such as a mask, and never replaced.
    """

    names: ResultNames
    photo: str
    digest: str
    overwrite: bool = False
    paths: tuple[str, ...] = ()
    noted: Mapping[str, str] = field(default_factory=dict)
    read: tuple[str | Path, ...] = ()

    @cached_property
    def listed(self) -> dict[str, str]:
        """SHA-256 of the files written earlier, by name relative to the folder.

        Raises:
            ResultError: they are of another photo, or the folder cannot be read.
        """
        with named_error(self.names.folder):
            recover(self.names.folder)
        noted = {name: digest for name, digest in self.noted.items() if digest}
        described = read_description(self.names.description)
        if described is None:
            return noted
        self._check_photo(described)
        return {**noted, **listed_files(described, self.names)}

    def _check_photo(self, described: Mapping[str, Any]) -> None:
        theirs = Mark.read(str(described.get("generator"))) or NO_PHOTO
        if self.overwrite or self._mark.fits(theirs):
            return
        raise ResultError(
            f"{self.names.description}: holds the results of "
            f"{described['photo'].get('path') or 'a photo without a file'}, another photo than "
            f"{self.photo or 'this one'}",
            ELSEWHERE,
            OVERWRITE,
        )

    @property
    def _mark(self) -> Mark:
        """The mark of this photo, wherever it lay."""
        marks = (Mark.of(self.photo, digest=self.digest), *map(Mark.of, self.paths))
        return Mark(tuple(digest for mark in marks for digest in mark.about))

    @property
    def owner(self) -> Ownership:
        """Which files may be replaced."""
        folder, listed = self.names.folder, self.listed
        files = {folder / name: digest for name, digest in listed.items()}
        if read_description(self.names.description) is not None:
            # It cannot list itself.
            files[self.names.description] = digest_of(self.names.description)
        return Ownership(self._mark, files, (self.photo, *self.read), self.overwrite)

    def check(self, possible: Collection[str], *, saves_grid: bool) -> None:
        """Refuse before a photo is scored what would be refused after it.

        Args:
            possible: names of files, and folders, that may be written.
            saves_grid: whether a score grid will be written.

        Raises:
            ResultError: one of these files is a stranger's or another photo's; or a saved grid
                would be removed without another being written.
        """
        owner, folder = self.owner, self.names.folder
        owner.check([self.names.description])
        folded = {name.casefold(): name for name in possible}
        there = os.listdir(folder) if folder.is_dir() else []
        paths = [folder / folded[name.casefold()] for name in there if name.casefold() in folded]
        for path in paths:
            suffix = next((suffix for suffix in _INNER if path.name.endswith(suffix)), None)
            if suffix is None or not path.is_dir():
                owner.check([path])
            else:
                names = (inner for inner in path.rglob("*") if _INNER[suffix].fullmatch(inner.name))
                owner.check(names)
        if not saves_grid and not self.overwrite:
            self._keep_grid()

    def _keep_grid(self) -> None:
        for name, digest in self.listed.items():
            if name.endswith(_GRIDS) and digest_of(self.path(name)) == digest:
                raise ResultError(
                    f"{self.path(name)}: is a saved score grid, and would be removed",
                    Use("save_grid", True, "save it again with {}"),
                    ELSEWHERE,
                    OVERWRITE,
                )

    def path(self, name: str) -> Path:
        """The path of a file by its name relative to the folder."""
        return self.names.folder / name

    @cached_property
    def unchanged(self) -> dict[str, str]:
        """The listed files that are as they were written."""
        return {
            name: digest
            for name, digest in sorted(self.listed.items())
            if digest_of(self.path(name)) == digest
        }

    def changed(self, but: Iterable[str]) -> tuple[Path, ...]:
        """The listed files that were changed since then, without some of them."""
        others = self.listed.keys() - set(but) - self.unchanged.keys()
        return tuple(path for name in sorted(others) if os.path.lexists(path := self.path(name)))


def read_description(path: Path) -> dict[str, Any] | None:
    """The content of a ``cat.json``, of any format; None if it is none."""
    # Opening a pipe would wait for ever.
    if not os.path.isfile(path):
        return None
    try:
        described = json.loads(path.read_bytes())
    # RecursionError: brackets nested a thousand deep.
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(described, dict) and {"format", "photo", "origin"} <= described.keys()
    # Null where a run only printed it.
    if not whole or described.get("files", {}) is None:
        return None
    return described if isinstance(described["photo"], dict) else None


def listed_files(described: Mapping[str, Any], names: ResultNames) -> dict[str, str]:
    """The files that a description lists, with their SHA-256; none with names of other photos."""
    files = described.get("files")
    written = files.get("written") if isinstance(files, dict) else None
    if not isinstance(written, dict):
        return {}
    return {
        name: digest
        for name, digest in written.items()
        if isinstance(digest, str) and _is_inside(name, names.stem)
    }


def _is_inside(name: str, stem: str) -> bool:
    parts = PurePosixPath(name).parts
    return name.startswith(f"{stem}.") and ".." not in parts and os.sep not in parts[0]


def add_files(claim: Claim, writers: Mapping[Path, Writer]) -> list[Path]:
    """Write more files of a photo, and list them where there is a description.

    Files of a folder of the same name that are not written anew are removed.

    Returns:
        Their paths.

    Raises:
        ResultError: one cannot be written, or is a stranger's or another photo's.
    """
    names, owner = claim.names, claim.owner
    owner.check(path for path in writers if not path.is_dir())
    described = read_description(names.description)
    with changing(names.folder) as change:
        change.make(writers)
        made, gone = dict(change.made), {}
        if described is not None:
            folders = tuple(f"{path.name}/" for path in writers)
            gone = {
                name: digest
                for name, digest in claim.unchanged.items()
                if name.startswith(folders) and name not in made
            }
            relisted = _relisted(described, {**claim.listed, **made}, gone)
            change.make({names.description: description_writer(relisted)})
        change.put(owner, gone)
    return list(writers)


def _relisted(
    described: dict[str, Any], listed: Mapping[str, str], gone: Collection[str]
) -> dict[str, Any]:
    """A description that lists these files, without those that are gone."""
    written = {name: digest for name, digest in sorted(listed.items()) if name not in gone}
    return {**described, "files": {**described["files"], "written": written}}


def description_writer(described: Mapping[str, Any]) -> Writer:
    """A function that writes the content of ``cat.json``."""
    text = json.dumps(described, indent=2, ensure_ascii=False)
    # File names that are not UTF-8 contain lone surrogates, which are valid JSON as escapes.
    return of_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
