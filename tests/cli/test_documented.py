"""The commands that docs/reference/command-line.md shows: in small, and (slow) as they stand."""

from __future__ import annotations

import shlex
import shutil

import pytest
import skimage.data

import heatmap
from heatmap.cli import main as cli
from heatmap.scoring import prepare as preparing
from tests.support.examples import command_lines, load_sample, run_line, small_demo
from tests.support.paths import ROOT

COMMANDS = command_lines(ROOT / "docs" / "reference" / "command-line.md")
NAMES = [shlex.split(line)[1] for line in COMMANDS]
# Each command once; other uses of the same one are slow, as are those that take seconds even in
# small: tests/cli runs these commands with smaller networks.
SLOW_IN_SMALL = ("batch", "evaluate", "verify", "adapt", "export", "train", "doctor")
SLOW_IN_SMALL += ("models", "summary")
ONCE = [
    pytest.param(
        *(line,),
        id=line.split(" -")[0],
        marks=[pytest.mark.slow] * (name in NAMES[:number] or name in SLOW_IN_SMALL),
    )
    for number, (line, name) in enumerate(zip(COMMANDS, NAMES, strict=True))
]
# What takes long, and what takes its place; a network is as good as another here.
IN_SMALL = {
    "-m resnet50": "-m squeezenet1_1",
    "-o classifier.onnx": "-o classifier.onnx -m tests.support.batches:pooled --window 32",
    "train demo/textures": "train demo/textures --epochs 2 --views 2",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As the page says it is."""
    written = tmp_path_factory.mktemp("folder")
    for name in ("cat.png", "photos/cat.png"):
        heatmap.write_image(written / name, skimage.data.chelsea())
    load_sample("make_collage").write_collage(written / "demo")
    textures = load_sample("textures")
    textures.write_tiles(written / "demo" / "textures")
    textures.write_mosaic(written / "demo")
    return written


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    written = tmp_path_factory.mktemp("small")
    small_demo(written / "demo")
    (written / "photos").mkdir()
    shutil.copy(written / "cat.png", written / "photos")
    return written


def run_command(line, monkeypatch, capsys) -> None:
    code, printed = run_line(line, monkeypatch, capsys)
    assert code == 0, printed.err
    assert printed.out


def test_every_command_has_an_example():
    # completion prints a script for the shell: docs/reference/setup.md.
    assert {*NAMES, "completion"} == set(cli.cli.commands)


@pytest.mark.parametrize("line", ONCE)
def test_command_runs_in_small(line, small_folder, monkeypatch, capsys, prepared_once):
    monkeypatch.chdir(small_folder)
    monkeypatch.setattr(preparing, "_prepared", prepared_once)
    for long, short in IN_SMALL.items():
        line = line.replace(long, short)
    run_command(line, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.split(" -")[0])
def test_command_runs_as_it_stands(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    run_command(line, monkeypatch, capsys)
