"""`heatmap export`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from heatmap.cli import main as cli
from heatmap.networks import export as programs
from heatmap.networks.export import EXPORT_TOLERANCE, PROGRAM_SUFFIXES
from tests.support.command_line import ATTENDING, PADDED, SQUEEZING
from tests.support.exports import facts_of


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "cli_small.py").write_text(NETWORK)
    (tmp_path / "here").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "networks")
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["heatmap", "export", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run


NETWORK = """
from torch import nn

def network():
    trunk = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU())
    return nn.Sequential(trunk, nn.Flatten(), nn.Linear(8 * 64, 7)).eval()
"""
SMALL = ("-m", "cli_small:network", "--window", "64", "--stride", "4")


def once(function):
    """A function that is called once and gives the same from then on."""
    results = []

    def called(*given):
        if not results:
            results.append(function(*given))
        return results[0]

    return called


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_the_command_says_what_json_holds(call, to, monkeypatch):
    # The second of the two calls finds ONNX written already.
    monkeypatch.setattr(programs, "onnx_model", once(programs.onnx_model))
    path = f"out/small{PROGRAM_SUFFIXES[to]}"
    code, out, err = call(*SMALL, "--to", to, "-o", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    code, out, err = call(*SMALL, "--to", to, "-o", path, "--json")
    told = json.loads(out)
    assert (code, err, told["file"]) == (0, "", path)
    assert told["bytes"] == Path(path).stat().st_size
    assert lines[0] == "cli_small:network (as made by cli_small:network) as " + (
        f"ONNX, opset {told['opset']}" if to == "onnx" else "torch.export"
    )
    assert (
        "(batch, 3, height, width), at least 64 px high and wide, RGB, (pixel/255 - mean) / std"
        in lines[1]
    )
    assert lines[2].endswith("; logits, made probabilities by softmax")
    assert "(batch, 7, rows, columns), windows of 64 px, 4 px apart" in lines[2]
    for line, check in zip(lines[3:5], told["checks"], strict=True):
        photos, scores = (" x ".join(map(str, check[name])) for name in ("photos", "scores"))
        relative = check["relative"]
        assert line == f"{photos} gives {scores}: {relative:.1e} from the network in torch"
        assert relative < EXPORT_TOLERANCE
    assert [check["scores"][2:] for check in told["checks"]] == [[1, 1], [3, 5]]
    assert re.fullmatch(rf"wrote {path}: \d+\.\d MB", lines[5])
    assert facts_of(Path(path)).items() <= told.items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SMALL, "-o", "a.pt2"), "a.pt2: name it .onnx for onnx and .pt2 for torch"),
        ((*PADDED, "--stride", "7", "-o", "a.onnx"), "stride is 7"),
        ((*SQUEEZING, "-o", "a.onnx"), "inexact: "),
        ((*ATTENDING, "-o", "a.onnx"), "cannot slide"),
    ],
)
def test_what_cannot_be_exported_is_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"heatmap: [^\n]+\n", err)
    assert message in err
    assert "--engine" not in err
    assert list(Path().iterdir()) == []


def test_a_file_must_be_named(call):
    code, out, err = call(*SMALL)
    assert (code, out) == (2, "")
    assert "--output" in err
