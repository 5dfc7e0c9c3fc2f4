"""Tables as CSV (RFC 4180, UTF-8): one rule for every table that is written.

Names of photos and classes come from anywhere. A spreadsheet takes text for a formula, and runs it,
where it begins with a sign such as "=", also behind blanks and invisible characters. Such text gets
a "'" in front, which spreadsheets show as text. Numbers stay numbers, negative ones too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

# Signs that begin formulas, in full width too, behind whatever spreadsheets drop: white space,
# control characters, and characters without a width. A tab or the end of a line is one by itself,
# and so is any of them that already has the mark, so that the mark can be taken off again.
_FORMULA = re.compile(
    r"'*(?:[\x00-\x1f\x7f]|[\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠])"
)


def csv_table(head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> bytes:
    """A table of text and numbers; None is an empty cell.

    Bytes of file names that are not UTF-8 are written as "\\udc80" to "\\udcff".

    Args:
        head: the names of the columns.
        rows: a cell for each column.
    """
    stream = io.StringIO(newline="")
    # The default dialect is that of RFC 4180.
    writer = csv.writer(stream)
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: str | float | None) -> str | float | None:
    """Text with "'" before it if a spreadsheet would take it for a formula.

    To undo: remove one "'" where any number of them is followed by such a sign.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
