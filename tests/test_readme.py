"""The README's examples: Python as it stands, commands in small, and (slow) as they stand."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
import skimage
import skimage.data

import heatmap
from tests.support.examples import (
    PAGES,
    command_lines,
    load_sample,
    python_blocks,
    run_line,
    small_demo,
)
from tests.support.paths import ROOT

PYTHON = python_blocks(PAGES[0])
COMMANDS = command_lines(PAGES[0])
NAMES = [shlex.split(line)[1] for line in COMMANDS]
# Each command once; other uses of the same one are slow, as are those that take seconds even in
# small: tests/cli runs these commands with smaller networks.
SLOW_IN_SMALL = ("batch", "evaluate", "adapt", "export", "train")
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
    "-m vgg16": "-m squeezenet1_1",
    '"resnet1*"': '"squeezenet1_1"',
    "-o classifier.onnx": "-o classifier.onnx -m tests.support.batches:pooled --window 32",
    "train demo/textures": "train demo/textures --epochs 2 --views 2",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As `make demo` and the commands before it leave it."""
    written = tmp_path_factory.mktemp("readme")
    heatmap.write_image(written / "cat.png", skimage.data.chelsea())
    load_sample("make_collage").write_collage(written / "demo")
    textures = load_sample("textures")
    textures.write_tiles(written / "demo" / "textures")
    textures.write_mosaic(written / "demo")
    return written


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    written = tmp_path_factory.mktemp("small")
    small_demo(written / "demo")
    return written


def enter(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)


def run_command(line, monkeypatch, capsys) -> None:
    code, printed = run_line(line, monkeypatch, capsys)
    assert code == 0, printed.err
    assert printed.out


def test_readme_has_examples():
    assert len(PYTHON) == 2
    assert NAMES == [
        "run",
        "run",
        "run",
        "run",
        "view",
        "batch",
        "evaluate",
        "render",
        "verify",
        "summary",
        "models",
        "export",
        "doctor",
        "adapt",
        "train",
        "run",
    ]


@pytest.fixture
def _beside_the_cat(tmp_path, monkeypatch):
    heatmap.write_image(tmp_path / "cat.png", skimage.data.chelsea())
    enter(tmp_path, monkeypatch)


@pytest.mark.usefixtures("_beside_the_cat")
@pytest.mark.parametrize("code", PYTHON, ids=["score", "convert"])
def test_python_example_runs_and_gives_what_its_comments_say(code, capsys):
    names: dict[str, object] = {}
    exec(code, names)
    for line in code.splitlines():
        shape = re.match(r"(\S.*\.shape) +# \(([\d, ]+)\)", line)
        if shape:
            assert tuple(eval(shape[1], names)) == tuple(map(int, shape[2].split(",")))
    printed = capsys.readouterr().out
    assert printed
    promised = re.search(r"print\(report\.conclusion\) +# (.*)\.\.\.", code)
    assert promised is None or printed.startswith(promised[1])


def test_an_example_promises_a_conclusion():
    assert re.search(r"print\(report\.conclusion\) +# (.*)\.\.\.", PYTHON[1])


@pytest.mark.parametrize("line", ONCE)
def test_command_runs_in_small(line, small_folder, monkeypatch, capsys):
    enter(small_folder, monkeypatch)
    for long, short in IN_SMALL.items():
        line = line.replace(long, short)
    run_command(line, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.split(" -")[0])
def test_command_runs_as_it_stands(line, folder, monkeypatch, capsys):
    enter(folder, monkeypatch)
    run_command(line, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coffee", "camera", "chelsea"])
def test_pictures_are_those_of_the_commands_above_them(tmp_path, name):
    heatmap.write_image(tmp_path / f"{name}.png", as_rgb(getattr(skimage.data, name)()))
    done = heatmap.run(tmp_path / f"{name}.png", output=tmp_path)
    drawn, shown = (
        heatmap.read_photo(path).pixels.astype(int)
        for path in (done.saved.pictures[0], ROOT / "docs" / "img" / f"{name}.jpg")
    )
    assert drawn.shape == shown.shape
    assert np.abs(drawn - shown).mean() < 1


def as_rgb(pixels):
    return pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
