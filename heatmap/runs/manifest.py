"""The manifest of a batch: one line of JSON for each photo that was done, failed or skipped.

Lines are only appended, each in one write; the last line of a photo is the valid one. Whenever
the process is killed, all lines but perhaps the last are complete; an incomplete line is ignored,
and its photo is run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from ..contents import digest_of, read_bytes
from ..errors import HeatmapError, ResultError, Use, reason_of
from ..files import make_folder
from ..names import MANIFEST
from ..ownership import ELSEWHERE, OVERWRITE, Ownership, check_folder

# What lines begin with.
_STARTS = (b'{"name": ', b'{"settings": ', b'{"written": ')

PhotoState = Literal["done", "failed", "skipped"]

# Windows has no locks of whole files, and its locks of bytes keep others from reading them: this
# byte lies beyond the end of every manifest.
_LOCKED_BYTE = 2**30


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
        notes: conversions applied while reading, damage, what was not scored, and files that stay.
        detections: most confident first, each with "class", "confidence" (0..1) and
            "box_xyxy" (photo px).
        guesses: where there are none, what might be there: the same of a lower confidence.
        not_found: the classes that were searched for by name and not found, each with "class", its
            best "confidence" (None below 1 %), and the "threshold" that it did not reach.
        files: the result files in the photo's folder, by name the SHA-256 of each; "" of folders.
            Of a photo that failed they are those of an earlier time.
        seconds: time it took.
        finished: when it was finished, UTC, ISO 8601.
        image_id: the id that it has in COCO files where no dataset gives one; stays the same.
            None for what is no photo.
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
    guesses: tuple[Mapping[str, Any], ...] = ()
    not_found: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    finished: str = ""
    image_id: int | None = None


class NoManifestError(ResultError):
    """A file that is no manifest of this version."""


def error_of(record: Record) -> HeatmapError:
    """The error of a failed photo."""
    return HeatmapError(record.message, *(Use(**way) for way in record.ways))


@dataclass
class Manifest:
    """The records of a batch by photo name, and the settings last used.

    ``written`` are the digests of the batch's own files by name, all that they ever had: a process
    may be killed between the note and the file.
    """

    path: Path
    records: dict[str, Record] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None
    written: dict[str, list[str]] = field(default_factory=dict)
    _file: int | None = field(default=None, repr=False)

    def done(self, settings: str) -> list[Record]:
        """The records of the photos that were done with settings of this digest, by name."""
        records = (self.records[name] for name in sorted(self.records))
        return [each for each in records if each.state == "done" and each.settings == settings]

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

    def note(self, digests: Mapping[str, str]) -> None:
        """Append the SHA-256 of the batch's own files, by name, before they are written."""
        new = {name: own for name, own in digests.items() if own not in self.written.get(name, ())}
        if new:
            self._write({"written": new})
            self._take_note(new)

    def owner(self, read: Iterable[str | Path] = (), *, overwrite: bool = False) -> Ownership:
        """Which of the batch's own files may be replaced: those that are as they were noted.

        Args:
            read: files that are read, and never replaced.
            overwrite: replace strangers' files too.
        """
        listed = {}
        for name, digests in self.written.items():
            now = digest_of(path := self.path.parent / name)
            listed[path] = now if now in digests else digests[-1]
        return Ownership(listed=listed, read=tuple(read), overwrite=overwrite)

    def _take_note(self, digests: Mapping[str, str]) -> None:
        for name, digest in digests.items():
            self.written.setdefault(name, []).append(digest)

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
        if not any(line.startswith(start) or start.startswith(line) for start in _STARTS):
            raise _no_manifest(manifest, number) from None
        return
    try:
        if entry.keys() == {"settings"}:
            manifest.settings = entry["settings"]
        elif entry.keys() == {"written"}:
            manifest._take_note(entry["written"])
        else:
            record = _record(entry)
            manifest.records[record.name] = record
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _no_manifest(manifest, number) from error


def _no_manifest(manifest: Manifest, number: int) -> NoManifestError:
    return NoManifestError(
        f"{manifest.path}: line {number} does not have the format of this version",
        ELSEWHERE,
        OVERWRITE,
    )


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
            "guesses": tuple(entry["guesses"]),
            # Earlier versions did not write it.
            "not_found": tuple(entry.get("not_found", ())),
            "files": dict(entry["files"]),
            "image_id": None if entry["image_id"] is None else int(entry["image_id"]),
        }
    )


@contextmanager
def writing_manifest(folder: Path, *, overwrite: bool = False) -> Iterator[Manifest]:
    """Open the manifest of a folder for appending, by one process at a time.

    Where ``overwrite`` is set, a file that is no manifest is emptied.

    Raises:
        ResultError: as :func:`read_manifest`, or another batch is writing to the folder.
    """
    path = folder / MANIFEST
    try:
        check_folder(path)
        make_folder(folder)
        # Without O_BINARY, Windows writes "\r\n".
        binary = getattr(os, "O_BINARY", 0)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o666)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written: {reason_of(error)}") from error
    try:
        _lock(file, folder)
        manifest = _read_or_empty(folder, file, overwrite=overwrite)
        manifest._file = file
        _end_line(file)
        yield manifest
        manifest._file = None
    finally:
        os.close(file)


def _read_or_empty(folder: Path, file: int, *, overwrite: bool) -> Manifest:
    try:
        return read_manifest(folder)
    except NoManifestError:
        if not overwrite:
            raise
        os.ftruncate(file, 0)
        return Manifest(folder / MANIFEST)


def _lock(file: int, folder: Path) -> None:
    """Keep other batches out until the file is closed or this process ends."""
    try:
        _lock_file(file)
    # PermissionError: on Windows.
    except (BlockingIOError, PermissionError):
        raise ResultError(
            f"{folder}: another batch is writing here: wait for it, or choose another folder"
        ) from None
    except OSError:
        # A file system without locks: nothing prevents two batches at once there.
        return


def _lock_file(file: int) -> None:
    """Lock a file, with what the system has for that; nothing where it has neither.

    Raises:
        BlockingIOError, PermissionError: it is locked.
    """
    if (posix := _module("fcntl")) is not None:
        posix.flock(file, posix.LOCK_EX | posix.LOCK_NB)
    elif (windows := _module("msvcrt")) is not None:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        windows.locking(file, windows.LK_NBLCK, 1)


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


def _end_line(file: int) -> None:
    """End an incomplete last line, so that the next record starts on a new line."""
    if not os.fstat(file).st_size:
        return
    # Not os.pread, which Windows lacks.
    os.lseek(file, -1, os.SEEK_END)
    if os.read(file, 1) != b"\n":
        os.write(file, b"\n")


def counts(records: Iterable[Record]) -> dict[PhotoState, int]:
    """How many photos are in each state."""
    photos: dict[PhotoState, int] = {"done": 0, "failed": 0, "skipped": 0}
    for record in records:
        photos[record.state] += 1
    return photos
