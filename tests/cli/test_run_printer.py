"""What `heatmap run` prints on a terminal: one screen, and what to type next."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from rich.cells import cell_len

from heatmap.cli.run_printer import _MEASURED, _MOST_ROWS
from tests.support.command_line import PADDED, everything, without_colours

MANY = ("run", "cat.png", *PADDED, "--conf", "0", "-o", "out")


@pytest.fixture
def screen(call, monkeypatch):
    """Run the command line on a terminal of some width, and give the lines that it prints."""

    def run(*arguments: object, width: int = 80, colours: bool = True) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color" if colours else "dumb")
        outcome = call(*arguments)
        assert outcome.code == 0
        return without_colours(outcome.out).splitlines()

    return run


def found(path: str = "out/cat.json") -> list[dict]:
    return json.loads(Path(path).read_text("utf-8"))["detections"]


class TestScreen:
    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_holds_the_most_confident_ones_and_says_where_the_others_are(self, screen, width):
        lines = screen(*MANY, "--per-class", width=width)
        detections = found()
        assert len(detections) > _MOST_ROWS
        # A narrow one wraps what it says in sentences.
        assert len(lines) < 24 or width < 80
        assert max(map(cell_len, lines)) <= width
        header = next(place for place, line in enumerate(lines) if line.startswith("class "))
        rows = lines[header + 1 : header + 1 + _MOST_ROWS]
        for row, one in zip(rows, detections, strict=False):
            assert row.split("  ")[0] == one["class"]
            assert f" {100 * one['confidence']:.0f} %  " in row
        left = len(detections) - _MOST_ROWS
        assert lines[header + 1 + _MOST_ROWS] == f"and {left} more: heatmap view out"
        assert "picture: out/cat.heatmap.jpg" in lines
        assert lines[-1] == "next: heatmap view out"

    def test_names_are_shortened_with_an_ellipsis_and_numbers_never(self, screen):
        long = ["a class with quite a long name of its own", "b", "c", "d", "e"]
        Path("long.txt").write_text("\n".join(long))
        lines = screen(*MANY, "--class-names", "long.txt", "-c", long[0], "-c", "b", width=60)
        row = next(line for line in lines if line.startswith("a class"))
        assert "…  " in row
        one = next(one for one in found() if one["class"] == long[0])
        sides = [round(side) for side in one["box_xyxy"]]
        assert f" {sides[0]}, {sides[1]} to {sides[2]}, {sides[3]} " in row
        wide = screen(*MANY, "--class-names", "long.txt", "-c", long[0], width=120)
        assert any(line.startswith(f"{long[0]}  ") for line in wide)

    def test_with_verbose_and_in_a_pipe_everything_is_listed(self, screen, call, monkeypatch):
        lines = screen(*MANY, "--per-class", "-v")
        monkeypatch.delenv("FORCE_COLOR")
        piped = call(*MANY, "--per-class").out.splitlines()
        for listed in (lines, piped):
            assert sum(" to " in line and " %  " in line for line in listed) == len(found())
            assert not any(" more" in line for line in listed)
            assert {f"wrote {path}" for path in everything("out")} <= set(listed)
        assert lines[-1] == "next: heatmap view out"
        assert not any(line.startswith("next: ") for line in piped)

    def test_what_it_says_does_not_depend_on_colours(self, screen, monkeypatch):
        coloured = screen(*MANY)
        monkeypatch.setenv("NO_COLOR", "1")
        assert screen(*MANY) == screen(*MANY, colours=False) == coloured

    def test_notes_are_wrapped_between_words(self, screen):
        lines = screen(*MANY, width=60)
        note = next(place for place, line in enumerate(lines) if line.startswith("note: each"))
        assert lines[note + 1].startswith("      ")
        assert " ".join(lines[note].split()[1:3]) == "each window"


class TestNext:
    def test_can_be_pasted(self, screen, call):
        out = "it's [b] out"
        (line,) = [line for line in screen(*MANY[:-1], out) if line.startswith("next: ")]
        assert shlex.split(line.removeprefix("next: ")) == ["heatmap", "view", out]
        assert call(*shlex.split(line)[2:]).code == 0
        assert Path(out, "cat.html").exists()

    def test_is_the_page_where_there_is_one(self, screen):
        assert screen(*MANY, "--html")[-1] == "next: open out/cat.html in a browser"
        assert screen("view", "out") == [
            "wrote out/cat.html",
            "next: open out/cat.html in a browser",
        ]

    def test_is_nothing_without_a_folder_of_results(self, screen):
        lines = screen(*MANY[:-1], "cat.jpg")
        assert lines[-1] == "picture: cat.jpg"
        assert any(line.endswith(" more: -v lists all") for line in lines)
        assert screen(*MANY, "-q") == []
        assert json.loads("\n".join(screen(*MANY, "--json")))["detections"]


class TestUncertainty:
    def test_classes_that_were_asked_for_are_answered_without_guesses(self, screen):
        lines = screen(*MANY, "-c", "class 0", "-c", "class 1", "--conf", "1")
        answers = [line for line in lines if ": not found; " in line]
        assert [line.partition(":")[0] for line in answers] == ["class 0", "class 1"]
        assert not any(line.startswith(("class  ", "Nothing")) for line in lines)
        assert "To find more, try another --scale, a lower --conf or --engine crop." in lines

    @pytest.mark.parametrize(
        ("options", "ways"),
        [
            ((), "another --scale or a lower --conf."),
            (("--stride", "auto"), "another --scale, a lower --conf or no --stride auto."),
        ],
    )
    def test_where_all_is_cropped_nobody_is_told_to_crop(self, screen, options, ways):
        lines = screen(*MANY, "--conf", "1", "-c", "class 0", "--engine", "crop", *options)
        assert f"To find more, try {ways}" in lines

    def test_is_told_only_where_it_was_measured(self, call):
        assert _MEASURED in call("run", "cat.png").out
        for more in (("--conf", "0.3"), ("-c", "cat"), PADDED):
            outcome = call("run", "cat.png", "--scale", "1", *more)
            assert outcome.code == 0
            assert _MEASURED not in outcome.out
