"""Room on the disk for scores: how much there is, and temporary folders to grow in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .errors import ResultError, Use, reason_of
from .temporary import recover, temporary_folder


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
    with ExitStack() as ending:
        with named_error(near):
            recover(near)
            home = ending.enter_context(temporary_folder(near))
        yield home


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
