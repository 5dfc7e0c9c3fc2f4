"""Detections as a table: a row for each, in CSV and in pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...csv_table import csv_table
from ...installed import imported
from ..detection import Detection

_SIDES = ("left", "top", "right", "bottom")
_TEXTS = ("photo", "class")
COLUMNS = (
    *_TEXTS,
    "confidence",
    *_SIDES,
    *(f"window_{side}" for side in _SIDES),
    "scale",
    "slide",
    "crop",
)


def rows(path: str, detections: Sequence[Detection]) -> list[list[Any]]:
    """A row for each detection, with a value for each of ``COLUMNS``: text, number or None.

    Args:
        path: the photo; "" for an array.
        detections: boxes in px of the whole photo.
    """
    return [
        [
            *(path, each.name, each.confidence, *each.xyxy, *each.window_xyxy),
            *(each.scale, each.slide, each.crop),
        ]
        for each in detections
    ]


def as_csv(path: str, detections: Sequence[Detection]) -> bytes:
    """The content of ``cat.csv``: the rows below their names; the arguments are of :func:`rows`."""
    return csv_table(COLUMNS, rows(path, detections))


def as_dataframe(path: str, detections: Sequence[Detection]) -> Any:
    """A ``pandas.DataFrame`` of the rows; the arguments are those of :func:`rows`.

    Photo and class are text, all other columns float64, where None is NaN.

    Raises:
        HeatmapError: pandas is not installed.
    """
    pandas = imported("pandas", "to_dataframe()")
    table = pandas.DataFrame(rows(path, detections), columns=list(COLUMNS))
    return table.astype({name: "str" if name in _TEXTS else "float64" for name in COLUMNS})
