"""CSV tables: what a spreadsheet would run is marked as text, and nothing else is changed."""

from __future__ import annotations

import csv
import io

import pytest

from heatmap.csv_table import csv_table

FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠x", " =1", "\t=1", "\r=1", "\n=1",
    "\u00a0=1", "\u3000=1", "\ufeff=1", "\u200b=1", "\x00=1", "\t", "\r", "\n", "\tname", "\rname",
    "\nname", "\x01name", "'=1", "''-1", "'\tname", '=HYPERLINK("x")', "=1,2",
]  # fmt: skip
NAMES = [
    "it's", "'quoted'", "a=b", "1-2", "x@y", " x ", "", "日本", 'say "hi"', "a, b", "two\nlines",
]  # fmt: skip


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_begins_as_formulas_do_is_marked_and_one_mark_undoes_it(text):
    assert read(csv_table(["name"], [[text]]))[1] == [f"'{text}"]


@pytest.mark.parametrize("text", NAMES)
def test_other_text_comes_back(text):
    assert read(csv_table(["name", "more"], [[text, "x"]]))[1] == [text, "x"]


def test_numbers_stay_numbers_and_nothing_is_an_empty_cell():
    rows = [[-1, -0.25, 3, 1e-7, float("-inf"), None]]
    assert csv_table(list("abcdef"), rows) == b"a,b,c,d,e,f\r\n-1,-0.25,3,1e-07,-inf,\r\n"


def test_bytes_that_are_not_utf_8_are_shown():
    assert read(csv_table(["name"], [["caf\udce9"]]))[1] == ["caf\\udce9"]
