"""The files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import PhotoError, reason_of


def files_below(folder: Path, output: Path | None = None) -> Iterator[Path]:
    """The files in a folder and below, in no particular order, without opening them.

    Hidden files and folders, links to folders (except ``folder`` itself) and the folder
    ``output`` are left out.

    Raises:
        PhotoError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise PhotoError(f"{error.filename}: cannot be read: {reason_of(error)}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        inside = Path(parent)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and inside / name != output
        )
        yield from (inside / name for name in files if not name.startswith("."))
