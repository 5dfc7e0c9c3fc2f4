"""The manifest of a batch: one line of JSON for each photo that was done, failed or skipped.

Lines are only appended, each in one write; the last line of a photo is the valid one. Whenever
the process is killed, all lines but perhaps the last are complete; an incomplete line is ignored,
and its photo is run again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import HeatmapError, ResultError, Use, reason_of
from ..files import make_folder, read_bytes
from ..names import MANIFEST

PhotoState = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class FileStamp:
    """Identifies the content of a file: size in bytes, modification time (ns), and SHA-256."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """The outcome for one photo.

    Attributes:
        name: as in :class:`sources.BatchFile`.
        path: absolute path of the photo.
        state: "done", "failed" or "skipped".
        settings: digest of the settings it was run with.
        message: why it failed or was skipped.
        ways: remedies (:class:`heatmap.errors.Use`), each with "parameter", "value" and "text".
        stamp: identifies the content of the photo file.
        photo_hw: height and width, px.
        notes: conversions applied while reading, and damage.
        detections: most confident first, each with "class", "confidence" (0..1) and
            "box_xyxy" (photo px).
        files: names of the result files in the photo's folder.
        seconds: time it took.
        finished: when it was finished, UTC, ISO 8601.
    """

    name: str
    path: str
    state: PhotoState
    settings: str
    message: str = ""
    ways: tuple[Mapping[str, Any], ...] = ()
    stamp: FileStamp | None = None
    photo_hw: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    detections: tuple[Mapping[str, Any], ...] = ()
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    finished: str = ""


def error_of(record: Record) -> HeatmapError:
    """The error of a failed photo."""
    return HeatmapError(record.message, *(Use(**way) for way in record.ways))


@dataclass
class Manifest:
    """The records of a batch by photo name, and the settings last used."""

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None
    _file: int | None = field(default=None, repr=False)

    def append(self, record: Record) -> None:
        """Append the record of a photo.

        Raises:
            ResultError: the manifest cannot be written.
        """
        self._write(asdict(record))
        self.records[record.name] = record

    def use(self, settings: Mapping[str, Any]) -> None:
        """Append the settings of the following records, unless they are the same as before."""
        if settings != self.settings:
            self._write({"settings": settings})
            self.settings = settings

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        # Lone surrogates of names that are not UTF-8 become escapes.
        content = f"{json.dumps(line)}\n".encode()
        try:
            if os.write(self._file, content) != len(content):
                raise ResultError(f"{self.path}: cannot be written: the disk is full")
        except OSError as error:
            raise ResultError(f"{self.path}: cannot be written: {reason_of(error)}") from error


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder; an empty one where there is none.

    Raises:
        ResultError: it cannot be read, or is not a manifest.
    """
    path = folder / MANIFEST
    manifest = Manifest(path)
    if not os.path.exists(path):
        return manifest
    lines = read_bytes(path, ResultError).split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            _take(manifest, line, number)
    return manifest


def _take(manifest: Manifest, line: bytes, number: int) -> None:
    try:
        entry = json.loads(line)
    except ValueError:
        # Incomplete, since the process was killed.
        return
    try:
        if entry.keys() == {"settings"}:
            manifest.settings = entry["settings"]
        else:
            record = _record(entry)
            manifest.records[record.name] = record
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResultError(
            f"{manifest.path}: line {number} does not have the format of this version: "
            "choose another folder"
        ) from error


def _record(entry: Mapping[str, Any]) -> Record:
    stamp, photo_hw = entry["stamp"], entry["photo_hw"]
    return Record(
        **{
            **entry,
            "stamp": None if stamp is None else FileStamp(**stamp),
            "photo_hw": None if photo_hw is None else (int(photo_hw[0]), int(photo_hw[1])),
            "ways": tuple(entry["ways"]),
            "notes": tuple(map(str, entry["notes"])),
            "detections": tuple(entry["detections"]),
            "files": tuple(map(str, entry["files"])),
        }
    )


@contextmanager
def writing_manifest(folder: Path) -> Iterator[Manifest]:
    """Open the manifest of a folder for appending, by one process at a time.

    Raises:
        ResultError: as :func:`read_manifest`, or another batch is writing to the folder.
    """
    path = folder / MANIFEST
    try:
        make_folder(path)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written: {reason_of(error)}") from error
    try:
        _lock(file, folder)
        manifest = read_manifest(folder)
        manifest._file = file
        _end_line(file)
        yield manifest
        manifest._file = None
    finally:
        os.close(file)


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ResultError(
            f"{folder}: another batch is writing here: wait for it, or choose another folder"
        ) from None
    except OSError:
        # A file system without locks: nothing prevents two batches at once there.
        return


def _end_line(file: int) -> None:
    """End an incomplete last line, so that the next record starts on a new line."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")


def counts(records: Iterable[Record]) -> dict[PhotoState, int]:
    """How many photos are in each state."""
    photos: dict[PhotoState, int] = {"done": 0, "failed": 0, "skipped": 0}
    for record in records:
        photos[record.state] += 1
    return photos
