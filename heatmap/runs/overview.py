"""Overviews of a batch: a table of all detections, and a contact sheet."""

from __future__ import annotations

import csv
import html
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from ..files import of_bytes, write_all
from ..names import PAGE, PHOTOS, PICTURE, SHEET, SUMMARY, THUMBNAIL
from ..rendering.html import asset, embedded, policy
from .manifest import Record, counts

HEAD = (
    "photo", "state", "message", "width_px", "height_px",
    "class", "confidence", "left_px", "top_px", "right_px", "bottom_px",
)  # fmt: skip


def write_overview(output: Path, records: Iterable[Record]) -> None:
    """Write ``summary.csv`` and ``index.html`` where their content has changed.

    Args:
        output: the folder of the batch.
        records: the records of all its photos.

    Raises:
        ResultError: one of them cannot be written.
    """
    ordered = sorted(records, key=lambda record: record.name)
    contents = {output / SUMMARY: summary_table(ordered), output / SHEET: contact_sheet(ordered)}
    changed = {path: content for path, content in contents.items() if _content(path) != content}
    write_all({path: of_bytes(content) for path, content in changed.items()})


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def summary_table(records: Sequence[Record]) -> bytes:
    """CSV (RFC 4180, UTF-8): a row per detection, and a row per photo without any."""
    stream = io.StringIO(newline="")
    table = csv.writer(stream)
    table.writerow(HEAD)
    for record in records:
        height, width = record.photo_hw or ("", "")
        photo = (record.name, record.state, record.message, width, height)
        detections = [
            (detection["class"], detection["confidence"], *detection["box_xyxy"])
            for detection in record.detections
        ]
        table.writerows([*photo, *detection] for detection in detections or [("",) * 6])
    return stream.getvalue().encode("utf-8", "backslashreplace")


def contact_sheet(records: Sequence[Record]) -> bytes:
    """An HTML page with a thumbnail of each photo and filters by class and confidence."""
    title = "Heatmaps"
    data = {
        "title": title,
        "counts": counts(records),
        "photos": [_entry(record) for record in records if record.state != "skipped"],
    }
    style, script = asset("sheet", "sheet.css"), asset("sheet", "sheet.js")
    page = Template(asset("sheet", "template.html")).substitute(
        policy=policy(style, script, images="'self' file: data:"),
        title=html.escape(title),
        style=style,
        script=script,
        data=embedded(data),
    )
    return page.encode()


def _entry(record: Record) -> dict[str, Any]:
    """The data of one photo on the sheet; URLs are relative to it."""
    thumbnail, page, picture = (_file(record, suffix) for suffix in (THUMBNAIL, PAGE, PICTURE))
    return {
        "name": record.name,
        "message": record.message,
        "notes": list(record.notes),
        "size": None if record.photo_hw is None else list(reversed(record.photo_hw)),
        "thumbnail": thumbnail,
        "page": page or picture,
        "detections": [
            [detection["class"], detection["confidence"]] for detection in record.detections
        ],
    }


def _file(record: Record, suffix: str) -> str | None:
    """The relative URL of a photo's first file with this suffix, or None."""
    name = next((name for name in record.files if name.endswith(suffix)), None)
    if name is None:
        return None
    # Quoted as bytes, since a name need not be UTF-8.
    return quote(os.fsencode(f"{PHOTOS}/{record.name}/{name}"))
