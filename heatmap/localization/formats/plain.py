"""Names and boxes as files of annotations take them: a line of text, and within the photo."""

from __future__ import annotations

import re

from ...geometry import Box

# What XML and YAML have no room for, and what would end a line.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")


def one_line(name: str) -> str:
    """A name on one line, with blanks for the characters that XML and YAML cannot hold.

    Bytes of file names that are not UTF-8 are written as "\\udc80" to "\\udcff".

    >>> one_line("Egyptian\\ncat")
    'Egyptian cat'
    """
    return _UNWRITABLE.sub(" ", name.encode("utf-8", "backslashreplace").decode())


def clipped(xyxy: Box, photo_hw: tuple[int, int]) -> Box:
    """The part of a box that lies on a photo of this height and width, px.

    >>> clipped((-2.0, 5.0, 50.0, 30.0), (20, 40))
    (0.0, 5.0, 40.0, 20.0)
    """
    left, top, right, bottom = xyxy
    height, width = map(float, photo_hw)
    return max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
