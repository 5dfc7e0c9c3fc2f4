"""Options of how pictures are drawn, the same in `run`, `batch` and `render`."""

import json
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

import heatmap
from heatmap.cli.console import progress_line
from heatmap.cli.run import run
from tests.support.command_line import PADDED, Outcome, everything

FOUND = (*PADDED, "-c", "class 1", "-c", "class 3", "--conf", "0.01", "--confirm", "0")
LOOKS = {
    "colormap": (("--colormap", "VIRIDIS"), {"colormap": "viridis"}),
    "others": (
        ("--no-legend", "--no-boxes", "--alpha", "0.3"),
        {"legend": False, "boxes": False, "alpha": 0.3},
    ),
}


def pictures(folder) -> dict[str, np.ndarray]:
    """The pictures in a folder by name."""
    return {path.name: cv2.imread(str(path)) for path in sorted(Path(folder).glob("*.jpg"))}


@pytest.mark.parametrize(("typed", "meant"), LOOKS.values(), ids=LOOKS)
def test_run_batch_and_render_draw_alike(call, typed, meant):
    common = ("--per-class", "--color-range", "0:0.5")
    call("run", "cat.png", *FOUND, *common, "-o", "plain")
    call("run", "cat.png", *FOUND, *common, *typed, "-o", "out")
    call("batch", "cat.png", *FOUND, *common, *typed, "-o", "many")
    assert call("render", "plain", *typed, "-o", "again").code == 0
    drawn = pictures("out")
    assert list(drawn) == ["cat.class-1.jpg", "cat.class-3.jpg", "cat.heatmap.jpg"]
    for name, plain in pictures("plain").items():
        assert not np.array_equal(plain, drawn[name]), name
    for folder in ("again", "many/photos/cat.png"):
        others = pictures(folder)
        for name, picture in drawn.items():
            np.testing.assert_array_equal(others[name], picture)
    settings = json.loads(Path("out/cat.json").read_text())["settings"]
    assert meant.items() <= settings.items()


def test_render_gives_back_what_a_run_left_out(call):
    call("run", "cat.png", *FOUND, "-o", "plain")
    call("run", "cat.png", *FOUND, "--no-boxes", "--no-legend", "-o", "bare")
    call("render", "bare", "-o", "again")
    assert call("render", "bare", "--boxes", "--legend", "-o", "whole").code == 0
    folders = ("plain", "bare", "again", "whole")
    plain, bare, again, whole = (pictures(folder)["cat.heatmap.jpg"] for folder in folders)
    np.testing.assert_array_equal(again, bare)
    np.testing.assert_array_equal(whole, plain)
    assert len(bare) < len(plain)


def test_the_page_has_the_colormap(call):
    call("run", "cat.png", *FOUND, "--html", "-o", "plain")
    plain = Path("plain/cat.html").read_text()
    call("run", "cat.png", *FOUND, "--html", "--colormap", "jet", "-o", "out")
    drawn = Path("out/cat.html").read_text()
    # Jet begins in dark blue, inferno in black.
    assert '"colours":[[0,0,128,0]' in drawn
    assert '"colours":[[0,0,4,0]' in plain
    Path("out/cat.html").unlink()
    assert call("view", "out").code == 0
    assert '"colours":[[0,0,128,0]' in Path("out/cat.html").read_text()


@pytest.mark.parametrize("command", ["run", "batch", "render"])
def test_a_colormap_that_there_is_not_is_a_usage_error(call, command):
    outcome = call(command, "cat.png", "--colormap", "heat")
    assert (outcome.code, outcome.out) == (2, "")
    assert "'heat' is not one of 'autumn', 'bone', " in outcome.err


class TestTalk:
    @pytest.mark.parametrize("flag", ["-q", "--quiet"])
    def test_quiet_prints_nothing(self, call, flag):
        assert call("run", "cat.png", *FOUND, flag, "-o", "out") == Outcome(0, "", "")
        assert "out/cat.json" in everything("out")
        assert call("batch", "cat.png", *FOUND, flag, "-o", "many") == Outcome(0, "", "")

    def test_quiet_prints_errors(self, call):
        outcome = call("run", "none.png", *FOUND, "-q")
        assert outcome == Outcome(1, "", "heatmap: none.png: no such file\n")

    def test_quiet_leaves_json(self, call):
        outcome = call("run", "cat.png", *FOUND, "-q", "--json")
        assert (outcome.code, outcome.err) == (0, "")
        assert json.loads(outcome.out)["detections"]

    @pytest.mark.parametrize("quiet", [True, False])
    def test_quiet_hides_notes(self, capsys, quiet):
        context = click.Context(run)
        context.params["quiet"] = quiet
        with context, progress_line("loading") as line:
            line.note("random weights")
        assert capsys.readouterr().err == ("" if quiet else "note: random weights\n")

    @pytest.mark.parametrize("flag", ["-v", "--verbose"])
    def test_verbose_prints_times_and_settings(self, call, flag):
        plain = call("run", "cat.png", *FOUND, "-o", "out")
        outcome = call("run", "cat.png", *FOUND, flag, "-o", "out")
        assert outcome.code == 0
        told = json.loads(Path("out/cat.json").read_text())
        lines = set(outcome.out.splitlines()) - set(plain.out.splitlines())
        for heading in ("computed with", "reading", "settings", "versions"):
            assert sum(line.startswith(f"{heading}: ") for line in lines) == 1
        assert "settings: classes class 1 class 3, exclude none, conf 0.01, iou 0.2" in outcome.out
        assert f"numpy {told['origin']['versions']['numpy']}" in outcome.out
        times = [line.rpartition(": ")[2] for line in outcome.err.splitlines()]
        assert all(line.endswith(" s") and float(line[:-2]) >= 0 for line in times)
        for stage in ("loading tests.", "scoring cat.png", "drawing and saving cat.png"):
            assert f"\n{stage}" in f"\n{outcome.err}"

    def test_a_verbose_batch_prints_a_line_a_photo(self, call):
        outcome = call("batch", "cat.png", *FOUND, "-v", "-o", "many")
        lines = Path("many/manifest.jsonl").read_text().splitlines()
        (record,) = (json.loads(line) for line in lines if "cat.png" in line)
        counts = ", ".join(
            f"{sum(each['class'] == name for each in record['detections'])} {name}"
            for name in dict.fromkeys(each["class"] for each in record["detections"])
        )
        assert f"cat.png: {counts}, {record['seconds']:.1f} s" in outcome.err

    @pytest.mark.parametrize("command", ["run", "batch"])
    def test_both_at_once_are_a_usage_error(self, call, command):
        for flags in (("-q", "-v"), ("-v", "-q")):
            outcome = call(command, "cat.png", *flags)
            assert outcome.code == 2
            assert "--quiet and --verbose contradict each other" in outcome.err


def test_python_takes_the_same_names():
    names = {"alpha", "colormap", "legend", "boxes", "conf", "iou", "max_det", "classes", "device"}
    assert names <= heatmap.RunOptions.__annotations__.keys()
