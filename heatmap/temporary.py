"""Temporary folders for files in the making, and what is done with those of killed processes.

A temporary folder lies beside the files that are made in it, on the same disk. The process that
made it holds a lock on it for as long as it lives, however it ends. When all files are whole, a
journal in the folder says where they go; then they are moved. So whoever comes later finds what a
killed process left, by the lock: with a journal the moves are completed, without one nothing had
been moved, and the folder is removed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from .contents import digest_of

try:
    import fcntl
# Windows: there it is not known who lives, so that nothing is cleaned up.
except ImportError:
    fcntl = None  # type: ignore[assignment]

# Prefix of the names of files and folders that are not complete yet.
TEMPORARY = ".heatmap-"
# In it the journal, and the earlier files while new ones take their places.
_JOURNAL, _ASIDE = ".journal", ".aside"
# It says that the folder is one of these, and is removed last.
_SIGN = ".temporary"


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A new folder in ``beside``, locked, and removed at the end.

    Raises:
        OSError: it cannot be made.
    """
    with locked(beside):
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=beside))
        lock = _lock(folder)
    try:
        (folder / _SIGN).touch()
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def recover(folder: Path) -> None:
    """Complete or remove what killed processes left in a folder; those that live are left alone.

    Raises:
        OSError: the folder cannot be read, or a file cannot be moved.
    """
    if not folder.is_dir() or not any(folder.glob(f"{TEMPORARY}*")):
        return
    with locked(folder):
        for left in sorted(folder.glob(f"{TEMPORARY}*")):
            if left.is_dir() and not left.is_symlink():
                _recover_from(left)


def _recover_from(left: Path) -> None:
    lock = _lock(left, wait=False)
    if lock is None:
        return
    try:
        journal = _journal_in(left)
        if journal is not None:
            journal.replay(left)
        _remove(left)
    finally:
        os.close(lock)


def _remove(temporary: Path) -> None:
    """Remove a temporary folder: the journal, which is carried out, first, and the sign last."""
    if (temporary / _SIGN).exists():
        (temporary / _JOURNAL).unlink(missing_ok=True)
        for path in temporary.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _SIGN:
                path.unlink(missing_ok=True)
        (temporary / _SIGN).unlink()
    # Without a sign only an empty one: others are not ours.
    with suppress(OSError):
        temporary.rmdir()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, in which files are moved, and temporary folders made and looked for."""
    lock = _lock(folder)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, *, wait: bool = True) -> int | None:
    """Lock a folder; None where another process has it, or the system has no such locks."""
    if fcntl is None:
        return None
    try:
        file = os.open(folder, os.O_RDONLY)
    # Its process removed it meanwhile.
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(file)
        return None
    return file


@dataclass(frozen=True)
class Journal:
    """Which files of a temporary folder go where, and which earlier files go.

    Names are relative to the folder that holds the temporary one.

    Attributes:
        earlier: of each new file, the SHA-256 of the file that it replaces; "" where there is none.
        removed: SHA-256 of each earlier file that is removed.
    """

    earlier: Mapping[str, str]
    removed: Mapping[str, str] = field(default_factory=dict)

    def execute(self, temporary: Path) -> None:
        """Move the files, all or none.

        Raises:
            OSError: one cannot be moved; then all is as it was.
        """
        written = temporary / f"{_JOURNAL}.half"
        written.write_text(json.dumps(asdict(self)), "utf-8")
        written.replace(temporary / _JOURNAL)
        done: list[str] = []
        try:
            for name in (*self.earlier, *self.removed):
                done.append(name)
                self._exchange(temporary, name)
        except BaseException:
            for name in reversed(done):
                self._restore(temporary, name)
            (temporary / _JOURNAL).unlink()
            raise
        finally:
            _remove_empty(temporary.parent, (*self.earlier, *self.removed))

    def _exchange(self, temporary: Path, name: str) -> None:
        """Move the earlier file of a name aside, and the new one, if there is one, to its place."""
        target, aside = temporary.parent / name, temporary / _ASIDE / name
        if os.path.lexists(target):
            aside.parent.mkdir(parents=True, exist_ok=True)
            target.rename(aside)
        if name in self.earlier:
            target.parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).rename(target)

    def _restore(self, temporary: Path, name: str) -> None:
        """Take an exchange back, however far it came."""
        target, aside, new = temporary.parent / name, temporary / _ASIDE / name, temporary / name
        if name in self.earlier and not new.exists():
            target.rename(new)
        if os.path.lexists(aside):
            aside.rename(target)

    def replay(self, temporary: Path) -> None:
        """Complete the moves of a killed process; what has changed since then stays.

        Raises:
            OSError: one cannot be moved.
        """
        folder = temporary.parent
        for name, digest in self.earlier.items():
            # Missing: moved already.
            if (temporary / name).exists() and _now(folder / name) in ("", digest):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).replace(folder / name)
        for name, digest in self.removed.items():
            if _now(folder / name) == digest:
                (folder / name).unlink()
        _remove_empty(folder, self.removed)


def _journal_in(temporary: Path) -> Journal | None:
    """The journal of a temporary folder; None where not all of its files were whole."""
    try:
        journal = Journal(**json.loads((temporary / _JOURNAL).read_bytes()))
        paths = [PurePosixPath(name) for name in (*journal.earlier, *journal.removed)]
    except (OSError, ValueError, TypeError):
        return None
    # Whoever wrote it: no file outside of the folder is touched.
    inside = all(".." not in path.parts and not path.is_absolute() for path in paths)
    return journal if inside else None


def _now(path: Path) -> str:
    """The digest of what is at a path; "" if nothing is, and no digest if it is no file."""
    if not os.path.lexists(path):
        return ""
    return digest_of(path) or "no file"


def _remove_empty(folder: Path, names: Iterable[str]) -> None:
    """Remove the folders that files were in, where they are empty now."""
    inner = {parent for name in names for parent in Path(name).parents} - {Path()}
    for parent in sorted(inner, key=lambda parent: -len(parent.parts)):
        with suppress(OSError):
            (folder / parent).rmdir()
