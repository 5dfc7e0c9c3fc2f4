"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
    except OSError as error:
        raise ResultError(f"{target}: cannot be written: {error.strerror}") from error
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
