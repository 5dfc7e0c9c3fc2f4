"""Formats of fewer bits beside float32, on a processor: how much scores differ.

    python benchmarks/number_formats.py FOLDER

FOLDER holds photos (JPEG). The built-in network, in torch and at its native stride, scores a square
of 1024 x 1024 px out of the middle of each. Over all windows: the largest difference of a score, of
the largest score of the photo; the largest of a probability; and the share of windows whose top
class is the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from gpu import apart
from local import photos_of
from machine import print_machine
from tables import print_table

import heatmap
from heatmap.grid.score_grid import ScoreGrid

EXACT, FORMATS = "float32", ("float16", "bfloat16")


def main() -> None:
    print_machine()
    squares = photos_of(sorted(map(str, Path(sys.argv[1]).glob("*.jpg"))))
    expected = scored(squares, EXACT)
    windows = sum(grid.scores[..., 0].size for grid in expected)
    print(f"\n{len(squares)} photos, {windows:,} windows")
    rows = [[dtype, *differences(scored(squares, dtype), expected)] for dtype in FORMATS]
    print_table(("format", "score", "probability", "same top class"), rows)


def scored(photos: list[np.ndarray], dtype: str) -> list[ScoreGrid]:
    """The scores of photos, with products in a format."""
    scorer = heatmap.prepare(backend="torch", device="cpu", dtype=dtype)
    return [scorer.score(photo) for photo in photos]


def differences(found: list[ScoreGrid], expected: list[ScoreGrid]) -> list[str]:
    """The largest of scores and of probabilities, and the share of equal top classes."""
    pairs = list(zip(found, expected, strict=True))
    of_scores = max(apart(one.scores, other.scores) for one, other in pairs)
    of_probabilities = max(
        np.abs(one.probabilities() - other.probabilities()).max() for one, other in pairs
    )
    same = np.concatenate(
        [(one.scores.argmax(2) == other.scores.argmax(2)).ravel() for one, other in pairs]
    )
    return [f"{of_scores:.3f}", f"{of_probabilities:.3f}", f"{same.mean():.3f}"]


if __name__ == "__main__":
    main()
