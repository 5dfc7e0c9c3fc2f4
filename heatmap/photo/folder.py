"""Which files of a folder are photos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import PhotoError, reason_of

# What the names of photos end in. Of any other name only what was named itself is tried.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .btf .tf8 .gif .heic .heif".split()
)


def files_below(folder: Path, output: Path | None = None) -> Iterator[Path]:
    """The files of a folder and all below it, in no order; nothing of them is opened.

    Files and folders whose names begin with a dot are left out, and so are folders that are
    links (but ``folder`` itself), and ``output``.

    Raises:
        PhotoError: a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise PhotoError(f"{error.filename}: cannot be read: {reason_of(error)}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        inside = Path(parent)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and inside / name != output
        )
        yield from (inside / name for name in files if not name.startswith("."))
