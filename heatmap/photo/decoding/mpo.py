"""JPEG files that hold more images than one (Multi-Picture Format, CIPA DC-007)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MOST_BYTES = 2**20  # of segments before the pixels
_COUNT, _ENTRIES = 0xB001, 0xB002
_THUMBNAIL = 0x01
# What gain maps are announced by: those of Adobe and Android, and of ISO 21496-1.
_GAIN_MAPS = (b"hdrgm:", b"urn:iso:std:iso:ts:21496")


def pictures_in(path: Path) -> int:
    """How many pictures a JPEG file holds, without thumbnails and gain maps; at least 1.

    Raises:
        OSError: the file cannot be read.
    """
    listed, has_gain_map = 1, False
    with path.open("rb") as stream:
        for marker, segment in _segments(stream):
            if marker == 0xE2 and segment.startswith(b"MPF\0"):
                listed = _listed(segment[4:])
            has_gain_map = has_gain_map or any(name in segment for name in _GAIN_MAPS)
    return max(1, listed - has_gain_map)


def _segments(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Markers and contents of the segments before the pixels; no more of the file is read."""
    at = stream.seek(2)
    while at < _MOST_BYTES and len(head := stream.read(4)) == 4:
        mark, marker, length = struct.unpack(">BBH", head)
        if mark != 0xFF or marker == 0xDA or length < 2:
            return
        yield marker, stream.read(length - 2)
        at += 2 + length


def _listed(index: bytes) -> int:
    """The pictures that the index lists, except thumbnails; 1 where it cannot be read."""
    order = "<" if index[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", index, 4)
        (tags,) = struct.unpack_from(f"{order}H", index, start)
        values = {
            tag: (size, value)
            for tag, _, size, value in (
                struct.unpack_from(f"{order}HHII", index, start + 2 + 12 * number)
                for number in range(tags)
            )
        }
        size, entries = values[_ENTRIES]
        kinds = [
            struct.unpack_from(f"{order}I", index, entries + 16 * number)[0] >> 16 & 0xFF
            for number in range(size // 16)
        ]
    except (struct.error, KeyError):
        return 1
    return sum(kind != _THUMBNAIL for kind in kinds)
