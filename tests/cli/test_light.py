"""What a command does not load: without it, it answers before torch would have been imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heatmap.networks.imagenet import kept_classes
from heatmap.networks.model_names import library_names
from tests.support.command_line import POOLED

# Each takes between a tenth of a second and five.
HEAVY = {"torch", "torchvision", "timm", "skimage", "scipy"}
# A few hundredths, and needed for some photos or files only.
SELDOM = {"tifffile", "jsonschema", "safetensors"}

# Runs each of the commands given as JSON, and prints its exit code, and what is loaded afterwards.
PROGRAM = """
import contextlib, io, json, sys
from heatmap.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["heatmap", *arguments]
    code, told = 0, io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, told.getvalue(), sorted(sys.modules)]))
"""


@pytest.fixture
def warm(call, shared_cache) -> None:
    """A cache that earlier calls have left."""
    library_names()
    kept_classes(1000)
    assert call("models", "squeezenet1_1").code == 0


def called(*commands: tuple[str, ...]) -> list[tuple[int, str, set[str]]]:
    """Exit code, standard error, and what is loaded, after each command in one new process."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands, default=str)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        (code, told, set(names)) for code, told, names in map(json.loads, ended.stdout.splitlines())
    ]


def test_commands_without_a_network_load_nothing_heavy(call, warm):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEATMAP_CACHE", "off")
        call("run", "cat.png", *POOLED, "-o", "out")
    commands = (
        ("--help",),
        ("--version",),
        ("models", "squeezenet1_1"),
        ("render", "out"),
        ("view", "out"),
    )
    for command, (code, told, names) in zip(commands, called(*commands), strict=True):
        assert (command, code, told) == (command, 0, "")
        assert (command, names & (HEAVY | SELDOM)) == (command, set())


def test_an_exported_network_does_without_torch(call, shared_cache, small_onnx):
    file = small_onnx.program.path
    Path("photos").mkdir()
    shutil.move("cat.png", "photos/cat.png")
    box = {"label": "b", "xmin": 10, "ymin": 10, "xmax": 60, "ymax": 60}
    Path("boxes.json").write_text(json.dumps([{"file": "cat.png", "boxes": [box]}]))
    commands = (
        ("run", "photos/cat.png", "-m", file, "-o", "out"),
        ("batch", "photos", "-m", file, "-o", "all"),
        ("evaluate", "photos", "boxes.json", "-m", file, "--no-cam"),
        ("verify", "photos/cat.png", "-m", file, "--windows", "9"),
    )
    for command, (code, told, names) in zip(commands, called(*commands), strict=True):
        assert (command, code) == (command, 0), told
        assert (command, names & {"torch", "torchvision", "timm"}) == (command, set())


def test_unknown_names_are_told_before_anything_heavy_is_loaded(call, warm):
    commands = {
        ("run", "cat.png", "-m", "resnet51"): "no model is called 'resnet51'",
        ("batch", ".", "-m", "resnet51"): "no model is called 'resnet51'",
        ("verify", "cat.png", "-m", "resnet51"): "no model is called 'resnet51'",
        ("evaluate", ".", "boxes.json", "-m", "resnet51"): "no model is called 'resnet51'",
        ("summary", "-m", "resnet51"): "no model is called 'resnet51'",
        ("adapt", "-m", "resnet51"): "no model is called 'resnet51'",
        ("train", ".", "-m", "resnet51", "-o", "x.safetensors"): "no model is called 'resnet51'",
        ("export", "-m", "resnet51", "-o", "x.onnx"): "no model is called 'resnet51'",
        ("run", "cat.png", "-c", "zebrra"): "did you mean zebra (340)?",
        ("run", "cat.png", "-m", "resnet18", "--exclude", "zebrra"): "no class 'zebrra'",
        ("batch", ".", "--store-classes", "zebrra"): "no class 'zebrra'",
        ("verify", "cat.png", "-c", "zebrra"): "no class 'zebrra'",
        (
            "run",
            "cat.png",
            *POOLED,
            "--class-names",
            "names.txt",
            "-c",
            "x",
        ): "no class 'x' among 5",
    }
    ended = zip(commands.items(), called(*commands), strict=True)
    for (command, message), (code, told, names) in ended:
        assert (command, code, told.count("\n")) == (command, 1, 1)
        assert message in told
        assert (command, names & (HEAVY | SELDOM)) == (command, set())
