"""The examples of README and docs, and small data to run them on."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from heatmap.cli import main as cli
from tests.support.paths import ROOT, SAMPLES

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), SAMPLES / "README.md"]


def command_lines(page: Path) -> list[str]:
    """The lines of code on a page that begin with "heatmap", each with what it goes on with."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    indented = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    blocks.append("\n".join(re.findall(r"^    (.*)$", indented, re.MULTILINE)))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("heatmap ")]


def arguments(line: str) -> list[str]:
    """What follows "heatmap" on a line of a shell."""
    return shlex.split(line, comments=True)[1:]


def run_line(line: str, monkeypatch: Any, capsys: Any) -> tuple[int, Any]:
    """The exit code of a command, run in this process, and what it printed."""
    monkeypatch.setattr("sys.argv", shlex.split(line))
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr()


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def load_sample(name: str) -> ModuleType:
    """A script of samples/ as a module, loaded anew."""
    spec = importlib.util.spec_from_file_location(name, SAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def small_demo(folder: Path) -> None:
    """What `make demo` and textures.py write, in small: a collage a quarter as wide, a few tiles.

    Also cat.png beside ``folder``, half as wide as scikit-image's.
    """
    save(folder.parent / "cat.png", skimage.data.chelsea(), 0.5)
    folder.mkdir()
    collage, objects = load_sample("make_collage").make_collage()
    save(folder / "collage.png", collage, 0.25)
    rows = [("collage.png", item.label, *(side / 4 for side in item.box_xyxy)) for item in objects]
    table = [("file", "label", "xmin", "ymin", "xmax", "ymax"), *rows]
    (folder / "collage.csv").write_text("\n".join(",".join(map(str, row)) for row in table))
    for name in ("brick", "grass", "gravel"):
        (folder / "textures" / name).mkdir(parents=True)
        photo = getattr(skimage.data, name)()
        for top in range(0, 256, 64):
            tile = Image.fromarray(photo[top : top + 64, :64])
            tile.save(folder / "textures" / name / f"{top:03}.png")
    save(folder / "mosaic.png", skimage.data.brick(), 0.25)


def save(path: Path, photo: np.ndarray, factor: float) -> None:
    """Write a photo resized by a factor."""
    height, width = (round(side * factor) for side in photo.shape[:2])
    Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC).save(path)
