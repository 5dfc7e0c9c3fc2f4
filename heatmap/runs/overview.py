"""Overviews of a batch: a table of all detections, and a contact sheet."""

from __future__ import annotations

import hashlib
import html
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, TypeAlias
from urllib.parse import quote

from ..contents import digest_of
from ..csv_table import csv_table
from ..errors import HeatmapError
from ..files import of_bytes, write_all
from ..marks import MARK
from ..names import PAGE, PHOTOS, PICTURE, SHEET, SUMMARY, THUMBNAIL
from ..ownership import Ownership
from ..rendering.html import asset, embedded, policy
from .manifest import Manifest, Record, counts, error_of
from .nowhere import nowhere

HEAD = (
    "photo", "state", "message", "width_px", "height_px",
    "class", "confidence", "left_px", "top_px", "right_px", "bottom_px",
)  # fmt: skip


# Concatenated they are the sheet's only script.
_SCRIPTS = tuple(f"{name}.js" for name in ("photos", "card", "photo_grid", "class_filter", "sheet"))
# Decimal places of confidences on the sheet.
_PLACES = 4

# An error in words.
Worded: TypeAlias = Callable[[HeatmapError], str]


def write_overview(
    output: Path, manifest: Manifest, owner: Ownership, worded: Worded = str
) -> None:
    """Write ``summary.csv`` and ``index.html`` where their content has changed.

    Args:
        output: the folder of the batch.
        manifest: the records of all its photos; it notes what is written, before it is.
        owner: which files may be replaced.
        worded: the errors of photos that failed, and the ways out of them, in words.

    Raises:
        ResultError: one of them cannot be written, or is a stranger's.
    """
    ordered = sorted(manifest.records.values(), key=lambda record: record.name)
    contents = {SUMMARY: summary_table(ordered), SHEET: contact_sheet(ordered, worded)}
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


def contact_sheet(records: Sequence[Record], worded: Worded = str) -> bytes:
    """An HTML page with a thumbnail of each photo, filters and counts, that works from disk.

    Without JavaScript it is a list of the photos with links.

    Args:
        records: those of all photos, in the order in which they are listed.
        worded: as of :func:`write_overview`.
    """
    title = "Heatmaps"
    listed = [record for record in records if record.state != "skipped"]
    classes = _classes(listed)
    places = {name: place for place, name in enumerate(classes)}
    photos = [_entry(record, places, worded) for record in listed]
    data = {"counts": counts(records), "classes": classes, "photos": photos}
    style = asset("sheet", "sheet.css")
    script = "\n".join(asset("sheet", name) for name in _SCRIPTS)
    page = Template(asset("sheet", "template.html")).substitute(
        mark=MARK,
        policy=policy(style, script, images="'self' file: data:"),
        title=html.escape(title),
        style=style,
        script=script,
        nowhere="".join(f"<li>{html.escape(each.answer())}</li>" for each in nowhere(records)),
        list="\n".join(_plain(photo, classes) for photo in photos),
        data=embedded(data),
    )
    # A name that is not UTF-8 contains lone surrogates.
    return page.encode("utf-8", "replace")


def _classes(records: Sequence[Record]) -> list[str]:
    """The classes of all photos, those of most objects first; of guesses only, last."""
    objects = Counter(each["class"] for record in records for each in record.detections)
    guessed = {each["class"] for record in records for each in record.guesses}
    return sorted(objects.keys() | guessed, key=lambda name: (-objects[name], name))


def _entry(record: Record, places: Mapping[str, int], worded: Worded) -> dict[str, Any]:
    """The data of one photo on the sheet, without what is empty.

    "at" is what the URLs of its files begin with, relative to the sheet; "thumbnail" and "page"
    are what follows. Detections ("found") and guesses are pairs: the place of the class, and the
    confidence.
    """
    pairs = {
        key: [[places[each["class"]], round(each["confidence"], _PLACES)] for each in detections]
        for key, detections in (("found", record.detections), ("guesses", record.guesses))
    }
    entry = {
        "name": record.name,
        **_files(record),
        "message": worded(error_of(record)) if record.state == "failed" else "",
        "notes": list(record.notes),
        **pairs,
    }
    return {key: value for key, value in entry.items() if value}


def _files(record: Record) -> dict[str, str]:
    """Where the files of a photo are that the sheet shows; nothing where there are none."""
    # The files of a photo that failed are of an earlier time.
    names = {} if record.state != "done" else record.files
    found = {
        suffix: name.removesuffix(suffix)
        for suffix in (THUMBNAIL, PAGE, PICTURE)
        for name in names
        if name.endswith(suffix)
    }
    if not found:
        return {}
    # All begin with the same stem.
    stem = next(iter(found.values()))
    return {
        # Quoted as bytes, since a name need not be UTF-8.
        "at": quote(os.fsencode(f"{PHOTOS}/{record.name}/{stem}")),
        "thumbnail": THUMBNAIL if THUMBNAIL in found else "",
        "page": next((suffix for suffix in (PAGE, PICTURE) if suffix in found), ""),
    }


def _plain(entry: Mapping[str, Any], classes: Sequence[str]) -> str:
    """A photo in the list that is read without JavaScript."""
    name = html.escape(entry["name"])
    page = entry.get("page")
    named = f'<a href="{html.escape(entry["at"] + page)}">{name}</a>' if page else name
    if "message" in entry:
        said = f"failed: {entry['message']}"
    elif "found" in entry:
        said = _best(entry["found"], classes)
    elif "guesses" in entry:
        said = f"nothing found, guesses: {_best(entry['guesses'], classes)}"
    else:
        said = "nothing found"
    return f"<li>{named}: {html.escape(said)}</li>"


def _best(detections: Sequence[tuple[int, float]], classes: Sequence[str]) -> str:
    """Each class once, with the confidence of its best."""
    # The most confident are first.
    best = dict(reversed(detections))
    order = dict.fromkeys(place for place, _ in detections)
    return ", ".join(f"{classes[place]} {round(100 * best[place])}%" for place in order)
