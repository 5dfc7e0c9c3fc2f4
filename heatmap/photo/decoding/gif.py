"""Where the first frame of a GIF lies on its canvas."""

from __future__ import annotations

import struct
from pathlib import Path

_MOST_BYTES = 2**20  # of comments and other blocks before the first frame
_BLOCK, _FRAME, _TABLE = 0x21, 0x2C, 0x80


def first_frame_xywh(path: Path) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of the first frame, px; None where it cannot be found.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(_MOST_BYTES)
    try:
        at = 13 + _table_bytes(head[10])
        while head[at] == _BLOCK:
            at += 2
            while head[at]:
                at += 1 + head[at]
            at += 1
        if head[at] != _FRAME:
            return None
        left, top, width, height = struct.unpack_from("<4H", head, at + 1)
    except (IndexError, struct.error):
        return None
    return left, top, width, height


def _table_bytes(flags: int) -> int:
    """The size of a table of colours by the flags before it."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & _TABLE else 0
