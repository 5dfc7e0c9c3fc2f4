"""Tables of text: the same on the command line and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class TextTable:
    """A table.

    Attributes:
        headings: one for each column.
        rows: as many cells each.
        numbers: how many columns after the first hold numbers, which are flush right.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int


def table_html(table: TextTable) -> str:
    """The table as HTML, in an element that scrolls sideways where it has no room."""
    rows = (f"<tr{_part(row[0])}>{_cells(table, row, 'td')}</tr>" for row in table.rows)
    return (
        '<div class="wide" tabindex="0"><table>'
        f"<thead><tr>{_cells(table, table.headings, 'th')}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cells(table: TextTable, row: Sequence[str], kind: str) -> str:
    return "".join(
        f"<{kind}{_flush(1 <= place <= table.numbers)}>{escape(text.strip())}</{kind}>"
        for place, text in enumerate(row)
    )


def _flush(number: bool) -> str:
    return ' class="number"' if number else ""


def _part(name: str) -> str:
    """A row that is a part of the one above it has an indented name."""
    return ' class="part"' if name.startswith(" ") else ""
