"""Marks inside files, by which this tool knows that it wrote them, and of which photo.

A mark is a word, and behind it, in a file about one photo, two short digests: of the photo's
content and of its path. It lies where the format has room for such notes: a comment in a JPEG or a
zip archive, text in a PNG, the software tag of a TIFF, the generator of a page or of JSON, the
producer of an ONNX file, the metadata of weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARK = "heatmap-localizer"

_DIGITS = 16
_TEXT = re.compile(MARK + rf"((?: [0-9a-f]{{{_DIGITS}}})*)")
# What stands before the text in a JPEG, a PNG, a page, JSON, and an ONNX file.
_PLACES = (
    rb"\xff\xfe..",
    rb"Software\0",
    rb'<meta name="generator" content="',
    rb'\A\{\s*"generator": "',
    rb"\A\x08.\x12.",
)
_IN_HEAD = re.compile(b"(?s:" + b"|".join(_PLACES) + b")(" + _TEXT.pattern.encode() + b")")
_HEAD_BYTES = 4096
# The header of weights may list many tensors.
_MOST_HEADER_BYTES = 2**27
_PNG_START, _JPEG_START, _JFIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xe0"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SOFTWARE, _DESCRIPTION = 305, 270


@dataclass(frozen=True)
class Mark:
    """The mark of a file: digests of what it is about; none where that is not said."""

    about: tuple[str, ...] = ()

    @classmethod
    def of(cls, *paths: str | Path, digest: str = "") -> Mark:
        """The mark of a file about a photo.

        Args:
            paths: the photo, or what else the file is about; resolved, since a folder may be
                reached in several ways. "" is left out.
            digest: SHA-256 of the photo, in hex.
        """
        resolved = "\0".join(os.path.realpath(path) for path in paths if str(path))
        of_path = hashlib.sha256(os.fsencode(resolved)).hexdigest() if resolved else ""
        return cls(tuple(text[:_DIGITS] for text in (digest, of_path) if text))

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """The mark that a text is, or None."""
        found = _TEXT.fullmatch(text)
        return None if found is None else cls(tuple(found[1].split()))

    @property
    def text(self) -> str:
        """The mark as it stands in files."""
        return " ".join((MARK, *self.about))

    def fits(self, other: Mark) -> bool:
        """Whether two files may be about the same photo: its content or its path is the same."""
        return not self.about or not other.about or not set(self.about).isdisjoint(other.about)


NO_PHOTO = Mark()


def marked(picture: bytes, text: str = MARK) -> bytes:
    """The content of a JPEG or PNG file, with a mark."""
    content = text.encode()
    if picture.startswith(_PNG_START):
        chunk = b"tEXtSoftware\0" + content
        size, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
        # Behind the header, which has 25 bytes.
        return _inserted(picture, len(_PNG_START) + 25, size + chunk + check)
    at = len(_JPEG_START)
    if picture.startswith(_JFIF, at):
        # JFIF's own segment must be the first.
        at += 2 + int.from_bytes(picture[at + 2 : at + 4])
    return _inserted(picture, at, b"\xff\xfe" + struct.pack(">H", len(content) + 2) + content)


def _inserted(content: bytes, at: int, more: bytes) -> bytes:
    return content[:at] + more + content[at:]


def mark_of(path: Path) -> Mark | None:
    """The mark of a file; None where it has none or cannot be read. Little of it is read."""
    # Opening a pipe would wait for ever.
    if not os.path.isfile(path):
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return next(read(path, head) for holds, read in _READERS if holds(head))
    # Damaged files raise many kinds of exceptions.
    except Exception:
        return None


def _in_head(path: Path, head: bytes) -> Mark | None:
    found = _IN_HEAD.search(head)
    return None if found is None else Mark.read(found[1].decode())


def _in_tiff(path: Path, head: bytes) -> Mark | None:
    import tifffile

    with tifffile.TiffFile(path) as opened:
        tags = opened.pages.first.tags
        texts = [str(tags[code].value) for code in (_SOFTWARE, _DESCRIPTION) if code in tags]
    return next(filter(None, map(Mark.read, texts)), None)


def _in_archive(path: Path, head: bytes) -> Mark | None:
    """The comment of the archive; of a network from torch, which has none, a file in it."""
    with zipfile.ZipFile(path) as archive:
        own = [name for name in archive.namelist() if name.endswith(f"/extra/{MARK}")]
        return NO_PHOTO if own else Mark.read(archive.comment.decode())


def _in_weights(path: Path, head: bytes) -> Mark | None:
    size = int.from_bytes(head[:8], "little")
    if size > _MOST_HEADER_BYTES:
        return None
    with path.open("rb") as file:
        header = json.loads(file.read(8 + size)[8:])
    return Mark.read(header["__metadata__"]["generator"])


def _starts(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


# How a file is recognised by its head, and how its mark is read; the first that fits.
_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[Path, bytes], Mark | None]], ...] = (
    (_starts(*_TIFF_STARTS), _in_tiff),
    (_starts(b"PK\x03\x04"), _in_archive),
    (lambda head: head[8:10] == b'{"', _in_weights),
    (lambda head: True, _in_head),
)
