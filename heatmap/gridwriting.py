"""The files of a score grid: ``.npz`` without pickle, and large scores in an ``.npy`` beside it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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
        np.savez_compressed(stream, scores=scores, meta=meta)
    return stream.getvalue()


def write_scores(
    temporary: Path, scores: Scores, blocks: Iterable[slice], grown: Path | None
) -> None:
    """Put large scores into a file: by renaming the one they grew in where that is possible."""
    if grown is not None and grown.exists() and _same_disk(grown, temporary):
        os.replace(grown, temporary)
        return
    written = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=scores.shape)
    for rows in blocks:
        written[rows] = scores[rows]
    written.flush()


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
