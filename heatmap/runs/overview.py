"""Overviews of a batch: a table of all detections, and a contact sheet."""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from ..contents import digest_of
from ..csv_table import csv_table
from ..files import of_bytes, write_all
from ..marks import MARK
from ..names import PAGE, PHOTOS, PICTURE, SHEET, SUMMARY, THUMBNAIL
from ..ownership import Ownership
from ..rendering.html import asset, embedded, policy
from .manifest import Manifest, Record, counts

HEAD = (
    "photo", "state", "message", "width_px", "height_px",
    "class", "confidence", "left_px", "top_px", "right_px", "bottom_px",
)  # fmt: skip


def write_overview(output: Path, manifest: Manifest, owner: Ownership) -> None:
    """Write ``summary.csv`` and ``index.html`` where their content has changed.

    Args:
        output: the folder of the batch.
        manifest: the records of all its photos; it notes what is written, before it is.
        owner: which files may be replaced.

    Raises:
        ResultError: one of them cannot be written, or is a stranger's.
    """
    ordered = sorted(manifest.records.values(), key=lambda record: record.name)
    contents = {SUMMARY: summary_table(ordered), SHEET: contact_sheet(ordered)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    changed = [name for name, digest in digests.items() if digest_of(output / name) != digest]
    manifest.note({name: digests[name] for name in changed})
    write_all({output / name: of_bytes(contents[name]) for name in changed}, owner)


def summary_table(records: Sequence[Record]) -> bytes:
    """CSV (RFC 4180, UTF-8): a row per detection, and a row per photo without any."""
    rows: list[Sequence[Any]] = []
    for record in records:
        height, width = record.photo_hw or (None, None)
        photo = (record.name, record.state, record.message, width, height)
        detections = [
            (detection["class"], detection["confidence"], *detection["box_xyxy"])
            for detection in record.detections
        ]
        rows += [(*photo, *detection) for detection in detections or [(None,) * 6]]
    return csv_table(HEAD, rows)


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
        mark=MARK,
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
    # The files of a photo that failed are of an earlier time.
    if name is None or record.state != "done":
        return None
    # Quoted as bytes, since a name need not be UTF-8.
    return quote(os.fsencode(f"{PHOTOS}/{record.name}/{name}"))
