"""The files of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import PhotoError, reason_of
from .broken import BrokenPhoto


def files_below(
    folder: Path, unread: Callable[[BrokenPhoto], object], output: Path | None = None
) -> Iterator[Path]:
    """The files in a folder and below, in no particular order, without opening them.

    Hidden files and folders, links to folders (except ``folder`` itself) and the folder
    ``output`` are left out.

    Args:
        folder: where to begin.
        unread: called with each folder below that cannot be read; its files are left out.
        output: a folder to leave out.

    Raises:
        PhotoError: ``folder`` itself cannot be read.
    """

    def tell(error: OSError) -> None:
        broken = unreadable(error.filename, error)
        if Path(error.filename) == folder:
            raise PhotoError(broken.reason) from error
        unread(broken)

    for parent, folders, files in os.walk(folder, onerror=tell):
        inside = Path(parent)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and inside / name != output
        )
        yield from (inside / name for name in files if not name.startswith("."))


def unreadable(folder: str, error: OSError) -> BrokenPhoto:
    """A folder that cannot be read."""
    return BrokenPhoto(folder, f"{folder}: cannot be read: {reason_of(error)}")
