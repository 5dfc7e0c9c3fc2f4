"""The program as a whole: exit codes, and ends that nobody foresaw."""

import io
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import heatmap
from heatmap import versions
from heatmap.scoring import prepare as preparing
from heatmap.scoring.scorer import Scorer
from tests.support.batch_runs import FORKS
from tests.support.command_line import PADDED, Outcome, everything
from tests.support.kills import be_waiting_heatmap
from tests.support.paths import ROOT
from tests.support.waiting import wait_until


def test_version_tells_what_a_report_needs(call):
    outcome = call("--version")
    assert (outcome.code, outcome.err) == (0, "")
    told = dict(line.split(" ", 1) for line in outcome.out.splitlines())
    assert next(iter(told.items())) == ("heatmap-localizer", heatmap.__version__)
    for name in ("torch", "torchvision", "timm", "onnxruntime", "numpy", "pyvips"):
        assert told[name] == version(name)
    assert told["Python"] == platform.python_version()
    assert told["platform"] == platform.platform()
    assert any("opencv" in name for name in told)


def test_version_names_what_is_missing(call, monkeypatch):
    def of(name: str) -> str:
        if name == "torch":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(versions, "version", of)
    assert "\ntorch missing\n" in call("--version").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("run",),
        ("run", "cat.png", "--border", "mirror"),
        ("run", "cat.png", "--engine", "fly"),
        ("run", "cat.png", "--scale", "large"),
        ("run", "cat.png", "--mean", "0.5,0.5"),
        ("run", "cat.png", "--std", "a,b,c"),
        ("run", "cat.png", "--alpha", "1.5"),
        ("run", "cat.png", "--conf", "-1"),
        ("run", "cat.png", "--top", "-1"),
        ("run", "cat.png", "--nonsense"),
        ("verify", "cat.png", "--windows", "0"),
        ("summary", "--photo-size", "400"),
        ("render",),
        ("view",),
        ("evaluate", "photos"),
        ("run", "cat.png", "--format", "xml"),
        ("adapt", "--head", "cone"),
        ("adapt", "--levels", "4;2"),
        ("train",),
        ("train", "photos", "--epochs", "0"),
    ],
)
def test_usage_errors_exit_with_2(call, arguments):
    outcome = call(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Error: " in outcome.err
    assert not Path("results").exists()


def test_an_unforeseen_error_is_one_line_too(call, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(preparing, "prepare", broken)
    outcome = call("run", "cat.png", *PADDED)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("heatmap: unexpected RuntimeError: first line second line (")
    monkeypatch.setenv("HEATMAP_DEBUG", "1")
    with pytest.raises(RuntimeError):
        call("run", "cat.png", *PADDED)


def test_interrupting_leaves_nothing(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "score", interrupted)
    before = everything()
    assert call("run", "cat.png", *PADDED) == Outcome(130, "", "\nheatmap: interrupted\n")
    assert everything() == before


def test_names_that_the_terminal_cannot_show_are_escaped(call, monkeypatch):
    name = os.fsdecode(b"caf\xe9.png")
    Path("cat.png").rename(name)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    outcome = call("run", name, *PADDED, "-c", "class 0")
    assert (outcome.code, outcome.err) == (0, "")
    terminal.flush()
    assert rb"wrote results/caf\udce9.maps.npz" in terminal.buffer.getvalue()
    assert os.fsdecode(b"results/caf\xe9.json") in everything("results")


# The rest starts processes, which is slow: one for each thing that cannot be seen from inside.


def test_a_reader_that_goes_away_is_no_error(call):
    process = subprocess.Popen(
        [sys.executable, "-c", "from heatmap.cli.main import main; main()", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()


def test_being_terminated_leaves_no_file(call, tmp_path_factory):
    said = tmp_path_factory.mktemp("said") / "said.txt"
    said.write_text("")
    before = everything()
    arguments = ["run", "cat.png", *PADDED, "-o", "out"]
    given = (arguments, str(Path.cwd()), str(said))
    process = FORKS.Process(target=be_waiting_heatmap, args=given, daemon=True)
    process.start()
    wait_until(lambda: said.read_text().endswith("ready\n") or not process.is_alive())
    assert said.read_text().endswith("ready\n")
    assert len(everything()) > len(before)
    process.terminate()
    process.join(300)
    assert process.exitcode == 143
    assert said.read_text().endswith("ready\nheatmap: terminated\n")
    assert everything() == before
