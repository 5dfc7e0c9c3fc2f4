"""Writing files and folders completely or not at all, and never over a stranger's file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from .contents import digest_of
from .errors import ResultError, reason_of
from .ownership import OWN, Ownership, check_folder
from .temporary import Journal, locked, recover, temporary_folder
from .threads import side_by_side

# A function that makes a file or a folder at the path it is given.
Writer: TypeAlias = Callable[[Path], object]


def of_bytes(content: bytes) -> Writer:
    """A function that writes this content."""
    return lambda to: to.write_bytes(content)


class Change:
    """New files of a folder, which replace earlier ones all at once, or not at all.

    Attributes:
        folder: the folder.
        making: the temporary folder in it, where files are made under their own names.
        made: SHA-256 of each file that is whole, by its name relative to the folder; files of
            folders have names such as "cat.crops/01-tabby-0.82.jpg".
    """

    def __init__(self, folder: Path, making: Path) -> None:
        self.folder, self.making = folder, making
        self.made: dict[str, str] = {}

    def make(self, writers: Mapping[Path, Writer]) -> None:
        """Make files or folders, given the path of each and the function that writes it.

        Raises:
            ResultError: one of them cannot be written.
        """

        def write(target: Path) -> dict[str, str]:
            try:
                writers[target](self.making / target.name)
                return self._whole(target.name)
            except OSError as error:
                raise _unwritten(target, error) from error

        # Most of it is compression, which runs outside of Python's lock. The first is made in this
        # thread: in every new one OpenCV reads its fonts anew, which takes 20 ms.
        for made in side_by_side(write, writers):
            self.made |= made

    def take(self, name: str) -> None:
        """Take a file or folder that was made under its name in the temporary folder.

        Raises:
            OSError: it was not made.
        """
        self.made |= self._whole(name)

    def _whole(self, name: str) -> dict[str, str]:
        """The digests of a file or of all files of a folder, with the rights of any new file."""
        new = self.making / name
        files = [path for path in new.rglob("*") if path.is_file()] if new.is_dir() else [new]
        for file in files:
            # Some are first written to a private file.
            file.chmod(0o666 & ~_mask())
        return {file.relative_to(self.making).as_posix(): digest_of(file) for file in files}

    def put(self, owner: Ownership, removed: Mapping[str, str] | None = None) -> None:
        """Move the files to their places.

        Args:
            owner: which files may be replaced.
            removed: SHA-256 of earlier files, by name, that go where they are not replaced, unless
                they were changed since.

        Raises:
            ResultError: one may not be replaced or cannot be moved; then all is as it was.
        """
        others = {name: digest for name, digest in (removed or {}).items() if name not in self.made}
        with locked(self.folder):
            gone = {
                each: own for each, own in others.items() if digest_of(self.folder / each) == own
            }
            owner.check(self.folder / name for name in self.made)
            earlier = {name: _earlier(self.folder / name) for name in self.made}
            try:
                Journal(earlier, gone).execute(self.making)
            except OSError as error:
                raise _unwritten(self.folder / next(iter(self.made)), error) from error


@contextmanager
def changing(folder: Path) -> Iterator[Change]:
    """A change of a folder, which is made with its parents if it is missing.

    What killed processes left in the folder is completed or removed first. Until :meth:`Change.put`
    the folder stays as it was.

    Raises:
        ResultError: the folder cannot be written.
    """
    with ExitStack() as ending:
        # ValueError: a name with a null character.
        try:
            make_folder(folder)
            recover(folder)
            making = ending.enter_context(temporary_folder(folder))
        except (OSError, ValueError) as error:
            raise _unwritten(folder, error) from error
        yield Change(folder, making)


@contextmanager
def writing(target: Path, owner: Ownership = OWN) -> Iterator[Path]:
    """Give an unused temporary path, and move what the block makes there to ``target``.

    The block makes a file or a folder. Missing parent folders are made. On any failure the
    temporary is removed and ``target`` stays as it was.

    Raises:
        ResultError: the target cannot be written, or must not be replaced.
    """
    check_folder(target)
    with changing(target.parent) as change:
        try:
            yield change.making / target.name
            change.take(target.name)
        except OSError as error:
            raise _unwritten(target, error) from error
        change.put(owner)


def write_all(files: Mapping[Path, Writer], owner: Ownership = OWN) -> None:
    """Write several files or folders of one folder, all of them or none.

    Args:
        files: for each target the function that writes it, given a temporary path.
        owner: which files may be replaced.

    Raises:
        ResultError: one of them cannot be written, or must not be replaced.
    """
    if not files:
        return
    # Of folders the files are checked, when it is known which they are.
    owner.check(path for path in files if not path.is_dir())
    (folder,) = {target.parent for target in files}
    with changing(folder) as change:
        change.make(files)
        change.put(owner)


def make_folder(folder: Path) -> None:
    """Make the folder that files go into, with its parents.

    Raises:
        ResultError: a file is in the way.
        OSError: the folder cannot be made for another reason.
    """
    check_folder(folder)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise ResultError(f"{folder}: cannot be written: is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)


def _earlier(target: Path) -> str:
    return digest_of(target) or ("unreadable" if os.path.lexists(target) else "")


def _unwritten(target: Path, error: BaseException) -> ResultError:
    return ResultError(f"{target}: cannot be written: {reason_of(error)}")


_ASKING = threading.Lock()


def _mask() -> int:
    """The rights that new files lack; asking for it sets it, for all threads."""
    with _ASKING:
        mask = os.umask(0)
        os.umask(mask)
    return mask
