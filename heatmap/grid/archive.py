"""The file of a score grid: one archive of the scores and of what they are."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..marks import MARK
from .outputs import Scores


def packed(description: Mapping[str, Any], scores: Scores | None) -> bytes:
    """The content of the ``.npz``: the description, and the scores unless stored beside it."""
    stream = io.BytesIO()
    meta = np.array(json.dumps(description))
    if scores is None:
        np.savez_compressed(stream, meta=meta)
    elif _fit_float16(scores):
        np.savez_compressed(stream, scores=scores.astype(np.float16), meta=meta)
    else:
        # Not compressed: scores compress by 7 % only, which took longer than all else.
        np.savez(stream, scores=scores, meta=meta)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = MARK.encode()
    return stream.getvalue()


def _fit_float16(scores: Scores) -> bool:
    """Whether float16 holds all scores exactly, as it does those of :class:`findings.Findings`."""
    with np.errstate(over="ignore"):
        return all(
            np.array_equal(row.astype(np.float16).astype(np.float32), row, equal_nan=True)
            for row in scores
        )
