"""`heatmap summary`, and tables in a narrow terminal."""

import json
import re

import pytest

from tests.support.command_line import PADDED, assert_one_line, network, without_colours


def test_summary_json_holds_what_the_table_shows(call):
    frozen = (*network("frozen"), "--photo-size", "120x100")
    told = json.loads(call("summary", *frozen, "--json").out)
    shown = call("summary", *frozen)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert len(told["rows"]) == 5
    # The heading takes two lines.
    for row, line in zip(told["rows"], lines[2:], strict=False):
        assert line.startswith(f"{row['path']} ")
        assert row["kind"] in line
        assert "x".join(map(str, row["shape"])) in line
        assert line.split()[-2:] == [str(row["stride_px"]), str(row["field_px"])]
        if row["parameters"]:
            assert f" {row['parameters']:,} " in line
        assert (" fixed" in line) == (row["parameters"] > row["trainable"])
    assert told["rows"][0]["trainable"] == 0
    assert "8x8, 8 to 5" in lines[6]
    assert lines[8].endswith(
        " on 120 x 100 px: 18 rows x 23 columns of windows, 32 px wide, 4 px apart"
    )
    assert lines[9] == f"outputs: {told['outputs']}, made probabilities by softmax"
    assert lines[10] == "scales: 1"
    assert lines[11] == "parameters 3,373: 3,149 trainable, 224 fixed"
    assert told["grid_hw"] == [18, 23]


@pytest.mark.parametrize("columns", [80, 62])
def test_summary_fits_into_a_terminal_with_its_numbers_whole(call, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    outcome = call("summary", *network("wide"), "--photo-size", "4000x4000")
    plain = without_colours(outcome.out)
    assert max(map(len, plain.splitlines())) <= columns
    assert "…" not in plain
    first = next(line.split() for line in plain.splitlines() if "6x6" in line)
    assert first[-4:] == ["4096x993x993", "1,183,744", "4", "31"]
    if columns == 80:
        assert first[:-4] == ["classifier.1", "Conv2d", "6x6,", "8", "to", "4096"]


def test_verify_and_run_fit_into_80_columns_of_a_terminal(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in ("verify", "run"):
        out = call(command, "cat.png", *PADDED, "-o", "out").out
        plain = without_colours(out)
        assert max(map(len, plain.splitlines())) <= 80
        assert re.search(r"^(scale|class) +(windows|confidence) +(largest|box, px)", plain, re.M)


@pytest.mark.parametrize(
    ("size", "part"), [("10x10", "the window is 32 px"), ("-5x400", "the window is 32 px")]
)
def test_summary_of_a_photo_below_the_window(call, size, part):
    assert_one_line(call("summary", *PADDED, "--photo-size", size), size.replace("x", " x "), part)
