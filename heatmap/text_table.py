"""Tables of text: the same on the command line, on a page and in a notebook."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class TextTable:
    """A table.

    Attributes:
        headings: one for each column.
        rows: as many cells each.
        numbers: the places, from 0, of the columns that hold numbers, which are flush right.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: Container[int]


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
        f"<{kind}{_flush(place in table.numbers)}>{escape(text.strip())}</{kind}>"
        for place, text in enumerate(row)
    )


def _flush(number: bool) -> str:
    return ' class="number"' if number else ""


def _part(name: str) -> str:
    """A row that is a part of the one above it has an indented name."""
    return ' class="part"' if name.startswith(" ") else ""
