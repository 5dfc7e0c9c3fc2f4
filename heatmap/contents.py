"""Reading files with one-line errors."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from pathlib import Path

from .errors import HeatmapError, reason_of

# Byte order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)


# Digests of large files by device, number, size and time. Small ones are not kept: they are written
# faster than clocks tick.
_DIGESTS: dict[tuple[int, ...], str] = {}
_LARGE_BYTES = 2**26
_NO_FILES = (
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def no_file(status: os.stat_result) -> str:
    """Why a path cannot be read as a file: it is a folder, pipe, socket or device; "" if it can.

    Asked before it is opened: a named pipe would wait for ever, a device may never end.
    """
    if stat.S_ISDIR(status.st_mode):
        return "is a directory"
    if stat.S_ISREG(status.st_mode):
        return ""
    kinds = (name for is_kind, name in _NO_FILES if is_kind(status.st_mode))
    return f"is a {next(kinds, 'special file')}, not a file"


def read_bytes(path: str | Path, error: type[HeatmapError], what: str = "") -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        error: the class of error to raise.
        what: what is read from the file, where the message should say so ("groups").

    Raises:
        HeatmapError: of class ``error``, where the file does not exist, is none, or cannot be read.
    """
    try:
        if reason_not := no_file(Path(path).stat()):
            raise error(_unreadable(path, what, reason_not))
        return Path(path).read_bytes()
    # ValueError: a name with a null character.
    except (OSError, ValueError) as reason:
        raise error(_unreadable(path, what, reason_of(reason))) from reason


def read_text(
    path: str | Path, error: type[HeatmapError], what: str = "", *, errors: str = "strict"
) -> str:
    """The text of a file that people write, in the encoding of its byte order mark, or UTF-8.

    Other encodings cannot be told apart, so they are refused instead of guessed.

    Args:
        path, error, what: as in :func:`read_bytes`.
        errors: what becomes of bytes that are not UTF-8, as ``bytes.decode`` takes it.

    Raises:
        HeatmapError: of class ``error``, as :func:`read_bytes`, or where it is no such text.
    """
    content = read_bytes(path, error, what)
    mark, encoding = next((m for m in _MARKS if content.startswith(m[0])), (b"", "UTF-8"))
    try:
        text = content.removeprefix(mark).decode(encoding, errors)
    except UnicodeDecodeError as reason:
        raise error(_unreadable(path, what, _not_text(reason))) from reason
    if "\0" in text:
        raise error(
            _unreadable(
                path,
                what,
                "holds NUL characters, as UTF-16 without a byte order mark does: save it as UTF-8",
            )
        )
    return text


def _not_text(reason: UnicodeDecodeError) -> str:
    """Which byte is not of the encoding, where it is, and what it may be instead."""
    content = reason.object
    number = content[reason.start]
    line = content.count(b"\n", 0, reason.start) + 1
    character = bytes((number,)).decode("cp1252", "replace")
    guess = f", {character} in Windows-1252," if character.isalpha() else ""
    where = f"byte 0x{number:02x}{guess} in line {line}"
    return f"is not {reason.encoding.upper()} text ({where}): save it as UTF-8"


def _unreadable(path: str | Path, what: str, reason: str) -> str:
    return f"{path}: {what} cannot be read: {reason}".replace(":  ", ": ")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex; "" if it is not a file that can be read.

    Of a large file that has not changed since it was read, it is known, under any name.
    """
    # Opening a pipe would wait for ever.
    if not os.path.isfile(path):
        return ""
    try:
        now = path.stat()
        stamp = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
        if stamp in _DIGESTS:
            return _DIGESTS[stamp]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
    if now.st_size > _LARGE_BYTES:
        _DIGESTS[stamp] = digest
    return digest
