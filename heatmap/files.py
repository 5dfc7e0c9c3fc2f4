"""Writing files and folders completely or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from .errors import ResultError, reason_of

# Prefix of the names of files and folders that are not complete yet.
_AT_A_TIME = 2
TEMPORARY = ".heatmap-"

# Names of cut-outs ("01-tabby-0.82.jpg"): a result made again may have fewer, or others.
_CUTOUT = re.compile(r"\d{2,}-[A-Za-z0-9_-]+-[01]\.\d\d\.jpg", re.ASCII)

# A function that makes a file or a folder at the path it is given.
Writer: TypeAlias = Callable[[Path], object]


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
