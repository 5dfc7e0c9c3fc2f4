"""Files read, or refused in one line; files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from .errors import HeatmapError, ResultError, Use, reason_of

# What the names of files and folders begin with that are not whole yet.
TEMPORARY = ".heatmap-"

# Makes a file, or a folder, at the path that it gets.
Writer: TypeAlias = Callable[[Path], object]


def read_bytes(path: str | Path, error: type[HeatmapError], what: str = "") -> bytes:
    """What a file holds.

    Args:
        path: of the file.
        error: the class of what is raised.
        what: what of the file is read, where that needs saying ("groups").

    Raises:
        HeatmapError: of that class, in one line: the file is not there or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    # ValueError: a name with a null character.
    except (OSError, ValueError) as reason:
        raise error(_unreadable(path, what, reason_of(reason))) from reason


def read_text(path: str | Path, error: type[HeatmapError], what: str = "") -> str:
    """The text that a file holds: UTF-8, with or without a byte order mark.

    Args:
        path, error, what: as :func:`read_bytes` takes them.

    Raises:
        HeatmapError: of that class, in one line: as :func:`read_bytes`, or other bytes.
    """
    try:
        return read_bytes(path, error, what).decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise error(_unreadable(path, what, "is not UTF-8 text")) from reason


def _unreadable(path: str | Path, what: str, reason: str) -> str:
    return f"{path}: {what} cannot be read: {reason}".replace(":  ", ": ")


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Give a temporary path where nothing is yet; move what is made there to ``target``.

    The block makes a file there, or a folder. Missing parent folders are made. On any
    failure what was made is removed and ``target`` stays as it was. An earlier file is
    replaced, and so is an earlier folder, unless it holds what the new one does not.

    Raises:
        ResultError: it cannot be written, or something else is in the way.
    """
    with _temporary_beside(target) as temporary:
        try:
            yield temporary
            _check_replaceable(temporary, target)
            _move(temporary, target)
        except OSError as error:
            raise ResultError(f"{target}: cannot be written: {reason_of(error)}") from error


def write_all(files: Mapping[Path, Writer]) -> None:
    """Write several files or folders, each by a function that gets its temporary path; all or none.

    Raises:
        ResultError: one cannot be written.
    """
    with ExitStack() as all_or_none:
        temporaries = {}
        for target, write in files.items():
            temporaries[target] = all_or_none.enter_context(writing(target))
            write(temporaries[target])
        # Before the first of them is moved.
        for target, temporary in temporaries.items():
            _check_replaceable(temporary, target)


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """A path of the same name in a temporary folder on the same disk."""
    try:
        make_folder(target)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=target.parent))
    # ValueError: a name with a null character.
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise ResultError(f"{target}: cannot be written: {reason}") from error
    try:
        yield folder / target.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_folder(target: Path) -> None:
    """Make the folder of a file and its parents.

    Raises:
        ResultError: a file is in the way.
        OSError: the folder cannot be made for another reason.
    """
    for part in target.parents:
        if part.exists() and not part.is_dir():
            raise ResultError(f"{target}: cannot be written: {part} is a file, not a folder")
    target.parent.mkdir(parents=True, exist_ok=True)


def _check_replaceable(temporary: Path, target: Path) -> None:
    """Refuse a target that what was made must not replace.

    Raises:
        ResultError: it is a folder for a file, a file for a folder, or holds other things.
    """
    if target.is_dir() and not temporary.is_dir():
        raise ResultError(f"{target}: cannot be written: is a directory")
    if not temporary.is_dir() or not target.exists():
        return
    if not target.is_dir():
        raise ResultError(f"{target}: cannot be written: is a file, not a folder")
    others = {path.name for path in target.iterdir()}
    others -= {path.name for path in temporary.iterdir()}
    if others:
        raise ResultError(
            f"{target}: cannot be replaced: holds {min(others)!r}, which is no result: "
            "move that, or choose another folder"
        )


def _move(temporary: Path, target: Path) -> None:
    """Rename what was made; an earlier folder first makes way, into the temporary one."""
    earlier = temporary.with_name(f"{temporary.name}.earlier")
    if not temporary.is_dir():
        # Scores grow in a private file; results get the rights that any new file gets.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
    elif target.is_dir():
        target.replace(earlier)
    try:
        temporary.replace(target)
    except BaseException:
        if earlier.exists():
            earlier.replace(target)
        raise


def lack_of_room(needed: int, folder: Path) -> str:
    """What is missing where so many bytes are to be written, "" where they fit on the disk.

    The one rule for room on disk. It says how many bytes that are, and how many are free:
    the end of a sentence that begins with what is to be written.

    Raises:
        OSError: the folder is not there.
    """
    free = shutil.disk_usage(folder).free
    if needed <= free:
        return ""
    return f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free on the disk of {folder}"


def room_for(needed: int, folder: Path | None) -> Path:
    """Where so many bytes of scores can grow: ``folder``, the nearest one above it that is
    there, or that of temporary files.

    Raises:
        ResultError: they do not fit on its disk.
    """
    near = Path(tempfile.gettempdir()) if folder is None else _existing(folder)
    with named_error(near):
        lack = lack_of_room(needed, near)
    if lack:
        raise ResultError(
            f"the scores take {lack}",
            Use("store_classes", text="use {} to keep fewer"),
            Use("stride", text="use a larger {}"),
            Use("scale", text="use a smaller {}"),
        )
    return near


@contextmanager
def room_to_grow(needed: int, folder: Path) -> Iterator[Path]:
    """A temporary folder on the disk of ``folder`` for grids of so many bytes; it goes at the end.

    ``folder`` itself where none are needed: nothing will grow there.

    Raises:
        ResultError: no room on the disk.
    """
    if not needed:
        yield folder
        return
    near = room_for(needed, folder)
    with named_error(near):
        home = tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=near)
    with home as name:
        yield Path(name)


@contextmanager
def named_error(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into one line that names the folder.

    Raises:
        ResultError: for every OSError.
    """
    try:
        yield
    except OSError as error:
        raise ResultError(f"{folder}: cannot be written: {reason_of(error)}") from error


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.is_dir())
