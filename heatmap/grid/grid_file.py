"""The files of a score grid: ``.npz`` without pickle, and large scores in an ``.npy`` beside it."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]

# Format 2 is format 1 with the scores in a file of their own; both are read.
FORMAT, FORMAT_LARGE = 1, 2


def scores_path(path: Path) -> Path:
    """Where the large scores of a grid saved as ``path`` (cat.npz) lie: cat.scores.npy."""
    return path.with_name(f"{path.stem}.scores.npy")


def packed(description: Mapping[str, Any], scores: Scores | None) -> bytes:
    """The content of the ``.npz``: a description, and scores unless they lie beside it."""
    stream = io.BytesIO()
    meta = np.array(json.dumps(description))
    if scores is None:
        np.savez_compressed(stream, meta=meta)
    else:
        # Scores of a network are too random to be packed: 7 % less, for longer than all else.
        np.savez(stream, scores=scores, meta=meta)
    return stream.getvalue()


def write_scores(
    temporary: Path, scores: Scores, blocks: Iterable[slice], grown: Path | None
) -> None:
    """Put large scores into a file: by renaming the one they grew in where that is possible."""
    if grown is not None and _renamed(grown, temporary):
        return
    with temporary.open("wb") as file:
        start_npy(file, scores.shape)
        for rows in blocks:
            file.write(scores[rows].tobytes())


def start_npy(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Begin an ``.npy`` file of float32 scores, which follow row by row."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    )


def _renamed(grown: Path, temporary: Path) -> bool:
    """Whether a file could be moved; not when it was before, nor from disk to disk."""
    try:
        os.replace(grown, temporary)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EXDEV):
            raise
        return False
    return True
