"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .errors import ResultError


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; rename it there when the block succeeds.

    Missing parent folders are made. On any failure the temporary file is removed
    and ``target`` stays as it was.

    Raises:
        ResultError: the folder or the file cannot be written.
    """
    try:
        _make_folder(target)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
    # ValueError: a name with a null character.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultError(f"{target}: cannot be written: {reason}") from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; results get the rights any new file gets.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(target)
    except OSError as error:
        raise ResultError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_all(files: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write several files, each by a function that gets its temporary path; all or none.

    Raises:
        ResultError: one cannot be written.
    """
    with ExitStack() as all_or_none:
        for target, write in files.items():
            if target.is_dir():
                raise ResultError(f"{target}: cannot be written: is a directory")
            write(all_or_none.enter_context(writing(target)))


def _make_folder(target: Path) -> None:
    """Make the folder of a file and its parents; a file in the way is named."""
    for part in target.parents:
        if part.exists() and not part.is_dir():
            raise ResultError(f"{target}: cannot be written: {part} is a file, not a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
