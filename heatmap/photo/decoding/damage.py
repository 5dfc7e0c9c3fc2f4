"""Damaged files: read as far as they go, with a note, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyvips

from ...errors import PhotoError, Use
from .encoded import Encoded, lacks_codec, what_is_wrong

Pixels = TypeVar("Pixels")

NOTE = "damaged, partly made up"
_BLOCK_PX = 16  # the height of the largest blocks of a JPEG


def read_or_mended(
    opened: Encoded, read: Callable[[Encoded], Pixels]
) -> tuple[Pixels, tuple[str, ...]]:
    """What ``read`` gives of a file, and a note where it is damaged.

    A file is read as if it were whole; only where that fails, it is read again, and what its
    decoder cannot read is made up by it: grey in a JPEG, black in other formats.

    Raises:
        PhotoError: the file is damaged and to be refused, or its format leaves nothing to mend.
        pyvips.Error: the same, where no choice helps.
    """
    try:
        return read(opened), ()
    except pyvips.Error as error:
        check_mendable(opened, error)
    return read(opened.mended), (NOTE,)


def refuse_blank(strips: Iterable[npt.NDArray[np.uint8]]) -> None:
    """Refuse a damaged photo of which nothing was read: what was made up is of one colour.

    Blocks in which a decoder stopped may hold anything, so rows down to there do not count.

    Raises:
        PhotoError: all pixels below the first ``_BLOCK_PX`` rows, or of fewer rows, are equal.
    """
    colour, top, differ = None, 0, False
    for strip in strips:
        below = strip[max(_BLOCK_PX - top, 0) :]
        top += len(strip)
        differ = differ or bool((strip != strip[:1, :1]).any())
        if below.size:
            colour = below[:1, :1].copy() if colour is None else colour
            if (below != colour).any():
                return
    if differ and top <= _BLOCK_PX:
        return
    raise PhotoError("is cut short or damaged: nothing of it can be read")


def check_mendable(opened: Encoded, error: pyvips.Error) -> None:
    """Raise again the error of a damaged file that is not to be mended."""
    if not opened.form.mends or opened.mend or lacks_codec(error):
        raise error
    if opened.reading.damaged == "refuse":
        raise PhotoError(
            what_is_wrong(error, opened.file_format),
            Use("damaged", "note", text="{} takes it, partly made up"),
        ) from error
