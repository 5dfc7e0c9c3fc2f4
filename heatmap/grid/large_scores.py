"""Files of scores too large for memory: plain ``.npy``, written row by row."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .outputs import Scores


def write_scores(
    temporary: Path, scores: Scores, blocks: Iterable[slice], grown: Path | None
) -> None:
    """Write large scores to a file, if possible by renaming the temporary file that holds them."""
    if grown is not None and _renamed(grown, temporary):
        return
    with temporary.open("wb") as file:
        start_npy(file, scores.shape)
        for rows in blocks:
            file.write(scores[rows].tobytes())


def start_npy(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write the header of an ``.npy`` file of float32 scores, which follow row by row."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    )


def _renamed(grown: Path, temporary: Path) -> bool:
    """Move a file; False if it was moved before, or would have to change disks."""
    try:
        os.replace(grown, temporary)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EXDEV):
            raise
        return False
    return True
