"""Progress on a terminal."""

import re
import threading
import time

import pytest
from rich.console import Console

from heatmap.cli.console import drawn_table, progress_line
from heatmap.geometry import grid_text
from heatmap.text_table import TextTable
from tests.support.command_line import PADDED, without_colours


def test_progress_counts_each_scale_anew():
    with progress_line("loading") as line:

        def state():
            (task,) = line.bar.tasks
            return task.description, task.completed, task.total, task.time_remaining

        assert state() == ("loading", 0, None, None)
        line.stage("scoring at scale 0.5")
        for done in (30, 60, 90):
            line.advance(done, 100)
        assert state()[:3] == ("scoring at scale 0.5", 90, 100)
        line.stage("scoring at scale 1")
        assert state() == ("scoring at scale 1", 0, None, None)
        line.advance(100, 400)
        # Too little is known of this scale; the speed of the one before is not taken.
        assert state() == ("scoring at scale 1", 100, 400, None)


def test_a_terminal_shows_what_is_done_and_how_long_it_takes(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_line("loading") as line:
        line.stage("scoring [b]cat[/b].png at scale 0.5")
        for done in (30, 60, 90):
            time.sleep(0.01)
            line.advance(done, 100)
        line.bar.refresh()
        shown = without_colours(capsys.readouterr().err)
    assert re.search(r"scoring \[b\]cat\[/b\]\.png at scale 0\.5 .*━.* 0:00:0\d", shown)


@pytest.mark.parametrize(
    ("rows", "columns", "text"), [(1, 1, "1 row x 1 column"), (23, 37, "23 rows x 37 columns")]
)
def test_sizes_of_grids_are_counted_in_words(rows, columns, text):
    assert grid_text(rows, columns) == text


def test_no_thread_of_a_progress_bar_stays(call):
    before = set(threading.enumerate())
    assert call("run", "cat.png", *PADDED, "-o", "out").code == 0
    assert call("batch", "cat.png", *PADDED, "-o", "many").code == 0
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if type(thread).__module__.startswith("rich")]


def test_a_wide_table_is_closer_with_high_headings_and_its_numbers_are_whole(capsys):
    shares = [f"{kind} 0.{digit}" for kind in ("box", "region") for digit in (3, 5, 7)]
    headings = ("class named", "pairs", "points all", "points small", "points hard", *shares)
    row = ("a class with a long name", "1,234", *["100.0"] * 9)
    table = TextTable(headings, (row,), numbers=range(1, 11))
    for width, high in ((80, 2), (200, 1)):
        Console(width=width).print(drawn_table(table, width))
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) == high + (2 if width == 80 else 1)
        assert sum(line.count("100.0") for line in lines) == 9
        assert "…" not in "".join(lines)
