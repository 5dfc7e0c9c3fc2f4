"""Reading files with one-line errors, and writing files and folders completely or not at all."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from .errors import HeatmapError, ResultError, Use, reason_of

# Prefix of the names of files and folders that are not complete yet.
_AT_A_TIME = 2
TEMPORARY = ".heatmap-"

# Names of cut-outs ("01-tabby-0.82.jpg"): a result made again may have fewer, or others.
_CUTOUT = re.compile(r"\d{2,}-[A-Za-z0-9_-]+-[01]\.\d\d\.jpg", re.ASCII)

# Byte order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)

# A function that makes a file or a folder at the path it is given.
Writer: TypeAlias = Callable[[Path], object]


def no_file(status: os.stat_result) -> str:
    """Why a path cannot be read as a file: it is a folder, pipe, socket or device; "" if it can.

    Asked before it is opened: a named pipe would wait for ever, a device may never end.
    """
    if stat.S_ISDIR(status.st_mode):
        return "is a directory"
    return "" if stat.S_ISREG(status.st_mode) else "is not a regular file"


def read_bytes(path: str | Path, error: type[HeatmapError], what: str = "") -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        error: the class of error to raise.
        what: what is read from the file, where the message should say so ("groups").

    Raises:
        HeatmapError: of class ``error``, where the file does not exist, is none, or cannot be read.
    """
    try:
        if reason_not := no_file(Path(path).stat()):
            raise error(_unreadable(path, what, reason_not))
        return Path(path).read_bytes()
    # ValueError: a name with a null character.
    except (OSError, ValueError) as reason:
        raise error(_unreadable(path, what, reason_of(reason))) from reason


def read_text(
    path: str | Path, error: type[HeatmapError], what: str = "", *, errors: str = "strict"
) -> str:
    """The text of a file that people write, in the encoding of its byte order mark, or UTF-8.

    Other encodings cannot be told apart, so they are refused instead of guessed.

    Args:
        path, error, what: as in :func:`read_bytes`.
        errors: what becomes of bytes that are not UTF-8, as ``bytes.decode`` takes it.

    Raises:
        HeatmapError: of class ``error``, as :func:`read_bytes`, or where it is no such text.
    """
    content = read_bytes(path, error, what)
    mark, encoding = next((m for m in _MARKS if content.startswith(m[0])), (b"", "UTF-8"))
    try:
        text = content.removeprefix(mark).decode(encoding, errors)
    except UnicodeDecodeError as reason:
        raise error(_unreadable(path, what, _not_text(reason))) from reason
    if "\0" in text:
        raise error(
            _unreadable(
                path,
                what,
                "holds NUL characters, as UTF-16 without a byte order mark does: save it as UTF-8",
            )
        )
    return text


def _not_text(reason: UnicodeDecodeError) -> str:
    """Which byte is not of the encoding, where it is, and what it may be instead."""
    content = reason.object
    number = content[reason.start]
    line = content.count(b"\n", 0, reason.start) + 1
    character = bytes((number,)).decode("cp1252", "replace")
    guess = f", {character} in Windows-1252," if character.isalpha() else ""
    where = f"byte 0x{number:02x}{guess} in line {line}"
    return f"is not {reason.encoding.upper()} text ({where}): save it as UTF-8"


def _unreadable(path: str | Path, what: str, reason: str) -> str:
    return f"{path}: {what} cannot be read: {reason}".replace(":  ", ": ")


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Give an unused temporary path, and move what the block makes there to ``target``.

    The block makes a file or a folder. Missing parent folders are made. On any failure
    the temporary is removed and ``target`` stays as it was. An earlier file is replaced,
    and so is an earlier folder, unless it holds something that the new one does not; but
    cut-outs of an earlier run do not stay.

    Raises:
        ResultError: the target cannot be written, or something else is in the way.
    """
    with _temporary_beside(target) as temporary:
        try:
            yield temporary
            _check_replaceable(temporary, target)
            _move(temporary, target)
        except OSError as error:
            raise ResultError(f"{target}: cannot be written: {reason_of(error)}") from error


def of_bytes(content: bytes) -> Writer:
    """A function that writes this content."""
    return lambda to: to.write_bytes(content)


def write_all(files: Mapping[Path, Writer]) -> None:
    """Write several files or folders, all of them or none.

    Args:
        files: for each target the function that writes it, given a temporary path.

    Raises:
        ResultError: one of them cannot be written.
    """
    with ExitStack() as all_or_none:
        temporaries = {target: all_or_none.enter_context(writing(target)) for target in files}
        # Two at a time: most of it is compression, which runs outside of Python's lock.
        with ThreadPoolExecutor(_AT_A_TIME, "heatmap-files") as threads:
            for _ in threads.map(lambda target: files[target](temporaries[target]), files):
                pass
        # Checked before the first of them is moved.
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
    """Make the folder that a file goes into, with its parents.

    Raises:
        ResultError: a file is in the way.
        OSError: the folder cannot be made for another reason.
    """
    check_folder(target)
    target.parent.mkdir(parents=True, exist_ok=True)


def check_folder(target: Path) -> None:
    """Refuse a file that would have a file for a folder.

    Raises:
        ResultError: a file is in the way.
    """
    for part in target.parents:
        # Not of Path, whose methods raise errors where a name is impossible.
        if os.path.exists(part) and not os.path.isdir(part):
            raise ResultError(f"{target}: cannot be written: {part} is a file, not a folder")


def _check_replaceable(temporary: Path, target: Path) -> None:
    """Refuse a target that must not be replaced.

    Raises:
        ResultError: it is a folder and the new one a file, or the reverse, or it is a folder
            that holds other things than cut-outs of earlier runs.
    """
    if target.is_dir() and not temporary.is_dir():
        raise ResultError(f"{target}: cannot be written: is a directory")
    if not temporary.is_dir() or not target.exists():
        return
    if not target.is_dir():
        raise ResultError(f"{target}: cannot be written: is a file, not a folder")
    others = {path.name for path in target.iterdir()}
    others -= {path.name for path in temporary.iterdir()}
    others = {name for name in others if not _CUTOUT.fullmatch(name)}
    if others:
        raise ResultError(
            f"{target}: cannot be replaced: holds {min(others)!r}, which is no result: "
            "move that, or choose another folder"
        )


def _move(temporary: Path, target: Path) -> None:
    """Rename to the target; an earlier folder is first moved out of the way."""
    earlier = temporary.with_name(f"{temporary.name}.earlier")
    if not temporary.is_dir():
        # Scores are first written to a private file; a result gets the usual permissions.
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
    """How much disk space is needed and how much is free, or "" if there is enough.

    The text completes a sentence such as "the scores take ...".

    Raises:
        OSError: the folder does not exist.
    """
    free = shutil.disk_usage(folder).free
    if needed <= free:
        return ""
    return f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB is free on the disk of {folder}"


def room_for(needed: int, folder: Path | None) -> Path:
    """A folder whose disk has room for ``needed`` bytes of scores.

    It is ``folder`` or its nearest existing parent; for None, the system's temporary folder.

    Raises:
        ResultError: they do not fit on its disk.
    """
    near = Path(tempfile.gettempdir()) if folder is None else _existing(folder)
    with named_error(near):
        lack = lack_of_room(needed, near)
    if lack:
        raise ResultError(
            f"the scores take {lack}",
            Use("store_classes", text="use {} to store fewer"),
            Use("stride", text="use a larger {}"),
            Use("scale", text="use a smaller {}"),
        )
    return near


@contextmanager
def room_to_grow(needed: int, folder: Path) -> Iterator[Path]:
    """A temporary folder for ``needed`` bytes of scores, on the disk of ``folder``.

    It is removed at the end. Where ``needed`` is 0, it is ``folder`` itself: nothing will be
    written there.

    Raises:
        ResultError: not enough space on the disk.
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
    """Turn an OSError of the block into a one-line error that names the folder.

    Raises:
        ResultError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise ResultError(f"{folder}: cannot be written: {reason_of(error)}") from error


def _existing(folder: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.is_dir())
